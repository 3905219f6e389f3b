// SPDX-License-Identifier: BSD-2-Clause
//! Programs that others start, which then send as all do.

use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, Amounts, Answer, MemoryOptions, Name, PROGRAM_SLOT, Refusal, Request, Rights,
    SPACE_SLOT, answer_or_refusal,
};
use vmm_service::objects::{Act, ProgramId};
use vmm_tests::model::Cap;

use super::world::{CHILD, FILE, Known, OPTIONS, PRIORITY, World, levels};
use crate::bytes::Bytes;

/// The most programs that are sent as.
const MAX_SENDERS: usize = 6;

impl World<'_> {
    /// What a server does with a program's thread.
    pub fn act(&mut self, act: Option<Act>, bytes: &mut Bytes<'_>) {
        match act {
            // The kernel takes a notification, if none is bound.
            Some(Act::Bind { tcb, notification, place }) => {
                let is = matches!(self.host.kernel().cap(notification), Cap::Notification { .. });
                let refusal = self.objects.note_bound(tcb, place, is && !bytes.one_in(3));
                let sound = Refusal::BadCapability { place };
                assert!(refusal.is_none_or(|it| it == sound || it == Refusal::Bound {}));
                self.tally.note_bound(place, refusal);
            }
            Some(
                Act::Unbind { tcb } | Act::ReadRegisters { tcb } | Act::WriteRegisters { tcb, .. },
            ) => {
                assert!(self.host.kernel().tcb(tcb).is_some(), "it is a thread's");
            }
            _ => {}
        }
        let Some(Act::Start { program, start, priority, .. }) = act else { return };
        self.host.kernel().disarm();
        let further = self.objects.is_started(program);
        if bytes.one_in(6) {
            self.objects.start_refused(&mut self.host.vmm, program, &start).expect("no call fails");
            return;
        }
        self.objects.note_started(&start, priority);
        if further {
            self.tally.threads += 1;
            return;
        }
        let known = self.known(program, start.tcb);
        if let Some(known) = known.filter(|_| self.programs.len() < MAX_SENDERS) {
            self.tally.started += 1;
            self.programs.push(known);
        }
    }

    /// Whether a program has not ended.
    pub fn lives(&self, program: ProgramId) -> bool {
        self.objects.program_in(program.space()).is_some()
    }

    /// Sends a request that is meant; returns whether it was granted.
    pub(super) fn ask(
        &mut self,
        known: &Known,
        (request, slots): (Request, &[u32]),
        bytes: &mut Bytes<'_>,
    ) -> Result<Answer, Refusal> {
        let gone = Refusal::Gone { place: 0 };
        let badge = self.badge(known, PROGRAM_SLOT).ok_or(gone)?;
        let arrived = self.arrive(known, slots);
        self.receive_foreign(known, &arrived, slots);
        let message = request.encode();
        let outcome = self.send(badge, message.label(), message.words(), &arrived);
        self.act(outcome.act, bytes);
        let answer = match (outcome.answer, outcome.waits) {
            (Some(answer), _) => answer,
            (None, waits) => {
                if let Some(slot) = waits {
                    self.save_caller(slot);
                }
                return Err(gone);
            }
        };
        answer_or_refusal(answer.label(), answer.words()).expect("a sound answer")
    }

    /// A program makes another, as far as it can. Returns whether it lives.
    pub fn raise(&mut self, known: &Known, bytes: &mut Bytes<'_>) -> bool {
        let _ = self.try_raise(known, bytes);
        self.lives(known.id)
    }

    fn try_raise(&mut self, known: &Known, bytes: &mut Bytes<'_>) -> Result<(), Refusal> {
        let [from, it] = [FILE, CHILD];
        let options = MemoryOptions::WRITABLE;
        let own = [ACCOUNT_SLOT];
        self.ask(known, (Request::CreateMemory { pages: 1, options, slot: from }, &own), bytes)?;
        let rights = Rights::READ_WRITE;
        let map = Request::Map { address: 0, first: 0, pages: 1, rights };
        let mapped = self.ask(known, (map, &[SPACE_SLOT, from, ACCOUNT_SLOT]), bytes)?;
        let Answer::Mapped { address } = mapped else { panic!("{mapped:?}") };
        self.ask(known, (Request::Populate { address, pages: 1 }, &[SPACE_SLOT]), bytes)?;
        // Now and then a file of which no program can be made.
        let whole = super::image::program(self.host.target());
        let file = if bytes.one_in(12) { &whole[..40] } else { whole };
        let _ = self.host.vmm.write(known.id.space(), address, file);
        let amounts = bytes.pick(&[
            Amounts([40, 14, 100, 4, 2, 10, 30, 0]),
            Amounts([80, 16, 200, 8, 3, 20, 60, 0]),
            Amounts([9, 5, 30, 3, 1, 4, 9, 0]),
        ]);
        let amounts = levels(self.host.target(), amounts);
        let options = bytes.pick(&OPTIONS);
        let name = Name::new("child");
        let create =
            Request::CreateProgram { amounts, options, name, slot: it, space: 0, account: 0 };
        self.ask(known, (create, &own), bytes)?;
        while self.ask(known, (Request::Load {}, &[it, from]), bytes)? == (Answer::More {}) {}
        let rights = Rights::READ | Rights::DESTROY;
        let grant = Request::Grant { rights, slot: 8 };
        self.ask(known, (grant, &[it, from]), bytes)?;
        let priority = PRIORITY.into();
        let started = self.tally.started;
        self.ask(known, (Request::Start { argument: 0, stack: 1, priority }, &[it]), bytes)?;
        let child = self.programs.last().filter(|_| self.tally.started != started);
        if let Some(child) = child.map(|known| known.id) {
            self.halt(known, (it, child), bytes);
        }
        // Where it was started, its slots are another's to use.
        for slot in [from, it] {
            let target = known.slot(slot - bytes.below(10) as u32 - 1);
            let kernel = self.host.vmm.kernel_mut();
            let moved =
                vmm::Kernel::cnode_copy(kernel, target, known.slot(slot), vmm::Rights::all());
            if moved.is_ok() {
                let _ = vmm::Kernel::cnode_delete(kernel, known.slot(slot));
            }
        }
        Ok(())
    }
}
