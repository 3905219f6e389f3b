//! What all suites use: machines to boot, a manager on a model kernel, snapshots to compare.

mod fixture;
mod machine;
mod snapshot;

pub use fixture::Fixture;
pub use machine::{Machine, Target};
pub use snapshot::{Essence, Snapshot};

/// Bytes of the smallest page.
pub const PAGE: usize = 4096;

/// Makes a test of each function, which takes a [`Target`], for each architecture.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod ia32 {
            $(#[test] fn $name() { super::$name($crate::support::Target::Ia32) })*
        }
        mod x86_64 {
            $(#[test] fn $name() { super::$name($crate::support::Target::X86_64) })*
        }
    };
}
pub(crate) use on_both;
