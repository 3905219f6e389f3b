// SPDX-License-Identifier: BSD-2-Clause
//! Every failure, everywhere: for each request, each of its kernel calls is refused once, and the
//! machine is one page, slot or node short, two short, and so on until it is not.
//!
//! ```text
//!   scenario.rs    what a scenario is
//!   setup.rs       what stands before a request
//!   scenarios/     what is set up, what is requested, for every operation of the manager
//!   calls.rs       the n-th kernel call is refused, with several errors
//!   direct_map.rs  the same where the manager has a direct map
//!   starved.rs     n pages, slots or nodes are left
//! ```
//!
//! After each failure everything must be as it was (or, for requests that take away, further on),
//! the error must say whose fault it was, and the same request must succeed when repeated and leave
//! what it leaves when nothing fails. "As it was" is [`Essence`](crate::support::Essence): pages,
//! rights, contents and regions of all spaces; free bytes, free slots, live objects and nodes in
//! use once everything kept for speed is given back; the kernel's objects by kind.
//!
//! Checks A13–A16 of `MODEL.md`.

mod calls;
mod direct_map;
mod scenario;
mod scenarios;
mod setup;
mod starved;
