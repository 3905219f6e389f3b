// SPDX-License-Identifier: BSD-2-Clause
//! What must hold after each step, and at the end.

use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, Amounts, Answer, MemoryOptions, PROGRAM_SLOT, Refusal, Request, Rights,
    SPACE_SLOT, answer_or_refusal,
};
use vmm_tests::support::PAGE;

use super::tally::Tally;
use super::world::World;
use crate::machine::{CHECKED, CHECKED_EACH, give_back};

/// What a refused request leaves as it is: how many records there are, and what is used.
pub type Figures = ([usize; 4], (Amounts, Amounts));

/// Pages of the memory that nobody may change.
const KEPT: u32 = 6;
/// A slot that the program that sends nothing leaves empty till the end.
const SPARE: u32 = 9;

impl World<'_> {
    pub fn figures(&self) -> Figures {
        (self.objects.counts(), self.objects.amounts())
    }

    /// All that must hold between two steps.
    pub fn check(&mut self) {
        if !CHECKED {
            return;
        }
        self.steps += 1;
        assert_eq!(self.host.vmm.validate(), Ok(()));
        assert_eq!(self.objects.validate(&self.host.vmm), Ok(()));
        if self.trace || self.steps.is_multiple_of(CHECKED_EACH) {
            self.host.kernel().check_manager();
            self.host.check_kept();
            self.check_victim();
        }
    }

    /// Has the program that sends nothing ask for something.
    fn ask_as_victim(&mut self, request: Request, slots: &[u32]) -> Result<Answer, Refusal> {
        let badge = self.badge(&self.victim, PROGRAM_SLOT).expect("it lives");
        let arrived = self.arrive(&self.victim, slots);
        let message = request.encode();
        let answer = self.send(badge, message.label(), message.words(), &arrived).answer;
        let answer = answer.expect("a program that lives is answered");
        answer_or_refusal(answer.label(), answer.words()).expect("a sound answer")
    }

    /// New pages of the program that sends nothing, all there; `None` where memory is short.
    fn new_pages(&mut self, pages: u32, slot: u32) -> Option<usize> {
        let request = Request::CreateMemory { pages, options: MemoryOptions::WRITABLE, slot };
        self.ask_as_victim(request, &[ACCOUNT_SLOT]).ok()?;
        let map = Request::Map { address: 0, first: 0, pages, rights: Rights::READ_WRITE };
        let mapped = self.ask_as_victim(map, &[SPACE_SLOT, slot, ACCOUNT_SLOT]).ok()?;
        let Answer::Mapped { address } = mapped else { panic!("{mapped:?}") };
        let populated = self.ask_as_victim(Request::Populate { address, pages }, &[SPACE_SLOT]);
        (populated == Ok(Answer::Pages { pages })).then_some(address)
    }

    pub fn fill_victim(&mut self) {
        let Some(start) = self.new_pages(KEPT, SPARE - 1) else {
            return assert!(!self.ample, "the first pages are inside a guarantee");
        };
        for page in 0..KEPT as usize {
            let (space, at) = (self.victim.id.space(), start + page * PAGE);
            self.host.write(space, at, page as u64 + 1);
            self.kept.insert(at, page as u64 + 1);
        }
    }

    fn check_victim(&self) {
        for (&at, &held) in &self.kept {
            let found = self.host.read(self.victim.id.space(), at);
            assert_eq!(found, held, "another program's memory has changed at {at:#x}");
        }
    }

    /// The guarantee holds; then everybody ends, and all comes back.
    pub fn end(mut self) -> Tally {
        self.tally.failed = self.host.kernel().injected_failures();
        self.host.kernel().disarm();
        self.check_victim();
        if self.ample {
            self.new_pages(60, SPARE).expect("a guarantee holds, whatever others did");
        }
        let programs = self.programs.iter().map(|program| program.id);
        for program in programs.chain([self.victim.id]).collect::<Vec<_>>() {
            if self.lives(program) {
                self.objects.kill(program).expect("it lives");
            }
        }
        let mut pieces = 0;
        while self.objects.reap_step(&mut self.host.vmm).expect("no call is refused") {
            pieces += 1;
            assert!(pieces < 10_000, "what ended is never gone");
            self.take_answers();
        }
        self.take_answers();
        assert!(self.open.is_empty(), "somebody is never answered: {:?}", self.open);
        assert_eq!(self.objects.lacking(), 0, "somebody waits for memory still");
        assert_eq!(self.objects.counts(), [2, 0, 0, 0], "records are left");
        assert_eq!(self.objects.amounts().1, Amounts::NONE, "amounts are left");
        self.objects.close(&mut self.host.vmm).expect("no call is refused");
        give_back(&mut self.host, &mut self.regions, &mut self.slots);
        self.host.kernel().check_manager();
        self.tally
    }
}
