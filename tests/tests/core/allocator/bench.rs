// SPDX-License-Identifier: BSD-2-Clause
//! An allocator on a machine.

use untyped_alloc::{AllocatedFrames, Allocator, Blueprint, CPtr, Frames, Mobility, NodeKind};
use vmm_tests::model::{Arena, Cap, ModelKernel};

use crate::support::{BootParts, Machine, PAGE};

pub const FRAME: Blueprint = Blueprint::Frame { size_bits: 12 };

pub struct Bench<'a> {
    pub alloc: Allocator<'a>,
    pub kernel: ModelKernel<'a>,
    pub machine: Machine,
}

impl Bench<'static> {
    /// An allocator on this machine. Its arena is never freed.
    pub fn new(machine: Machine) -> Bench<'static> {
        Bench::boot(Box::leak(Box::new(Arena::new())), machine)
    }
}

impl<'a> Bench<'a> {
    pub fn boot(arena: &'a Arena, machine: Machine) -> Bench<'a> {
        let mut kernel = ModelKernel::boot(arena, &machine.config);
        let parts = BootParts::of(&kernel, machine.pool_pages);
        let mut alloc = Allocator::new(machine.target.architecture().sizes, parts.cspace);
        let mut page = parts.pool.start;
        let kinds = [NodeKind::Block, NodeKind::Chunk, NodeKind::SlotWindow, NodeKind::Aliases];
        let kinds = &kinds[..if machine.direct_map { 4 } else { 3 }];
        for &kind in kinds.iter().cycle().take(machine.pool_pages) {
            alloc.adopt_page(&mut kernel, page, kind);
            page += PAGE;
        }
        for &untyped in &parts.untypeds {
            alloc.add_untyped(untyped).expect("what the kernel left makes sense");
        }
        alloc.limit_clearing(machine.most_cleared);
        kernel.bound_calls(machine.bound());
        Bench { alloc, kernel, machine }
    }

    /// Everything that must hold of allocator and kernel, and of both together.
    #[track_caller]
    pub fn check(&self) {
        if let Err(violation) = self.alloc.validate() {
            panic!("{violation:?}");
        }
        self.kernel.check();
        let stats = self.alloc.stats();
        assert_eq!(stats.total_bytes, self.machine.ram_bytes());
        assert!(stats.cleared_bytes >= self.kernel.bytes_cleared(), "cleared bytes are counted");
    }

    /// The physical memory of the object in a slot: address and bytes.
    pub fn memory(&self, slot: CPtr) -> (usize, usize) {
        let cap = self.kernel.cap(slot);
        let memory = cap.memory(self.kernel.arch());
        let (base, bits) = memory.unwrap_or_else(|| panic!("{slot:?} holds {cap:?}"));
        (base, 1 << bits)
    }

    /// Whether a slot holds what `blueprint` describes.
    pub fn holds(&self, slot: CPtr, blueprint: Blueprint) -> bool {
        match (self.kernel.cap(slot), blueprint) {
            (Cap::Untyped { size_bits: is, .. }, Blueprint::Untyped { size_bits }) => {
                is == size_bits
            }
            (Cap::Frame { size_bits: is, .. }, Blueprint::Frame { size_bits }) => is == size_bits,
            (Cap::CNode { radix, .. }, Blueprint::CNode { radix_bits }) => radix == radix_bits,
            (Cap::Table { level: is, .. }, Blueprint::Table { level }) => is == level,
            (Cap::Tcb { .. }, Blueprint::Tcb)
            | (Cap::Endpoint { .. }, Blueprint::Endpoint)
            | (Cap::Notification { .. }, Blueprint::Notification) => true,
            _ => false,
        }
    }

    /// Takes exactly `want` frames of the smallest size, in as many runs as it takes.
    pub fn frames(&mut self, want: usize) -> Vec<Frames> {
        let (mut runs, mut got) = (Vec::new(), 0);
        while got < want {
            let taken = self.alloc.alloc_frames(&mut self.kernel, 12, want - got, Mobility::Fixed);
            let run = match taken.expect("memory") {
                AllocatedFrames::Zeroed(clean) => clean.frames(),
                AllocatedFrames::Dirty(dirty) => dirty.frames(),
            };
            got += run.count;
            runs.push(run);
        }
        runs
    }
}
