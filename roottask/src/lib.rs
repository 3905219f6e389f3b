//! The programs that boot.
#![no_std]
