//! Runtime for seL4 root tasks.
#![no_std]
