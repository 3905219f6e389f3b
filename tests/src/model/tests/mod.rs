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
mod x86_64;
mod zombies;
