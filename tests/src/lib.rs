//! What the memory crates are tested with, on the host.
//!
//! | module | what it is |
//! |---|---|
//! | [`model`] | the model kernel: seL4 5.0.0's rules for capabilities, untypeds and mappings |
//! | [`transcript`] | the comparison of the model with what the real kernel answered |
//!
//! The suites themselves are the integration tests of this package.
#![forbid(unsafe_code)]

pub mod model;
pub mod transcript;
