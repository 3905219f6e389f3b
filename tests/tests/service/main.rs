// SPDX-License-Identifier: BSD-2-Clause
//! The service, on the model kernel.
//!
//! | module | what it shows |
//! |---|---|
//! | `layout` | messages: what is encoded is what is parsed, and nothing else is accepted |
//! | `requests` | what each request does, and each of its refusals |
//! | `numbers` | numbers that are given out again, with few of them |
//! | `offers` | memory that two clients share, and who may have it |
//! | `client_pagers` | pages that one client supplies to another |
//! | `bounded_requests` | long work in pieces, and what it leaves when it ends half-way |
//! | `accounts` | limits: enforced, split, given back |
//! | `programs` | ELF files, the capabilities of a program, its end |
//! | `client_threads` | further threads of a program |
//! | `server_interface` | what the manager offers to whoever writes a server |
//! | `refusals` | every kernel call refused in turn: all comes back |
//! | `texts` | errors as people read them |
//! | `world` | what the others stand on: a service, clients, what they ask |
//! | `random` | random and mutated messages: no panic, nothing broken, nobody else's memory touched |

#[allow(dead_code, unused_imports, unused_macros)] // what other suites need of it
#[path = "../core/support/mod.rs"]
mod support;

mod accounts;
mod bounded_requests;
mod client_pagers;
mod client_threads;
mod layout;
mod numbers;
mod offers;
mod programs;
mod random;
mod refusals;
mod requests;
mod server_interface;
mod texts;
mod world;
