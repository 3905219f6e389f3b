//! Bindings for seL4 5.0.0 on IA32.
#![no_std]
