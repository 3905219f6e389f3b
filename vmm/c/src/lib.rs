// SPDX-License-Identifier: BSD-2-Clause
//! The manager for C callers: what `include/vmm.h` declares.
//!
//! Names are C's: each public item here is one of the header, which cbindgen makes of these files
//! (`vmm-c-header`), comments included. So comments of public items are for readers of C.
//!
//! | room | what is in it |
//! |---|---|
//! | `types` | codes, ids, options and what is told, as C lays them out |
//! | `manager` | the one manager, its lock, and how an answer becomes a code |
//! | `start`, `memory`, `objects`, `threads`, `faults`, `inspect` | the functions, by subject |
//! | `run` | from the kernel to C's `main` |
//!
//! A function takes pointers as references in an `Option`, which is what C's are: NULL is `None`.
//! It first checks all that it was given, makes the request with the manager locked, and writes
//! what it answers when the manager is unlocked again: the caller's memory may be such that is
//! mapped when it is touched, by a handler that needs the manager.
//!
//! There is one manager in a program, as there is one boot information.
#![no_std]
#![allow(non_camel_case_types)]

#[cfg(feature = "sel4")]
mod faults;
#[cfg(feature = "sel4")]
mod inspect;
#[cfg(feature = "sel4")]
mod manager;
#[cfg(feature = "sel4")]
mod memory;
#[cfg(feature = "sel4")]
mod objects;
#[cfg(feature = "sel4")]
mod run;
#[cfg(feature = "sel4")]
mod start;
#[cfg(feature = "sel4")]
mod threads;
mod types;

pub use types::*;
