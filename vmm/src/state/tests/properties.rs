// SPDX-License-Identifier: BSD-2-Clause
//! Histories of random bytes, repeated and shrunk by proptest.

use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};

use super::{extent_history, region_history};

/// Plays a history on so many inputs of up to `length` bytes; on few under Miri.
pub(super) fn play(cases: u32, length: usize, history: fn(&[u8])) {
    let mut config =
        Config { failure_persistence: None, max_shrink_iters: 4000, ..Config::default() };
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = RngSeed::Fixed(0x57a7e);
    }
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = if cfg!(miri) { 2 } else { cases };
    }
    let length = if cfg!(miri) { length / 8 } else { length };
    let input = vec(any::<u8>(), length / 2..length);
    let played = TestRunner::new(config).run(&input, |bytes: Vec<u8>| {
        history(&bytes);
        Ok(())
    });
    match played {
        Ok(()) => {}
        Err(TestError::Fail(why, bytes)) => panic!("{why}; the smallest input: {bytes:?}"),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn regions_are_what_their_model_says() {
    play(1500, 900, region_history::run);
}

#[test]
fn extents_are_what_their_model_says() {
    play(700, 900, extent_history::run);
}

#[test]
fn a_fuzz_input_names_its_history() {
    super::run(&[]);
    play(20, 200, super::run);
}
