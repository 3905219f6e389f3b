// SPDX-License-Identifier: BSD-2-Clause
//! Maps paged memory, shared or privately, reads all words of pages and writes its own.
//!
//! Its numbers: seed, steps, its place, what the memory held at first, the step in which it tells
//! its starter where it is, and how it maps: 0 to be read, 1 to be written, 2 privately.

use sel4::{cap, Word};
use vmm_client::handles::{Error, Handle, Memory, Program, Result};
use vmm_client::objects::first_page::Given;
use vmm_client::objects::{Refusal, Rights};
use vmm_clients::trials::{unless_short, Numbers, Shown, SHORT};
use vmm_clients::Random;

use crate::pages::{first_wrong, mark, stripe, GONE, PAGES};

/// How it maps the memory.
const READ: u32 = 0;
const PRIVATE: u32 = 2;

pub fn run(program: &Program, given: &Given<'_>, numbers: Numbers<'_>) -> Result {
    let mut random = Random::new(numbers.at(1) | 1);
    let [steps, own, base, tells, how] = core::array::from_fn(|nth| numbers.at(nth + 2));
    let own = own as usize;
    let memory = Memory::from_slot(given.slot("shown").expect("memory is among it"));
    let (account, space) = (program.account(), program.space());
    let mapped = match how {
        READ => space.map(&memory, Rights::READ, &account),
        PRIVATE => space.map_privately(&memory, (0, PAGES), (0, Rights::READ_WRITE), &account),
        _ => space.map(&memory, Rights::READ_WRITE, &account),
    };
    let Some(mapping) = unless_short(or_gone(program, mapped))? else { program.exit(SHORT) };
    // SAFETY: its pages are supplied when they are touched; words of a stripe are written by one.
    let shown = unsafe { Shown::at(mapping.address()) };
    let mut times = [None; PAGES as usize];
    for step in 1..=steps {
        if let Some(came) = given.slot("came").filter(|_| step == tells) {
            cap::Notification::from_bits(came as Word).signal();
        }
        let page = random.below(PAGES);
        if how != READ && random.below(2) == 0 {
            let next = times[page as usize].map_or(step, |times: u32| times.wrapping_add(1));
            stripe(own).for_each(|at| shown.set(page, at, mark(base, page, at, next)));
            times[page as usize] = Some(next);
        }
        let wrong = first_wrong((shown, base), page, own, times[page as usize]);
        assert_eq!(wrong, None, "page {page} in step {step} of {steps}, mapped as {how}");
        if random.below(16) == 0 {
            let taken = unless_short(or_gone(program, mapping.protect(Rights::READ)))?;
            let given = how == READ || {
                let back = or_gone(program, mapping.protect(Rights::READ_WRITE));
                unless_short(back)?.is_some()
            };
            if taken.is_none() || !given {
                program.exit(SHORT)
            }
        }
    }
    or_gone(program, mapping.unmap())
}

/// Ends the program where what it had mapped was taken away.
fn or_gone<T>(program: &Program, done: Result<T>) -> Result<T> {
    match done.as_ref().map_err(Error::refusal) {
        Err(Some(
            Refusal::NoMapping { .. } | Refusal::NoCapability { .. } | Refusal::Gone { .. },
        )) => program.exit(GONE),
        _ => done,
    }
}
