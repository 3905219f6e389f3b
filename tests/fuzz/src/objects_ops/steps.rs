// SPDX-License-Identifier: BSD-2-Clause
//! The steps: what programs, their threads and others may do next.

use vmm::{
    Access, CPtr, Kernel, KernelError, PageFault, RegionOptions, Resolution, Rights as CapRights,
};
use vmm_service::objects::protocol::{
    Answer, Kind, Message, PROGRAM_SLOT, Refusal, Request, Resource, answer_or_refusal,
};
use vmm_service::objects::{Arrived, Event, Incoming, Outcome, Touched, Turnstile};

use super::decode;
use super::world::{Known, LARGE, SLICE, SLOTS, World};
use crate::bytes::Bytes;
use vmm_tests::support::PAGE;

/// Programs that live at the most, beside the one that sends nothing.
const MAX_PROGRAMS: usize = 3;

impl World<'_> {
    /// One step.
    pub fn step(&mut self, bytes: &mut Bytes<'_>) {
        self.take_answers();
        // Those that another ended.
        let objects = &self.objects;
        self.programs.retain(|known| objects.program_in(known.id.space()).is_some());
        let kind = bytes.below(37);
        self.pass_time(bytes);
        self.failing = bytes.one_in(12);
        if self.failing {
            let errors = [KernelError::IllegalOperation, KernelError::NotEnoughMemory];
            let (nth, error) = (1 + bytes.below(40), bytes.pick(&errors));
            self.host.kernel().fail_nth(nth, error);
        }
        if self.trace {
            eprintln!("step {}: kind {kind}, failing: {}", self.steps, self.failing);
        }
        if self.programs.is_empty() || (kind == 0 && self.programs.len() < MAX_PROGRAMS) {
            let amounts = decode::first_amounts(bytes);
            let large = if self.ample { bytes.below(LARGE as usize + 1) as u32 } else { 0 };
            let amounts = amounts.with(Resource::LargePages, large);
            self.make(amounts);
        } else {
            let sender = bytes.below(self.programs.len());
            let mut known = self.programs.remove(sender);
            let lives = match kind {
                0..=12 => self.request(&known, bytes),
                13 => self.noise(&known, bytes),
                14..=16 => self.touch(&known, bytes),
                17..=18 => self.pass_on(&known, bytes),
                19..=20 => self.reap(),
                21 => !bytes.one_in(4) || self.kill(&known),
                22 => self.squeeze_memory(bytes),
                24..=25 => self.come_round(bytes),
                26..=27 => self.raise(&known, bytes),
                28..=29 => self.page(&mut known, bytes),
                30 => self.control(&known, bytes),
                31..=32 => self.bulk(&mut known, bytes),
                33..=35 => self.tell(&known, bytes),
                36 => self.starve(&mut known, bytes),
                _ => self.squeeze_slots(bytes),
            };
            let learnt = self.learnt.take();
            if lives {
                known.mapped.extend(learnt);
                self.programs.push(known);
            }
        }
        self.host.kernel().disarm();
    }

    /// A message that is meant, or nearly. Returns whether its sender still lives.
    fn request(&mut self, known: &Known, bytes: &mut Bytes<'_>) -> bool {
        let request = self.request_of(known, bytes);
        let slots = self.slots_for(known, &request, bytes);
        let arrived = self.arrive(known, &slots);
        let message = request.encode();
        if self.trace {
            eprintln!("  {:?}: {request:x?} with {slots:?}: {arrived:x?}", known.id);
        }
        let Some(badge) = self.badge(known, PROGRAM_SLOT) else { return true };
        self.receive_foreign(known, &arrived, &slots);
        let (busy, before) = (self.objects.is_busy(), self.figures());
        let cloning = self.objects.clones_being_made();
        let outcome = self.send(badge, message.label(), message.words(), &arrived);
        if let Request::Exit { .. } = request {
            return !matches!(outcome.event, Some(Event::Exited(..) | Event::ChildExited(..)));
        }
        self.act(outcome.act, bytes);
        if let Some(answer) = &outcome.answer {
            self.hold(badge, answer, bytes);
        }
        if !self.lives(known.id) {
            // It has ended itself, by what pays for it.
            assert_eq!(outcome.answer, None);
            return false;
        }
        let Some(answer) = outcome.answer else {
            if let Request::EndThread { own: true, .. } = request {
                return true;
            }
            let slot = outcome.waits.expect("a program that lives is answered, or waits");
            self.save_caller(slot);
            self.tally.waited += 1;
            // A pager that waits to be told of a page may have supplied others first.
            let supplies = matches!(request, Request::Supply { .. });
            assert!(
                self.failing || busy || supplies || self.figures() == before,
                "what waits changed something"
            );
            if self.objects.charge_time(badge, 0, bytes.below(SLICE as usize) as u64).is_some() {
                self.objects.hold_kept(Turnstile(bytes.below(3) as u8));
            }
            return true;
        };
        let answer = answer_or_refusal(answer.label(), answer.words()).expect("a sound answer");
        match answer {
            Ok(answer) => {
                self.tally.granted += 1;
                if let Answer::Wanted { done, .. } | Answer::Taken { pages: done, .. } = answer {
                    self.tally.supplied += done as usize;
                }
                self.learn(known, &request, &arrived, answer);
            }
            Err(refusal) => {
                self.tally.refused += 1;
                // The clone of which a piece is refused is none any more, whatever of it there was.
                let ended = self.objects.clones_being_made() < cloning;
                self.refused(&request, refusal, (!busy && !ended).then_some(before));
            }
        }
        true
    }

    /// Remembers what a request has made.
    fn learn(&mut self, known: &Known, request: &Request, arrived: &[Arrived], answer: Answer) {
        let first = match arrived.first() {
            Some(Arrived::Own(badge)) => self.kinds.get(badge).copied(),
            _ => None,
        };
        let made = match *request {
            Request::Restrict { slot, .. } => first.map(|kind| (slot, kind)),
            Request::Revoke { slot } if slot != 0 && answer == (Answer::Done {}) => {
                first.map(|kind| (slot, kind))
            }
            Request::Reserve { slot, .. } => Some((slot, Kind::Space)),
            Request::CreateAccount { slot, .. } => Some((slot, Kind::Account)),
            Request::CreateMemory { slot, .. }
            | Request::CreatePaged { slot, .. }
            | Request::CreatePhysical { slot, .. } => Some((slot, Kind::Memory)),
            Request::Clone { slot } if answer == (Answer::Done {}) => Some((slot, Kind::Memory)),
            Request::CreateSpace { slot } => Some((slot, Kind::Space)),
            Request::CreateThread { slot, .. } | Request::FirstThread { slot, .. } => {
                Some((slot, Kind::Thread))
            }
            Request::CreateEndpoint { object, .. } => Some((object, Kind::Endpoint)),
            Request::CreateNotification { object, .. } => Some((object, Kind::Notification)),
            Request::CreateProgram { slot, space, account, .. } => {
                for (slot, kind) in [(space, Kind::Space), (account, Kind::Account)] {
                    if let Some(badge) = self.badge(known, slot).filter(|_| slot != 0) {
                        self.kinds.insert(badge, kind);
                    }
                }
                Some((slot, Kind::Program))
            }
            Request::Map { pages, .. } | Request::MapPrivate { pages, .. } => {
                match answer {
                    Answer::Mapped { address } => self.learnt = Some((address, pages)),
                    // Memory of a device is taken in pieces.
                    Answer::More {} => {}
                    _ => panic!("{answer:?}"),
                }
                None
            }
            _ => None,
        };
        if let Some((slot, kind)) = made {
            // A thread that the kernel does not let run is gone again.
            let badge = self.badge(known, slot);
            assert!(badge.is_some() || kind == Kind::Thread, "nothing is where it was asked for");
            if let Some(badge) = badge {
                self.kinds.insert(badge, kind);
            }
        }
    }

    /// What must hold after a refusal: it changed nothing, and on an ample machine it is not for
    /// want of what the account has.
    fn refused(
        &mut self,
        request: &Request,
        refusal: Refusal,
        before: Option<super::check::Figures>,
    ) {
        if self.ample && !self.failing {
            let own = matches!(refusal, Refusal::OutOfMemory {} | Refusal::Internal {});
            assert!(!own, "{request:?} is inside a guarantee: {refusal:?}");
        }
        let Some(before) = before else { return };
        if self.failing {
            // What ends in pieces may be half done, and what is ended ends though a thread of it
            // was not stopped at once: who asks again goes on with it.
            if matches!(
                request,
                Request::Revoke { .. }
                    | Request::Destroy {}
                    | Request::Kill {}
                    | Request::EndThread { .. }
            ) {
                return;
            }
            self.host.kernel().disarm();
            while self.objects.reap_step(&mut self.host.vmm).expect("no call is refused") {
                self.take_answers();
            }
        }
        assert_eq!(self.figures(), before, "{request:?} changed something: {refusal:?}");
    }

    pub fn send(
        &mut self,
        badge: usize,
        label: u32,
        words: &[usize],
        capabilities: &[Arrived],
    ) -> Outcome {
        let message = Incoming { badge, label, words, capabilities, foreign: self.foreign };
        let outcome = self.objects.handle(&mut self.host.vmm, &message);
        self.foreign = outcome.foreign.unwrap_or(self.foreign);
        self.tally.note(label, words, &outcome);
        outcome
    }

    /// A message that nobody means: words, badges and capabilities of any kind.
    fn noise(&mut self, known: &Known, bytes: &mut Bytes<'_>) -> bool {
        let meant = self.request_of(known, bytes).encode();
        let label = match bytes.below(3) {
            0 => bytes.wild() as u32 & 0xf_ffff,
            _ => meant.label(),
        };
        let mut words = meant.words().to_vec();
        if let (false, Some(word)) = (bytes.one_in(4), words.last_mut()) {
            *word ^= 1 << bytes.below(32);
        }
        words.resize((words.len() + bytes.below(3)).saturating_sub(1), bytes.wild());
        let any = |bytes: &mut Bytes<'_>, world: &Self| match bytes.below(4) {
            0 => bytes.wild(),
            1 => bytes.below(64),
            _ => {
                let slots = world.slots_of(known, None);
                let slot = slots.get(bytes.below(slots.len())).copied();
                slot.and_then(|slot| world.badge(known, slot)).unwrap_or(0)
            }
        };
        let arrived: Vec<Arrived> = (0..bytes.below(4))
            .map(|_| match bytes.one_in(4) {
                true => Arrived::Foreign,
                false => Arrived::Own(any(bytes, self)),
            })
            .collect();
        let own = self.badge(known, PROGRAM_SLOT).unwrap_or(0);
        let badge = if bytes.one_in(2) { own } else { any(bytes, self) };
        let outcome = self.send(badge, label, &words, &arrived);
        if let Some(answer) = outcome.answer {
            answer_or_refusal(answer.label(), answer.words()).expect("a sound answer").ok();
        }
        self.act(outcome.act, bytes);
        if let Some(slot) = outcome.waits {
            self.save_caller(slot);
        }
        self.lives(known.id)
    }

    /// Time passes, as a rule.
    fn pass_time(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.below(40) {
            0 => self.objects.stop_time(),
            some @ 1..10 => {
                self.now += some as u64;
                self.objects.set_time(self.now);
            }
            _ => {}
        }
    }

    /// A thread touches a page, mostly of a mapping of its program's.
    pub fn touch(&mut self, known: &Known, bytes: &mut Bytes<'_>) -> bool {
        let Some(&(start, pages)) = known.mapped.get(bytes.below(known.mapped.len())) else {
            return true;
        };
        let address = match bytes.one_in(16) {
            true => bytes.wild() as u32 as usize,
            false => start + bytes.below(pages as usize) * PAGE,
        };
        if bytes.one_in(4) {
            // A program that it may load, where the page is there.
            let file = super::image::program(self.host.target());
            let _ = self.host.vmm.write(known.id.space(), start, file);
        }
        let access = bytes.pick(&[Access::Write, Access::Read]);
        let space = known.id.space();
        let vspace = self.host.vmm.vspace(space).expect("it lives");
        let mapped = self.host.kernel().mapping(vspace, address & !0xfff);
        let wanted = if access == Access::Write { CapRights::WRITE } else { CapRights::READ };
        if mapped.as_ref().is_some_and(|page| page.rights.contains(wanted)) {
            return true;
        }
        let fault = PageFault { address, access, present: mapped.is_some(), ip: 0 };
        self.objects.note_fault(Some(space), None);
        let (vmm, write) = (&mut self.host.vmm, access == Access::Write);
        match vmm.resolve_fault(space, &fault) {
            Ok(Resolution::AskPager { token, page }) => {
                let lacking = self.objects.lacking();
                let touched = self.objects.touch(vmm, (token, page), write);
                self.tally.lacking += (self.objects.lacking() - lacking) as usize;
                if self.ample && !self.failing {
                    touched.expect("a touch inside a guarantee");
                }
                let done = touched == Ok(Touched::Done);
                self.tally.touched += usize::from(done);
                let page = self.host.vmm.mapping_at(space, address).ok().flatten();
                let large = page.is_some_and(|page| page.size_bits > 12);
                self.tally.large += usize::from(done && large);
                self.note_copy(space, address, write && touched == Ok(Touched::Done));
                self.tally.paged += usize::from(matches!(touched, Ok(Touched::Waits(_))));
            }
            Ok(Resolution::Unresolved(_)) if write => {
                let touched = self.objects.touch_to_write(vmm, address);
                assert!(touched.is_ok() || self.failing || !self.ample, "{touched:?}");
                self.tally.written += usize::from(touched == Ok(Touched::Done));
                self.note_copy(space, address, touched == Ok(Touched::Done));
            }
            Ok(_) => {}
            Err(error) => {
                let short = error.blame() == vmm::Blame::Resource && self.ample;
                assert!(!short || self.failing, "a touch inside a guarantee: {error:?}");
            }
        }
        true
    }

    /// Counts a write that the service served by a copy: pages of memory objects are shared with
    /// their store.
    fn note_copy(&mut self, space: vmm::SpaceId, address: usize, served: bool) {
        let page = self.host.vmm.mapping_at(space, address).ok().flatten();
        let own = page.is_some_and(|page| page.source == vmm::Source::Owned);
        self.tally.copied += usize::from(served && own);
    }

    /// A program copies a capability, for itself or for another, or deletes one.
    fn pass_on(&mut self, known: &Known, bytes: &mut Bytes<'_>) -> bool {
        self.host.kernel().disarm();
        let from = bytes.below(SLOTS as usize) as u32;
        let to = 8 + bytes.below(SLOTS as usize - 8) as u32;
        let other = self.programs.get(bytes.below(self.programs.len()));
        let into = other.filter(|_| bytes.one_in(2)).unwrap_or(known);
        if into.id != known.id {
            // Between programs capabilities go by an endpoint that both were given.
            for program in [known, into] {
                let place = ((1 << program.cnode_bits) - 1, self.endpoint);
                let vmm = &mut self.host.vmm;
                // One may have it already, or have ended.
                let _ = self.objects.give_capability(vmm, program.id, place, CapRights::WRITE);
            }
        }
        let into = into.slot(to);
        let kernel = self.host.vmm.kernel_mut();
        // The kernel refuses what is not there, and occupied slots.
        match bytes.below(4) {
            0 => drop(kernel.cnode_delete(known.slot(to))),
            1 => drop(kernel.cnode_delete(known.slot(from))),
            _ => drop(kernel.cnode_copy(into, known.slot(from), CapRights::all())),
        }
        true
    }

    /// Charges a message; its sender is held if it had its turn.
    fn hold(&mut self, badge: usize, answer: &Message, bytes: &mut Bytes<'_>) {
        let took = bytes.below(SLICE as usize) as u64;
        if self.objects.charge_time(badge, 0, took).is_none() {
            return;
        }
        let turnstile = Turnstile(bytes.below(3) as u8);
        let Some(slot) = self.objects.hold(answer, turnstile) else { return };
        assert!(!self.open.contains(&slot), "the slot keeps another's right to be answered");
        match bytes.one_in(8) {
            // Nobody waits for it.
            true => drop(self.objects.hold_thread(turnstile)),
            false => self.save_caller(slot),
        }
    }

    /// The others had their turn.
    fn come_round(&mut self, bytes: &mut Bytes<'_>) -> bool {
        self.objects.come_round(Turnstile(bytes.below(3) as u8), 0);
        true
    }

    /// A slot keeps a right to answer: there is something in it.
    pub fn save_caller(&mut self, slot: CPtr) {
        assert!(self.open.insert(slot), "the slot keeps another's right to be answered");
        let allocator = self.host.vmm.allocator();
        let (to, from) = (allocator.path(slot), allocator.path(self.endpoint));
        self.host.kernel().transfer(to, Some(from)).expect("it is a slot");
    }

    /// Takes all answers that are given now.
    pub fn take_answers(&mut self) {
        while let Some((slot, answer)) = self.objects.next_answer(&mut self.host.vmm) {
            answer_or_refusal(answer.label(), answer.words()).expect("a sound answer").ok();
            assert!(self.open.remove(&slot), "nobody waits for this");
            let path = self.host.vmm.allocator().path(slot);
            self.host.kernel().transfer(path, None).expect("it is a slot");
            self.tally.went_on += 1;
        }
        while self.objects.next_thread().is_some() {}
        while self.objects.next_notice().is_some() {
            self.tally.told += 1;
        }
    }

    fn reap(&mut self) -> bool {
        match self.objects.reap_step(&mut self.host.vmm) {
            Ok(_) => {}
            Err(error) => assert!(self.failing, "{error:?}"),
        }
        true
    }

    fn kill(&mut self, known: &Known) -> bool {
        self.objects.kill(known.id).expect("it lives");
        self.objects.kill(known.id).expect_err("it has ended");
        false
    }

    /// Others take memory, or give it back.
    fn squeeze_memory(&mut self, bytes: &mut Bytes<'_>) -> bool {
        if self.ample {
            return true;
        }
        if bytes.one_in(2) {
            if let Some(region) = self.regions.pop()
                && self.host.vmm.release(region).is_err()
            {
                self.regions.push(region);
            }
            return true;
        }
        let pages = bytes.pick(&[1, 60, 300, 1000]);
        self.take_memory(pages);
        true
    }

    /// Others take so many pages; returns whether there were as many.
    pub fn take_memory(&mut self, pages: usize) -> bool {
        let own = self.host.own();
        let region = self.host.vmm.map(own, &RegionOptions::new(pages));
        self.regions.extend(region);
        region.is_ok()
    }

    /// Others take slots, or give them back.
    fn squeeze_slots(&mut self, bytes: &mut Bytes<'_>) -> bool {
        if self.ample {
            return true;
        }
        if bytes.one_in(2) {
            if let Some((first, count)) = self.slots.pop() {
                self.host.vmm.free_slots(first, count).expect("they are ours");
            }
            return true;
        }
        let count = bytes.pick(&[1, 30, 500]);
        if let Ok(first) = self.host.vmm.alloc_slots(count) {
            self.slots.push((first, count));
        }
        true
    }
}
