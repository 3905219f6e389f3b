// SPDX-License-Identifier: BSD-2-Clause
//! What threads need: stacks, IPC buffers, thread-local storage.

use vmm::{Error, IpcBuffer, Kind, SpaceId, ThreadOptions, TlsImage};

use super::super::answer::{Expected, Need, Outcome, Refusal};
use super::super::choose::{STALE, pick};
use super::super::parts::{Buffer, Contents, Origin, ThreadParts};
use super::super::{RegionRequest, Run};
use crate::support::PAGE;

/// What thread-local storage starts with.
const TLS: [u8; 8] = *b"tls init";

fn guarded(pages: usize) -> RegionRequest {
    RegionRequest { below: 1, above: 1, ..RegionRequest::anywhere(pages) }
}

/// The options of a thread with so much stack and so many bytes of thread-local storage.
fn thread_options(stack_pages: usize, tls_bytes: usize) -> ThreadOptions<'static> {
    let init = if tls_bytes == 0 { &TLS[..0] } else { &TLS[..] };
    let image = TlsImage { init, memory_bytes: tls_bytes, align: 16, address: 0 };
    let tls = (tls_bytes != 0).then_some(image);
    ThreadOptions { stack_pages, guard_pages: 1, growing: None, tls, name: "thread" }
}

