// SPDX-License-Identifier: BSD-2-Clause
//! The allocator alone: untyped memory, slots and frames, with book-keeping pages that run out.
//!
//! The reference is what was handed out and not given back. After every operation `validate()`
//! holds; after every few, and each with a failure, the model's own check does, each slot handed
//! out holds what it should, and nothing is counted that was not handed out. At the end everything
//! goes back, and all RAM is one piece again.

use std::collections::BTreeMap;

use untyped_alloc::kernel::{Blueprint, CPtr, KernelError};
use untyped_alloc::{
    AllocatedFrames, Allocator, Blame, Error, Frames, Mobility, Object, ObjectSizes, Objects,
};
use vmm_tests::model::{Arch, Arena, Cap, ModelKernel};
use vmm_tests::support::{PAGE, cspace_info, untyped_info};

use crate::bytes::Bytes;
use crate::machine::{self, DEVICE, RAM};

const MAX_STEPS: usize = 96;

/// What was handed out.
#[derive(Clone, Copy, Debug)]
enum Held {
    Frames(Frames),
    Table(CPtr, u8),
    One(Object),
    Many(Objects),
    Slots(CPtr, usize),
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Frames(u8, usize, Mobility),
    Table(u8),
    One(Blueprint),
    Many(Blueprint, usize),
    At(Blueprint, usize, usize),
    Slots(usize),
    /// Gives back what has this number; part of a run of frames.
    Give(usize, u8),
    /// Destroys frames if they are all of their chunk.
    Destroy(usize),
    /// Gives back what is not held any more, if it names something by id.
    GiveAgain(usize),
    Trim,
}

struct Run<'p> {
    kernel: ModelKernel<'p>,
    alloc: Allocator<'p>,
    /// Book-keeping pages that are left: addresses.
    pages: Vec<usize>,
    held: Vec<Held>,
    /// Ids that are stale.
    stale: Vec<Held>,
    steps: usize,
    trace: bool,
}

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let config = machine::config(&mut bytes);
    let arena = Arena::new();
    let kernel = ModelKernel::boot(&arena, &config);
    let sizes = match config.arch {
        Arch::IA32 => ObjectSizes::IA32,
        _ => ObjectSizes::X86_64,
    };
    let image = kernel.facts().image.clone();
    let first = image.end - bytes.pick(&[64, 8, 5, 16]) * PAGE;
    let untypeds: Vec<_> = kernel.facts().untypeds.iter().map(untyped_info).collect();
    let cspace = cspace_info(kernel.facts());
    let mut run = Run {
        alloc: Allocator::new(sizes, cspace),
        kernel,
        pages: (first..image.end).step_by(PAGE).collect(),
        held: Vec::new(),
        stale: Vec::new(),
        steps: 0,
        trace: std::env::var_os("VMM_FUZZ_TRACE").is_some(),
    };
    run.refill();
    for info in untypeds {
        run.alloc.add_untyped(info).expect("untypeds of the boot are possible");
    }
    let before = run.alloc.stats();
    for _ in 0..MAX_STEPS {
        if bytes.is_empty() {
            break;
        }
        let fault = bytes.one_in(4).then(|| {
            let errors = [KernelError::IllegalOperation, KernelError::NotEnoughMemory];
            (1 + bytes.below(8), bytes.pick(&errors))
        });
        let op = run.decode(&mut bytes);
        run.step(op, fault);
    }
    while !run.held.is_empty() {
        run.step(Op::Give(0, 0), None);
    }
    run.step(Op::Trim, None);
    assert_eq!(run.alloc.validate(), Ok(()));
    if !machine::CHECKED {
        return;
    }
    run.check();
    let after = run.alloc.stats();
    if run.alloc.grown_root().is_none() {
        assert_eq!(after.untyped_bytes, before.untyped_bytes, "all RAM is free again");
        assert_eq!(after.free_by_size, before.free_by_size, "and in the pieces of before");
        assert_eq!(after.free_slots, before.free_slots, "all slots are free again");
    }
    assert_eq!((after.ready_bytes, after.quarantined), (0, 0));
}

