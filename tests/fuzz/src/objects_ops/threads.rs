// SPDX-License-Identifier: BSD-2-Clause
//! Threads that have faults which nobody can resolve, that are suspended by request, and go on.

use vmm::ThreadId;
use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, Answer, FaultKind, FaultPolicy, Kind, REGISTERS, Refusal, Registers, Request,
    State,
};
use vmm_service::objects::{Fault, ProgramId, Stopped};

use super::world::{FIRST, Known, PRIORITY, THREAD, World};
use crate::bytes::Bytes;

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
            self.note_kind(known, THREAD, Kind::Thread);
        }
        for _ in 0..1 + bytes.below(4) {
            let registers = Registers([bytes.wild(); REGISTERS]);
            let request = bytes.pick(&[
                Request::Suspend {},
                Request::Suspend {},
                Request::Resume {},
                Request::ReadRegisters {},
                Request::WriteRegisters { registers },
                Request::UnbindThread {},
                Request::EndThread { code: 2, own: false },
            ]);
            let info = self.ask(known, (Request::Info {}, &[THREAD]), bytes);
            let answer = self.ask(known, (request, &[THREAD]), bytes);
            if let (Ok(Answer::Program { state, .. }), Request::ReadRegisters {}) = (info, request)
            {
                // One that runs by itself is suspended with its program.
                let with_program = answer.is_ok() && state == State::Running;
                // A program that is suspended by request has no registers of its own, nor has one
                // whose thread has ended by which it was.
                let kind = self.badge(known, THREAD).and_then(|badge| self.kinds.get(&badge));
                let whole = state.is_suspended() && kind != Some(&Kind::Thread);
                // Another capability may have come there, which lacks the right.
                let lacks = matches!(answer, Err(Refusal::NoRight { .. }));
                let sound = answer.is_ok() == state.is_suspended() || with_program || whole;
                let sound = sound || lacks;
                assert!(sound, "{state:?}, {kind:?}: {answer:?}");
            }
            if bytes.one_in(2) {
                self.fault(known, bytes);
            }
            self.take_answers();
        }
        Ok(())
    }

    /// A program that another holds by the capability in a slot is suspended, or its first thread is,
    /// threads of it come to their next instructions, and it goes on: as far as that is granted.
    pub fn halt(&mut self, known: &Known, (slot, child): (u32, ProgramId), bytes: &mut Bytes<'_>) {
        let policy = bytes.pick(&FaultPolicy::ALL);
        let first = Request::FirstThread { policy, slot: FIRST };
        let steps: [(Request, &[u32]); 6] = [
            (first, &[slot, ACCOUNT_SLOT]),
            (Request::Suspend {}, &[FIRST]),
            (Request::SuspendProgram {}, &[slot]),
            (Request::Resume {}, &[FIRST]),
            (Request::Resume {}, &[slot]),
            (Request::Destroy {}, &[FIRST]),
        ];
        for (request, slots) in steps {
            if bytes.one_in(3) || !self.lives(known.id) {
                continue;
            }
            let done = self.ask(known, (request, slots), bytes);
            self.tally.halted +=
                usize::from(request == (Request::SuspendProgram {}) && done.is_ok());
            self.tally.firsts += usize::from(request == first && done.is_ok());
            self.note_kind(known, FIRST, Kind::Thread);
            for _ in 0..bytes.below(3) {
                let all = self.threads_in(child.space());
                if self.lives(child) && !all.is_empty() {
                    self.fault_of((child, bytes.pick(&all)), bytes);
                }
            }
            self.take_answers();
        }
    }

    /// A thread of a program's has a fault, or somebody says so.
    fn fault(&mut self, known: &Known, bytes: &mut Bytes<'_>) {
        if let Some(id) = self.any_thread(known.id.space(), bytes) {
            self.fault_of((known.id, id), bytes);
        }
    }

    fn fault_of(&mut self, (program, id): (ProgramId, ThreadId), bytes: &mut Bytes<'_>) {
        let space = program.space();
        self.objects.note_fault(Some(space), Some(id));
        match self.objects.note_stopped() {
            Stopped::Here => self.tally.stopped += 1,
            Stopped::Repeats | Stopped::Forged => {}
            // As rarely as a program is to end for it.
            Stopped::No if bytes.one_in(2) => {
                let (kind, code) = (bytes.pick(&FaultKind::ALL), bytes.wild() as u32);
                let (address, instruction) = (bytes.wild(), bytes.wild());
                let fault = Fault { kind, code, address, instruction };
                let ends = self.objects.note_unresolved(program, fault);
                self.tally.alone += usize::from(!ends);
            }
            Stopped::No => {}
        }
    }

    /// The threads that are registered in a space.
    fn threads_in(&self, space: vmm::SpaceId) -> Vec<ThreadId> {
        let (vmm, mut all, mut badge) = (&self.host.vmm, Vec::new(), 0);
        while let Some(id) = vmm.next_thread(badge) {
            badge = id.badge();
            if vmm.space_of_thread(id) == Ok(space) {
                all.push(id);
            }
        }
        all
    }

    /// One of them.
    fn any_thread(&self, space: vmm::SpaceId, bytes: &mut Bytes<'_>) -> Option<ThreadId> {
        let all = self.threads_in(space);
        // The first is its program's first, whose fault ends that.
        let further = all.len().saturating_sub(1);
        match further == 0 || bytes.one_in(8) {
            true => all.first().copied().filter(|_| bytes.one_in(16)),
            false => all.get(1 + bytes.below(further)).copied(),
        }
    }
}
