// SPDX-License-Identifier: BSD-2-Clause
//! What is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

use vmm_service::objects::Outcome;
use vmm_service::objects::protocol::{Refusal, Request, answer_or_refusal};

/// What came of one input.
#[derive(Clone, Default, Debug)]
pub struct Tally {
    /// Messages that were sent, of any kind.
    pub messages: u64,
    /// By the name of each request, how often it was granted and how often refused.
    pub requests: BTreeMap<&'static str, [u64; 2]>,
    /// The names of the refusals that came.
    pub refusals: BTreeSet<&'static str>,
    /// Requests that were granted.
    pub granted: usize,
    /// Requests that were refused.
    pub refused: usize,
    /// Requests that waited.
    pub waited: usize,
    /// Those of them that were answered.
    pub went_on: usize,
    /// Programs that others started.
    pub started: usize,
    /// Pages that were mapped by a touch.
    pub touched: usize,
    /// Threads that programs started beside their first.
    pub threads: usize,
    /// How often a thread that was to be suspended was.
    pub stopped: usize,
    /// How often a program was to be suspended.
    pub halted: usize,
    /// How often who holds a program has got its first thread.
    pub firsts: usize,
    /// Faults that ended no program.
    pub alone: usize,
    /// Touches of pages that a pager is to supply.
    pub paged: usize,
    /// Touches for which there was no memory, and that wait for some.
    pub lacking: usize,
    /// What was told of ends, faults, pages and accounts.
    pub told: usize,
    /// First writes to supplied pages.
    pub written: usize,
    /// Writes to pages of private mappings, which are copies from then on.
    pub copied: usize,
    /// Large pages that were mapped by a touch.
    pub large: usize,
    /// Pages that were supplied or taken back.
    pub supplied: usize,
    /// Kernel calls that failed by the input's choice.
    pub failed: u64,
}

impl Tally {
    /// Counts a message, and what came of it. Who sleeps is granted that, and so is the end of who
    /// is not answered for it.
    pub fn note(&mut self, label: u32, words: &[usize], outcome: &Outcome) {
        self.messages += 1;
        let Ok(request) = Request::parse(label, words) else { return };
        let answer = outcome.answer.as_ref().map(|answer| {
            answer_or_refusal(answer.label(), answer.words()).expect("a sound answer")
        });
        let granted = match (answer, request) {
            (Some(Ok(_)), _) => true,
            (Some(Err(refusal)), _) => {
                self.refusals.insert(refusal.name());
                false
            }
            (None, Request::Exit { .. }) => outcome.event.is_some(),
            (None, Request::Sleep { .. }) => outcome.waits.is_some(),
            _ => outcome.ends,
        };
        if granted || answer.is_some() {
            let [grants, refusals] = self.requests.entry(request.name()).or_default();
            *if granted { grants } else { refusals } += 1;
        }
    }

    /// Counts what the kernel answered when a notification was to be bound.
    pub fn note_bound(&mut self, place: u32, refusal: Option<Refusal>) {
        let Some(refusal) = refusal else { return };
        let name = if place == 0 { "Bind" } else { "BindThread" };
        self.refusals.insert(refusal.name());
        if let Some([grants, refusals]) = self.requests.get_mut(name) {
            *grants -= 1;
            *refusals += 1;
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        for (name, [granted, refused]) in other.requests {
            let sum = self.requests.entry(name).or_default();
            *sum = [sum[0] + granted, sum[1] + refused];
        }
        self.refusals.extend(other.refusals);
        self.messages += other.messages;
        self.granted += other.granted;
        self.refused += other.refused;
        self.waited += other.waited;
        self.went_on += other.went_on;
        self.started += other.started;
        self.touched += other.touched;
        self.threads += other.threads;
        self.stopped += other.stopped;
        self.halted += other.halted;
        self.firsts += other.firsts;
        self.alone += other.alone;
        self.paged += other.paged;
        self.written += other.written;
        self.copied += other.copied;
        self.large += other.large;
        self.lacking += other.lacking;
        self.told += other.told;
        self.supplied += other.supplied;
        self.failed += other.failed;
    }
}