impl Run<'_> {
    pub(super) fn stack(&mut self, space: u8, pages: usize) -> Outcome {
        let id = self.state.space_by(space);
        let request = guarded(pages);
        let expect = |run: &Self| match run.space(id) {
            Ok(space) => run.place_for(space, &request, None, pages),
            Err(expected) => expected,
        };
        let need = Need::pages(pages);
        let stack = self.call(need, expect, |vmm| vmm.allocate_stack(id, pages, "stack"))?;
        let region = self.record_chosen(stack.region(), &request, Kind::Stack);
        self.state.map_fresh(id, region.usable(), &region);
        assert_eq!(region.usable(), stack.bottom()..stack.top());
        Ok(())
    }

    pub(super) fn ipc_buffer(&mut self, space: u8, packed: bool) -> Outcome {
        let id = self.state.space_by(space);
        let expect = |run: &Self| match run.space(id) {
            Ok(space) => {
                let expected = match packed {
                    // It may find room in a page that is there.
                    true => run.place(space, &guarded(1), None).perhaps(Some("OutOfQuota")),
                    false => run.place_for(space, &guarded(1), None, 1),
                };
                run.perhaps_quota(expected, space)
            }
            Err(expected) => expected,
        };
        let buffer = self.call(Need::pages(1), expect, |vmm| match packed {
            true => vmm.allocate_packed_ipc_buffer(id),
            false => vmm.allocate_ipc_buffer(id),
        })?;
        self.record_buffer(buffer, packed);
        Ok(())
    }

    fn record_buffer(&mut self, handle: IpcBuffer, packed: bool) {
        let (id, address) = (handle.region(), handle.address());
        let all = &self.state.buffers;
        assert!(all.iter().all(|other| other.handle != handle), "handed out twice");
        let before = all.iter().filter(|other| other.handle.region() == id).count();
        let packed_step = self.state.target.ipc_buffer_bytes();
        let (first, step) = (id.start().bits() + PAGE, if packed { packed_step } else { 2 * PAGE });
        if before == 0 {
            self.record_arena(handle, packed);
        }
        if !packed {
            let like = *self.state.region(id).expect("its arena");
            self.state.map_fresh(id.space(), address..address + PAGE, &like);
        }
        let index = (address - first) / step;
        assert_eq!(address, first + index * step, "buffers follow each other");
        // One that was made for a thread, of which something else was short, is not handed out
        // again.
        let skips = self.rules.lenient && !packed && index > before;
        assert!(index == before || skips, "buffer {index} after {before}");
        self.state.buffers.push(Buffer { handle, packed, live: true });
    }

    fn record_arena(&mut self, handle: IpcBuffer, packed: bool) {
        let id = handle.region();
        if packed {
            let region = self.record_chosen(id, &guarded(1), Kind::IpcBuffer);
            self.state.map_fresh(id.space(), region.usable(), &region);
            return;
        }
        let pages = self.host.vmm.region_info(id).expect("just made").range.pages();
        // Where addresses are short, an arena has one buffer.
        let alone = self.rules.lenient && pages == 3;
        let (pages, align_bits) = if alone { (2, 0) } else { (2 * 127, 20) };
        let request = RegionRequest { below: 1, align_bits, ..RegionRequest::anywhere(pages) };
        self.record_chosen(id, &request, Kind::IpcBuffer);
    }

    fn buffer_by(&self, which: u8) -> Option<usize> {
        let all = self.state.buffers.iter().enumerate();
        let all = all.filter(|(_, buffer)| buffer.live || which >= STALE);
        pick(&all.map(|(number, _)| number).collect::<Vec<_>>(), which)
    }

    pub(super) fn set_ipc_buffer(&mut self, thread: u8, buffer: u8) -> Outcome {
        let threads: Vec<usize> = self.state.tcbs().collect();
        let (Some(buffer), Some(number)) = (self.buffer_by(buffer), pick(&threads, thread)) else {
            return Ok(());
        };
        let Buffer { handle, live, .. } = self.state.buffers[buffer];
        let super::super::Thing::One(tcb, _) = self.state.things[number].thing else {
            return Ok(());
        };
        let gone = Error::NoSuchIpcBuffer { address: handle.address() };
        let expect = |_: &Self| Expected::unless((!live).then_some(gone));
        self.call(Need::NOTHING, expect, |vmm| vmm.set_ipc_buffer(tcb.slot(), handle))?;
        self.state.things[number].buffer = Some(handle);
        Ok(())
    }

    pub(super) fn release_ipc_buffer(&mut self, which: u8) -> Outcome {
        self.buffer_by(which).map_or(Ok(()), |number| self.release_buffer(number))
    }

    pub(in super::super) fn release_buffer(&mut self, number: usize) -> Outcome {
        let Buffer { handle, live, .. } = self.state.buffers[number];
        let gone = Error::NoSuchIpcBuffer { address: handle.address() };
        let expect = |_: &Self| Expected::unless((!live).then_some(gone));
        let answer = self.call(Need::NOTHING, expect, |vmm| vmm.release_ipc_buffer(handle));
        if let Err(halt) = answer {
            if halt.fired {
                self.see_what_is_left(handle.region().space());
            }
            return Err(halt);
        }
        self.remove_buffer(number);
        if !self.rules.lenient {
            assert_eq!(self.host.vmm.release_ipc_buffer(handle), Err(gone));
        }
        Ok(())
    }

    fn remove_buffer(&mut self, number: usize) {
        let Buffer { handle, packed, .. } = self.state.buffers[number];
        self.state.buffers[number].live = false;
        let id = handle.region();
        if !packed {
            self.state.space_mut(id.space()).pages.remove(&handle.address());
        }
        // The addresses go with the last one.
        let mut others = self.state.buffers.iter().filter(|other| other.handle.region() == id);
        if others.all(|other| !other.live) {
            self.state.remove(id);
        }
        for held in &mut self.state.things {
            held.buffer = held.buffer.filter(|other| *other != handle);
        }
    }

    pub(super) fn thread_memory(&mut self, space: u8, stack: usize, tls: usize) -> Outcome {
        let id = self.state.space_by(space);
        let request = guarded(stack);
        let expect = |run: &Self| match run.space(id) {
            Ok(space) => run.place_for(space, &request, None, stack).perhaps(Some("OutOfQuota")),
            Err(expected) => expected,
        };
        let need = Need::pages(stack.saturating_add(2 + tls / PAGE + 1));
        let options = thread_options(stack, tls);
        let memory = self.call(need, expect, |vmm| vmm.allocate_thread_memory(id, &options))?;
        let region = self.record_chosen(memory.stack.region(), &request, Kind::Stack);
        self.state.map_fresh(id, region.usable(), &region);
        self.record_buffer(memory.ipc_buffer, false);
        let mut regions = vec![region.id];
        if let Some(pointer) = memory.tls.map(|it| it.thread_pointer()) {
            regions.push(self.record_tls(id, pointer, tls));
        }
        self.state.threads.push(ThreadParts { memory, regions });
        Ok(())
    }

    /// Records the thread-local storage of a thread and checks what it starts with.
    fn record_tls(&mut self, space: SpaceId, pointer: usize, bytes: usize) -> vmm::RegionId {
        let info = self.host.vmm.region_at(space, pointer).expect("alive").expect("in a region");
        let options = thread_options(0, bytes).tls.expect("it has some");
        let word = usize::from(self.host.vmm.allocator().sizes().word_bits / 8);
        let (below, end) = match self.host.target().tls_words() {
            None => {
                let below = bytes.next_multiple_of(options.align);
                (below, below + word)
            }
            Some(words) => (0, (words * word).next_multiple_of(options.align) + bytes),
        };
        let pages = end.div_ceil(PAGE);
        assert_eq!(pointer, info.id.start().bits() + below, "the thread pointer");
        let region = self.record_chosen(info.id, &RegionRequest::anywhere(pages), Kind::Memory);
        let range = region.usable();
        self.state.map_new(space, range, &region, Origin::Owned, Contents::Unknown);
        let vspace = self.host.vmm.vspace(space).expect("alive");
        let mut seen = vec![0; below + word];
        let kernel = self.host.kernel();
        kernel.read(vspace, info.id.start().bits(), &mut seen).expect("it is readable");
        let mut wanted = options.init.to_vec();
        wanted.resize(below, 0);
        wanted.extend(&pointer.to_le_bytes()[..word]);
        assert_eq!(seen, wanted, "the thread-local storage");
        info.id
    }

    pub(super) fn release_thread_memory(&mut self, which: u8) -> Outcome {
        let all: Vec<usize> = (0..self.state.threads.len()).collect();
        pick(&all, which).map_or(Ok(()), |number| self.release_thread(number))
    }

    pub(in super::super) fn release_thread(&mut self, number: usize) -> Outcome {
        let ThreadParts { memory, regions } = self.state.threads[number].clone();
        let space = regions[0].space();
        let expect = |run: &Self| {
            let buffers = &run.state.buffers;
            let live = buffers.iter().any(|it| it.handle == memory.ipc_buffer && it.live);
            let any = live || regions.iter().any(|&id| run.state.region(id).is_some());
            let gone = run.state.space(space).is_none();
            let why = Refusal::Named(if gone { "NoSuchSpace" } else { "NoSuchRegion" });
            Expected::unless((!any).then_some(why))
        };
        let answer = self.call(Need::NOTHING, expect, |vmm| vmm.release_thread_memory(memory));
        match answer {
            Err(halt) if !halt.fired => return Err(halt),
            Err(_) => self.see_what_is_left(space),
            Ok(()) => {}
        }
        // Forgets what is gone of it.
        let handle = memory.ipc_buffer;
        let mapped = self.host.vmm.mapping_at(space, handle.address());
        let same = |buffer: &Buffer| buffer.handle == handle && buffer.live;
        let gone = !matches!(mapped, Ok(Some(_)));
        if let Some(number) = self.state.buffers.iter().position(same).filter(|_| gone) {
            self.remove_buffer(number);
        }
        for id in regions {
            if self.host.vmm.region_info(id).is_err() {
                self.state.remove(id);
            }
        }
        answer
    }
}
