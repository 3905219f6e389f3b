// SPDX-License-Identifier: BSD-2-Clause
//! A step: a message, a touch, a heap that grows and shrinks; and what is learned from the answer.

use vmm::{Access, FaultClass, PageFault};
use vmm_service::Event;
use vmm_service::protocol::{Answer, Name, Options, Refusal, Request, Reserve, Rights};

use super::dice::{TABLE, across_a_line};
use super::storm::Storm;
use crate::world::PAGE;

/// Kernel calls that one message causes at the most: each of 64 pages may be broken out of
/// copy-on-write (seven calls), copied and mapped, and memory be made for it. Where there is none,
/// as many pages are moved (six calls), their memory is given back, and all is tried once more.
const MAX_CALLS: u64 = 2 * (64 * 9 + 30) + 64 * 6 + 16;

impl Storm {
    pub fn step(&mut self) {
        if self.random.one_in(4) {
            let _ = self.world.service.reap_step(&mut self.world.fixture.vmm).unwrap();
            self.do_deferred();
        }
        if self.senders.is_empty() {
            self.refill();
            return;
        }
        let sender = self.random.below(self.senders.len() as u32) as usize;
        let client = self.senders[sender].client;
        if self.random.one_in(5) {
            self.touch(sender);
        }
        if self.random.one_in(16) {
            self.heap(sender);
        }
        let (label, words, capabilities) = self.message(sender);
        let before = self.world.fixture.vmm.kernel_calls();
        let outcome = self.world.send(client.badge(), label, &words, capabilities);
        let calls = self.world.fixture.vmm.kernel_calls().since(&before).total();
        assert!(calls <= MAX_CALLS, "{calls} kernel calls for {label:#x} {words:x?}");
        self.most_calls = self.most_calls.max(calls);
        if let Some(Event::Exited(gone, _) | Event::Killed(gone)) = outcome.event {
            self.senders.retain(|sender| sender.client != gone);
            self.refill();
        }
        self.do_deferred();
        let Some(answer) = outcome.answer else {
            let said = outcome.event.is_some() || outcome.keep.is_some();
            assert!(said, "{label:#x} {words:x?} no answer");
            return;
        };
        self.answered += 1;
        let answer = Answer::parse(answer.label(), answer.words()).expect("a sound answer");
        if answer.is_ok() {
            *self.granted.entry(label & 0xfff).or_default() += 1;
        }
        let Some(sender) = self.senders.iter_mut().find(|sender| sender.client == client) else {
            return;
        };
        sender.rest.extend(rest_of(label, &words, answer));
        match answer {
            Ok(
                Answer::Region { handle, first, pages } | Answer::Part { handle, first, pages, .. },
            ) => {
                sender.regions.push((handle, first, pages));
                if label & 0xfff == 20 {
                    sender.paged.push((handle, first, pages));
                }
            }
            Ok(Answer::Address(address)) => sender.buffers.push(address),
            Ok(Answer::Fault(fault)) => self.faults.push((client, fault.ticket)),
            Ok(Answer::Done) if words.len() == 1 => {
                sender.buffers.retain(|&known| known != words[0]);
            }
            Ok(Answer::Done) if words.len() == 3 => {
                let released = (words[0], words[1] as u64 | (words[2] as u64) << 32);
                sender.regions.retain(|(known, ..)| (known.start, known.serial) != released);
            }
            Ok(_) => {}
            Err(refusal) => {
                assert_ne!(refusal, Refusal::Internal, "{label:#x} {words:x?}");
                self.refused += 1;
                self.short += usize::from(refusal == Refusal::OutOfMemory);
            }
        }
    }

    /// The sender's thread writes somewhere.
    fn touch(&mut self, sender: usize) {
        let paged = self.senders[sender].paged.last().copied().filter(|_| self.random.one_in(2));
        let known = paged.or_else(|| self.random.pick(&self.senders[sender].regions));
        let Some((_, first, pages)) = known else { return };
        let address = first.wrapping_add(self.random.below(pages.max(1)) as usize * PAGE);
        let tag = u64::from(self.random.next());
        let client = self.senders[sender].client;
        let fault =
            PageFault { address: address as usize, access: Access::Write, present: false, ip: 0 };
        let class = self.world.fixture.vmm.classify_fault(client.space(), &fault).unwrap();
        match (class, self.world.thread(client)) {
            (FaultClass::Pager { .. }, Some(thread)) => {
                self.world.wait_for_page(thread, address, Access::Write);
                self.do_deferred();
            }
            _ => drop(self.world.touch(client, address, tag)),
        }
    }

    /// The sender's heap grows over the line between two page tables, by touches in order, shrinks
    /// to the line or to nothing, and grows again.
    fn heap(&mut self, sender: usize) {
        let client = self.senders[sender].client;
        let start = across_a_line(&mut self.random);
        let pages = 4 + self.random.below(12);
        let reserve = Request::Reserve(Reserve {
            pages,
            address: start,
            rights: Rights::READ_WRITE,
            ceiling: Rights::READ_WRITE,
            around: 1,
            guards: (0, 0),
            options: Options::empty(),
            name: Name::new("heap"),
        });
        let reserved = self.ask(client, reserve);
        let Ok(Answer::Region { handle, first, .. }) = reserved else { return };
        let line = (first | (TABLE - 1)) + 1;
        let end = first + pages as usize * PAGE;
        for _ in 0..2 + self.random.below(3) {
            for page in 0..pages {
                if !self.world.touch(client, first + page as usize * PAGE, u64::from(page)) {
                    break;
                }
            }
            let (from, to) = match self.random.below(3) {
                0 => (first, end),
                1 => (first, line.min(end)),
                _ => (line.min(end - PAGE), end),
            };
            // Page by page from the top, as a heap shrinks; some pages may not be there.
            for address in (from..to).step_by(PAGE as usize).rev() {
                let _ = self.ask(client, Request::Unmap { start: address, pages: 1 });
            }
        }
        self.senders[sender].regions.push((handle, first, pages));
    }
}

/// What is left to be asked for after a piece.
fn rest_of(label: u32, words: &[usize], answer: Result<Answer, Refusal>) -> Option<Request> {
    let rest = |start, pages, some| (start + some as usize * PAGE, pages - some);
    match (Request::parse(label, words).ok()?, answer.ok()?) {
        (Request::Map { start, pages }, Answer::Pages(some)) if some < pages => {
            let (start, pages) = rest(start, pages, some);
            Some(Request::Map { start, pages })
        }
        (Request::Clone { region, .. }, Answer::Part { handle: into, pages, done, .. }) => {
            (done < pages).then_some(Request::CloneMore { region, into, page: done })
        }
        (Request::Accept { from, .. }, Answer::Part { handle: region, pages, done, .. }) => {
            (done < pages).then_some(Request::AcceptMore { from, region })
        }
        _ => None,
    }
}