impl Run<'_> {
    fn decode(&self, bytes: &mut Bytes<'_>) -> Op {
        let blueprints = [
            Blueprint::Endpoint,
            Blueprint::Tcb,
            Blueprint::Notification,
            Blueprint::Untyped { size_bits: 12 },
            Blueprint::Untyped { size_bits: 4 },
            Blueprint::Untyped { size_bits: 18 },
            Blueprint::Frame { size_bits: 12 },
            Blueprint::Frame { size_bits: 13 },
            Blueprint::CNode { radix_bits: 5 },
            Blueprint::Table { level: 1 },
            Blueprint::Untyped { size_bits: 60 },
            Blueprint::Table { level: 9 },
        ];
        let sizes = self.alloc.sizes();
        match bytes.below(20) {
            0..=3 => {
                let size = bytes.pick(&[12, 12, 12, sizes.frame_bits[1], 13]);
                let wild = bytes.one_in(16);
                let want = if wild { bytes.wild() } else { bytes.below(40) * 8 };
                let mobility = [Mobility::Fixed, Mobility::Movable];
                Op::Frames(size, want, mobility[want / 8 % 2])
            }
            4 => Op::Table(1 + bytes.below(usize::from(sizes.table_levels)) as u8),
            5..=6 => Op::One(bytes.pick(&blueprints)),
            7 => Op::Many(bytes.pick(&blueprints), bytes.below(256) * 2 / 3),
            8..=9 => {
                let near = bytes.below(64) * PAGE;
                let at = bytes.pick(&[RAM, DEVICE, RAM + 0x9_0000, 0x30_0000]) + near;
                let at = if bytes.one_in(16) { bytes.wild() } else { at };
                Op::At(bytes.pick(&blueprints), at, bytes.pick(&[1, 2, 4, 16, 64, 3, 0]))
            }
            10..=11 => Op::Slots(bytes.below(256) * 2),
            12..=16 => Op::Give(bytes.below(256), bytes.byte()),
            17 => Op::Destroy(bytes.below(256)),
            18 => Op::GiveAgain(bytes.below(256)),
            _ => Op::Trim,
        }
    }

    fn refill(&mut self) {
        while let Some(kind) = self.alloc.wanting() {
            let Some(page) = self.pages.pop() else { return };
            self.alloc.adopt_page(&mut self.kernel, page, kind);
        }
    }

    fn step(&mut self, op: Op, fault: Option<(usize, KernelError)>) {
        self.refill();
        let live = |run: &Self| machine::CHECKED.then(|| run.alloc.stats().live);
        let before = live(self);
        if let Some((nth, error)) = fault {
            self.kernel.fail_nth(nth, error);
        }
        let result = self.execute(op);
        let fired = !self.kernel.disarm() && fault.is_some();
        if self.trace {
            eprintln!("{op:x?}, a fault: {fired}\n    => {result:x?}");
        }
        match result {
            Err(error) if error.blame() == Blame::Manager => {
                assert!(fired, "{op:x?}: {error:?}");
            }
            Err(error) => assert!(self.may_fail(op, &error), "{op:x?}: {error:?}"),
            Ok(()) => {}
        }
        self.steps += 1;
        if !machine::CHECKED {
            return self.again(op, fired && result.is_err());
        }
        if let Err(violation) = self.alloc.validate() {
            panic!("validate: {violation:?}");
        }
        if fired || self.trace || self.steps.is_multiple_of(machine::CHECKED_EACH) {
            self.check();
        }
        if let (Some(before), Some(after), true) = (before, live(self), result.is_err()) {
            // Not CNodes: what a growing CSpace is made of stays, though the operation failed.
            assert_eq!(
                (before.frames, before.tables, before.tcbs, before.endpoints),
                (after.frames, after.tables, after.tcbs, after.endpoints),
                "{op:x?} failed and changed something"
            );
        }
        self.again(op, fired && result.is_err());
    }

    /// Repeats what failed for an injected reason.
    fn again(&mut self, op: Op, failed: bool) {
        if failed {
            self.step(op, None);
        }
    }

    /// Whether the caller or a want of something may be to blame.
    fn may_fail(&self, op: Op, error: &Error) -> bool {
        let short = error.blame() == Blame::Resource;
        match op {
            Op::Give(..) | Op::Destroy(_) | Op::Trim => false,
            Op::GiveAgain(_) => matches!(error, Error::Stale(_) | Error::NotAllocated(_)),
            Op::Frames(_, 0, _) | Op::Slots(0) | Op::Many(_, 0) | Op::At(_, _, 0) => {
                short || matches!(error, Error::ZeroCount | Error::NoSuchObject(_))
            }
            Op::Slots(count) => short || count > 256 && matches!(error, Error::TooMany { .. }),
            Op::Frames(13, ..) => matches!(error, Error::NoSuchObject(_)),
            Op::Frames(..) => short,
            Op::At(..) => true,
            Op::Table(_) | Op::One(_) | Op::Many(..) => {
                short || matches!(error, Error::NoSuchObject(_))
            }
        }
    }

    fn execute(&mut self, op: Op) -> Result<(), Error> {
        let (alloc, kernel) = (&mut self.alloc, &mut self.kernel);
        match op {
            Op::Frames(bits, want, mobility) => {
                let frames = match alloc.alloc_frames(kernel, bits, want, mobility)? {
                    AllocatedFrames::Zeroed(clean) => clean.frames(),
                    AllocatedFrames::Dirty(dirty) => dirty.frames(),
                };
                assert!(frames.count != 0 && frames.count <= want.min(256), "{frames:?}");
                assert_eq!(frames.size_bits, bits);
                self.held.push(Held::Frames(frames));
            }
            Op::Table(level) => {
                let table = alloc.alloc_table(kernel, level)?;
                self.held.push(Held::Table(table, level));
            }
            Op::One(blueprint) => {
                let object = alloc.allocate(kernel, blueprint)?;
                self.held.push(Held::One(object));
            }
            Op::Many(blueprint, count) => {
                let objects = alloc.allocate_many(kernel, blueprint, count)?;
                assert_eq!(objects.len(), count);
                self.held.push(Held::Many(objects));
            }
            Op::At(blueprint, paddr, count) => {
                let objects = alloc.allocate_at(kernel, blueprint, paddr, count)?;
                if let Cap::Frame { base, .. } = kernel.cap(objects.first_slot()) {
                    assert_eq!(base, paddr, "the frame is where it was asked for");
                }
                self.held.push(Held::Many(objects));
            }
            Op::Slots(count) => {
                let first = alloc.alloc_slots(kernel, count)?;
                self.held.push(Held::Slots(first, count));
            }
            Op::Give(number, part) => self.give(number, part)?,
            Op::Destroy(number) => {
                let number = number % self.held.len().max(1);
                if let Some(&Held::Frames(frames)) = self.held.get(number)
                    && alloc.destroy_if_whole(kernel, frames)?
                {
                    self.held.swap_remove(number);
                }
            }
            Op::GiveAgain(number) => match self.stale.get(number % self.stale.len().max(1)) {
                Some(&Held::One(object)) => {
                    alloc.free(kernel, object)?;
                    panic!("{object:?} was freed twice");
                }
                Some(&Held::Many(objects)) => {
                    alloc.free_many(kernel, objects)?;
                    panic!("{objects:?} were freed twice");
                }
                _ => {}
            },
            Op::Trim => alloc.trim(kernel)?,
        }
        Ok(())
    }

    /// Gives back what has this number: of frames and slots perhaps only a part.
    fn give(&mut self, number: usize, part: u8) -> Result<(), Error> {
        let (alloc, kernel) = (&mut self.alloc, &mut self.kernel);
        let number = number % self.held.len().max(1);
        let Some(held) = self.held.get_mut(number) else { return Ok(()) };
        match *held {
            Held::Frames(frames) => {
                let count = 1 + usize::from(part) % frames.count;
                let (lower, unused) = (part & 0x40 == 0, part & 0x80 != 0);
                let split = if lower { count } else { frames.count - count };
                let parts = [
                    Frames { count: split, ..frames },
                    Frames {
                        first: frames.first.offset(split),
                        count: frames.count - split,
                        ..frames
                    },
                ];
                let (gone, rest) = if lower { (parts[0], parts[1]) } else { (parts[1], parts[0]) };
                match unused {
                    true => alloc.free_unused_frames(gone)?,
                    false => alloc.free_frames(gone)?,
                }
                assert!(alloc.free_frames(gone).is_err(), "{gone:?} were given back twice");
                *held = Held::Frames(rest);
                if rest.count != 0 {
                    return Ok(());
                }
            }
            Held::Table(table, level) => alloc.free_table(table, level)?,
            Held::One(object) => alloc.free(kernel, object)?,
            Held::Many(objects) => alloc.free_many(kernel, objects)?,
            Held::Slots(first, count) => alloc.free_slots(first, count)?,
        }
        let gone = self.held.swap_remove(number);
        self.stale.push(gone);
        Ok(())
    }

    fn check(&self) {
        self.kernel.check_manager();
        let mut slots = BTreeMap::new();
        let (mut frames, mut tables) = (0, 0);
        for held in &self.held {
            let (first, count) = match *held {
                Held::Frames(run) => {
                    frames += run.count;
                    (run.first, run.count)
                }
                Held::Table(table, _) => {
                    tables += 1;
                    (table, 1)
                }
                Held::One(object) => (object.slot(), 1),
                Held::Many(objects) => (objects.first_slot(), objects.len()),
                Held::Slots(first, count) => (first, count),
            };
            for slot in (0..count).map(|index| first.offset(index)) {
                assert!(slots.insert(slot, *held).is_none(), "{slot:?} was handed out twice");
                let empty = matches!(held, Held::Slots(..));
                assert_eq!(self.kernel.is_empty_slot(slot), empty, "{slot:?} of {held:?}");
            }
        }
        assert_eq!(self.alloc.recycling_objects_allocated(), (frames, tables));
    }
}
