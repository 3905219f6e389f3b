// SPDX-License-Identifier: BSD-2-Clause
//! Random hostile messages: what the fuzz target `objects_ops` makes of bytes, here of bytes that
//! look random. `VMM_MESSAGES` says how many messages there are at the least, `VMM_HISTORIES` how
//! many histories there are where that is not said, `VMM_SEED` which.

use vmm_service::objects::protocol::{Refusal, Request};
use vmm_tests::support::random::{Random, setting};

use crate::objects_ops::{Tally, run};

/// Bytes that look random, the same for the same seed.
fn input(seed: u64) -> Vec<u8> {
    let mut random = Random::seeded(seed);
    (0..6000).map(|_| (random.bits() >> 32) as u8).collect()
}

/// How many histories there are without a number.
const HISTORIES: u64 = 120;
/// Of fewer messages nothing is said of what came of them.
const MIN_MESSAGES: u64 = 20_000;

/// Says which history it was that panicked.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "again: VMM_SEED={} VMM_HISTORIES=1, with VMM_FUZZ_TRACE=1 to see it",
                self.0
            );
        }
    }
}

/// A153 A354: capabilities right and wrong in every place, unknown bits, objects destroyed and
/// passed on, calls that fail, short memory.
#[test]
fn no_message_breaks_an_account_or_another_program() {
    let first = setting("VMM_SEED", 0x0b1e);
    let (histories, messages) = (setting("VMM_HISTORIES", HISTORIES), setting("VMM_MESSAGES", 0));
    let mut sum = Tally::default();
    for seed in first.. {
        let enough =
            if messages == 0 { seed == first + histories } else { sum.messages >= messages };
        if enough {
            break;
        }
        let named = Named(seed);
        sum += run(&input(seed));
        drop(named);
    }
    println!("{sum:?}");
    for &name in Request::NAMES {
        let [granted, refused] = sum.requests.get(name).copied().unwrap_or_default();
        println!("{name:20} granted {granted:7}, refused {refused:7}");
    }
    println!("{} messages", sum.messages);
    if sum.messages < MIN_MESSAGES {
        return;
    }
    // A storm of which all was refused, or all granted, would say nothing.
    assert!(sum.granted > 1000 && sum.refused > 1000, "{sum:?}");
    assert!(sum.touched > 0 && sum.failed > 0 && sum.started > 0, "{sum:?}");
    assert!(sum.stopped > 10 && sum.alone > 10, "{sum:?}");
    assert!(sum.threads > 0 && sum.paged > 0 && sum.written > 0 && sum.supplied > 100, "{sum:?}");
    assert!(sum.halted > 5 && sum.firsts > 5, "{sum:?}");
    assert!(sum.copied > 0 && sum.large > 5, "{sum:?}");
    assert!(sum.lacking > 0 && sum.told > 10, "{sum:?}");
    for &name in Request::NAMES {
        let [granted, refused] = sum.requests.get(name).copied().unwrap_or_default();
        assert!(granted >= 4, "{name} was granted {granted} times");
        assert!(refused >= 1, "{name} was never refused");
    }
    for &name in Refusal::NAMES {
        let reason = NO_REFUSALS.iter().find(|(other, _)| *other == name);
        let came = sum.refusals.contains(name);
        assert!(came || reason.is_some(), "nothing was refused with {name}");
    }
}

/// Refusals that need not come in a storm, each with the reason.
const NO_REFUSALS: [(&str, &str); 3] = [
    ("NoRoom", "no address space is ever full"),
    ("TooDeep", "accounts and reservations are sixteen deep then"),
    ("TooManyThreads", "a program has more threads then than its account pays for"),
];
