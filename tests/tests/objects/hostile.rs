// SPDX-License-Identifier: BSD-2-Clause
//! Random hostile messages: what the fuzz target `objects_ops` makes of bytes, here of bytes that
//! look random. `VMM_HISTORIES` says how many histories, `VMM_SEED` which.

use crate::objects_ops::{Tally, run};

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Bytes that look random, the same for the same seed.
fn input(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..6000).map(|_| next()).collect()
}

/// A153: capabilities right and wrong in every place, unknown bits, objects destroyed and passed
/// on, calls that fail, short memory.
#[test]
fn no_message_breaks_an_account_or_another_program() {
    let first = setting("VMM_SEED", 0x0b1e);
    let mut sum = Tally::default();
    for seed in first..first + setting("VMM_HISTORIES", 80) {
        let one = run(&input(seed));
        let Tally { granted, refused, waited, went_on, started, touched, failed, .. } = one;
        let Tally { paged, written, copied, supplied, threads, stopped, halted, .. } = one;
        let Tally { firsts, alone, large, lacking, told, .. } = one;
        sum.lacking += lacking;
        sum.told += told;
        sum.large += large;
        sum.halted += halted;
        sum.firsts += firsts;
        sum.stopped += stopped;
        sum.alone += alone;
        sum.threads += threads;
        sum.paged += paged;
        sum.written += written;
        sum.copied += copied;
        sum.supplied += supplied;
        sum.started += started;
        sum.waited += waited;
        sum.went_on += went_on;
        sum.granted += granted;
        sum.refused += refused;
        sum.touched += touched;
        sum.failed += failed;
    }
    println!("{sum:?}");
    // A storm of which all was refused, or all granted, would say nothing.
    assert!(sum.granted > 1000 && sum.refused > 1000, "{sum:?}");
    assert!(sum.touched > 0 && sum.failed > 0 && sum.started > 0, "{sum:?}");
    assert!(sum.stopped > 10 && sum.alone > 10, "{sum:?}");
    assert!(sum.threads > 0 && sum.paged > 0 && sum.written > 0 && sum.supplied > 100, "{sum:?}");
    assert!(sum.halted > 5 && sum.firsts > 5, "{sum:?}");
    assert!(sum.copied > 0 && sum.large > 5, "{sum:?}");
    assert!(sum.lacking > 0 && sum.told > 10, "{sum:?}");
}
