// SPDX-License-Identifier: BSD-2-Clause
//! Requests over several spaces through the manager.
//!
//! ```text
//!   bytes ──► request ──► manager on the model kernel, perhaps with a kernel call that fails
//!               │                                │
//!               └──► vmm_tests::expected ◄───────┴──► validate(), the model's own check,
//!                                                     and every page compared
//! ```
//!
//! A request that fails for an injected reason is made once more without it. Where all calls from
//! one on failed, undoing failed too: then `trim` undoes it. At the end everything is given back,
//! and nothing may be left.

mod decode;

use vmm_tests::expected::{Failing, Look, Request, Rules, Run};
use vmm_tests::model::Arena;
use vmm_tests::support::Fixture;

use crate::bytes::Bytes;
use crate::machine::{self, CHECKED, CHECKED_EACH};

/// Requests of one input at the most: long ones say little more and take long to check.
const MAX_STEPS: usize = 64;

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let machine = machine::machine(&mut bytes);
    let arena = Arena::new();
    let trace = std::env::var_os("VMM_FUZZ_TRACE").is_some();
    let host = Fixture::boot(&arena, machine);
    let mut run = Run::new(host, Rules { trace, ..Rules::LENIENT });
    let mut steps = 0;
    compare(&mut run, &mut steps);
    for _ in 0..MAX_STEPS {
        if bytes.is_empty() {
            break;
        }
        let failing = decode::failing(&mut bytes);
        let request = decode::request(&mut bytes, run.state.target);
        let failed = step(&mut run, &mut steps, request, failing);
        if failed {
            step(&mut run, &mut steps, request, None);
        }
    }
    give_all_back(&mut run, &mut steps);
}

/// Makes one request; says whether it failed for the injected reason.
fn step(run: &mut Run<'_>, steps: &mut usize, request: Request, failing: Option<Failing>) -> bool {
    let outcome = run.step(request, failing);
    let fired = outcome.is_err_and(|halt| halt.fired);
    if fired && CHECKED {
        run.host.kernel().check_manager();
    }
    compare(run, steps);
    fired
}

fn compare(run: &mut Run<'_>, steps: &mut usize) {
    if !CHECKED {
        return;
    }
    *steps += 1;
    if run.rules.trace || steps.is_multiple_of(CHECKED_EACH) {
        run.host.kernel().check_manager();
    }
    run.compare(Look::AtEnds);
}

/// Gives everything back, and looks for what is left.
fn give_all_back(run: &mut Run<'_>, steps: &mut usize) {
    run.give_all_back(false, &mut |run| compare(run, steps));
    run.host.vmm.trim().expect("no call is refused");
    assert_eq!(run.host.vmm.validate(), Ok(()));
    if CHECKED {
        run.compare(Look::AtEnds);
        run.host.kernel().check_manager();
        nothing_is_left(run);
    }
}

fn nothing_is_left(run: &Run<'_>) {
    let stats = run.host.vmm.stats();
    let live = stats.allocator.live;
    assert_eq!(live.frames[0], stats.bookkeeping_pages, "frames that live are book-keeping");
    assert_eq!(live.frames[1] + live.frames[2], 0, "no large frame lives");
    assert_eq!(stats.allocator.quarantined, 0, "nothing is in quarantine");
    let kernel = run.host.kernel();
    let empty = (kernel.facts().free.clone())
        .filter(|&slot| kernel.is_empty_slot(vmm::CPtr::new(slot)))
        .count();
    if run.host.vmm.allocator().grown_root().is_none() {
        assert_eq!(empty, stats.allocator.free_slots, "slots that are empty are free");
    }
}
