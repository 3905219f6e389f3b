// SPDX-License-Identifier: BSD-2-Clause
//! The model's rules, one test each, by the kernel file they come from.

mod access;
mod asid;
mod boot;
mod cnode;
mod cspace;
mod derivation;
mod inject;
mod support;
mod tcb;
mod untyped;
mod vspace;
#[cfg(target_pointer_width = "64")]
mod x86_64;
mod zombies;
