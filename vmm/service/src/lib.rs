// SPDX-License-Identifier: BSD-2-Clause
//! Two services of memory for programs that do not trust each other.
//!
//! [`objects`] is the one to use: what it serves is named by capabilities, accounts are guarantees,
//! and programs start programs. This page is about the older and smaller one, [`Service`], whose
//! clients are numbers that the root task gives out.
//!
//! ```text
//!   client ──message──► Incoming ──► Service::handle ──► Outcome: an answer, and what happened
//!          (its badge,
//!           words)
//! ```
//!
//! Each file uses only the ones above it in this list:
//!
//! | file | what is in it |
//! |---|---|
//! | `arch` | what files are for; behind the feature `sel4` the counter of time, threads' registers |
//! | `types` | the words that servers use: ids, messages, programs, errors |
//! | `state` | what the service remembers of clients, offers, paged regions: plain records |
//! | `service` | [`Service`] itself: its parts, its look-ups, who is to be looked at next |
//! | `answers` | the protocol's words for the manager's: rights, errors, regions |
//! | `accounts` | clients made and forgotten; accounts that are split |
//! | `memory` | requests about the sender's own memory |
//! | `pagings` | regions that other clients page: made, and forgotten |
//! | `client_pagers` | pages that one client supplies to another |
//! | `offers` | what one client offers another: memory, or to page |
//! | `image` | a program's ELF file, segment by segment |
//! | `client_threads` | the threads of a client, the first and further ones |
//! | `program` | a program: its CSpace, and what it begins with |
//! | `teardown` | the end of a client: all it had, given back in pieces |
//! | `handle` | messages taken apart and answered |
//! | `server` | the server's loop, behind the feature `sel4` |
//! | `objects` | the service whose objects are named by capabilities |
//!
//! What keeps clients apart is what a message can say. It names the sender's own addresses and
//! numbers, which are looked up in the space that belongs to the badge, and nowhere else. The badge
//! is the kernel's word for who sends.
//!
//! No request takes long: at most [`protocol::MAX_PAGES`] pages are touched, and what is left is
//! asked for again. A client that ends is taken apart between other requests, by
//! [`Service::reap_step`].
//!
//! All of it stands on the manager's public interface, and makes no system call but through the
//! manager, so it runs on the model kernel too. The loop is the exception.
#![no_std]
#![deny(unsafe_code)]

#[cfg(test)]
extern crate std;

mod accounts;
mod answers;
mod arch;
mod clearing;
mod client_pagers;
mod client_threads;
mod handle;
mod image;
mod memory;
pub mod objects;
mod offers;
mod pagings;
mod program;
#[cfg(feature = "sel4")]
pub mod server;
mod service;
mod state;
mod teardown;
mod types;

pub use service::Service;
pub use types::error::{Error, ImageError, NodeKind, NumberKind, Result};
pub use types::ids::{ClientId, CLIENT_BADGE};
pub use types::message::{Deferred, Event, Incoming, Outcome};
pub use types::program::{Program, Start};
pub use vmm_client::protocol;
