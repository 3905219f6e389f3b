// SPDX-License-Identifier: BSD-2-Clause
//! Threads that have faults which nobody can resolve, that are suspended by request, and go on.

use vmm::ThreadId;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, Answer, FaultKind, FaultPolicy, Kind, Refusal, Request,
};
use vmm_service::objects::{Fault, Stopped};

use super::world::{Known, PRIORITY, SLOTS, World};
use crate::bytes::Bytes;

/// The slot of a further thread.
const THREAD: u32 = SLOTS - 5;

impl World<'_> {
    /// A program has a further thread, does something with it, and threads of its have faults.
    /// Returns whether it lives.
    pub fn control(&mut self, known: &Known, bytes: &mut Bytes<'_>) -> bool {
        let _ = self.try_control(known, bytes);
        for _ in 0..bytes.below(3) {
            if self.lives(known.id) {
                self.fault(known, bytes);
            }
        }
        self.lives(known.id)
    }

    fn try_control(&mut self, known: &Known, bytes: &mut Bytes<'_>) -> Result<(), Refusal> {
        if self.badge(known, THREAD).is_none() {
            let policy = bytes.pick(&FaultPolicy::ALL);
            let create = Request::CreateThread {
                entry: 0x1000,
                argument: 0,
                stack: 1,
                guard: 0,
                priority: PRIORITY.into(),
                policy,
                slot: THREAD,
            };
            self.ask(known, (create, &[ACCOUNT_SLOT]), bytes)?;
            if let Some(badge) = self.badge(known, THREAD) {
                self.kinds.insert(badge, Kind::Thread);
            }
        }
        for _ in 0..1 + bytes.below(4) {
            let request = bytes.pick(&[
                Request::Suspend {},
                Request::Suspend {},
                Request::Resume {},
                Request::ReadRegisters {},
                Request::UnbindThread {},
                Request::EndThread { code: 2, own: false },
            ]);
            let info = self.ask(known, (Request::Info {}, &[THREAD]), bytes);
            let answer = self.ask(known, (request, &[THREAD]), bytes);
            if let (Ok(Answer::Program { state, .. }), Request::ReadRegisters {}) = (info, request)
            {
                assert_eq!(answer.is_ok(), state.is_suspended(), "{state:?}: {answer:?}");
            }
            if bytes.one_in(2) {
                self.fault(known, bytes);
            }
            self.take_answers();
        }
        Ok(())
    }

    /// A thread of a program's has a fault, or somebody says so.
    fn fault(&mut self, known: &Known, bytes: &mut Bytes<'_>) {
        let space = known.id.space();
        let Some(id) = self.any_thread(space, bytes) else { return };
        self.objects.note_fault(Some(space), Some(id));
        match self.objects.note_stopped() {
            Stopped::Here => self.tally.stopped += 1,
            Stopped::Repeats | Stopped::Forged => {}
            // As rarely as a program is to end for it.
            Stopped::No if bytes.one_in(2) => {
                let (kind, code) = (bytes.pick(&FaultKind::ALL), bytes.wild() as u32);
                let (address, instruction) = (bytes.wild(), bytes.wild());
                let fault = Fault { kind, code, address, instruction };
                let ends = self.objects.note_unresolved(known.id, fault);
                self.tally.alone += usize::from(!ends);
            }
            Stopped::No => {}
        }
    }

    /// A thread that is registered in a space.
    fn any_thread(&self, space: vmm::SpaceId, bytes: &mut Bytes<'_>) -> Option<ThreadId> {
        let (vmm, mut all, mut badge) = (&self.host.vmm, Vec::new(), 0);
        while let Some(id) = vmm.next_thread(badge) {
            badge = id.badge();
            if vmm.space_of_thread(id) == Ok(space) {
                all.push(id);
            }
        }
        // The first is its program's first, whose fault ends that.
        let further = all.len().saturating_sub(1);
        match further == 0 || bytes.one_in(8) {
            true => all.first().copied().filter(|_| bytes.one_in(16)),
            false => all.get(1 + bytes.below(further)).copied(),
        }
    }
}
