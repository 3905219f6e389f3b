// SPDX-License-Identifier: BSD-2-Clause
//! What all suites use: machines to boot, a manager on a model kernel, snapshots to compare (all of
//! the library), and how a test is made for each architecture and for random values.

pub mod ballast;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestRunner};

pub use vmm_tests::support::{BootParts, Essence, Fixture, Machine, PAGE, Snapshot, Target};

/// Runs `test` on values made by `strategy`, and shrinks what fails. The same values every time,
/// unless `PROPTEST_RNG_SEED` says otherwise; `cases` of them, unless `PROPTEST_CASES` does.
pub fn explore_with<S: Strategy>(strategy: S, cases: u32, test: impl Fn(S::Value)) {
    let mut config = Config { failure_persistence: None, ..Config::default() };
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = RngSeed::Fixed(0x5e14);
    }
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    config.max_shrink_iters = 20_000;
    let outcome = TestRunner::new(config).run(&strategy, |value| {
        test(value);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// Makes a test of each function, which takes a [`Target`], for each architecture that it runs on.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod ia32 {
            $(#[test] fn $name() { super::$name($crate::support::Target::Ia32) })*
        }
        #[cfg(target_pointer_width = "64")]
        mod x86_64 {
            $(#[test] fn $name() { super::$name($crate::support::Target::X86_64) })*
        }
    };
}
pub(crate) use on_both;

/// The same, and for two that are described and not run on. What takes long is left to `on_both`.
macro_rules! on_each {
    ($($name:ident),* $(,)?) => {
        $crate::support::on_both!($($name),*);
        #[cfg(target_pointer_width = "64")]
        mod aarch64 {
            $(#[test] fn $name() { super::$name($crate::support::Target::Aarch64) })*
        }
        #[cfg(target_pointer_width = "64")]
        mod riscv64 {
            $(#[test] fn $name() { super::$name($crate::support::Target::Riscv64) })*
        }
    };
}
pub(crate) use on_each;
