//! Untyped memory, capability slots and frames for seL4.
#![no_std]
#![forbid(unsafe_code)]
pub mod kernel;
