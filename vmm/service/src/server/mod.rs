// SPDX-License-Identifier: BSD-2-Clause
//! The server's loop: requests and faults come to one endpoint, told apart by their badges.
//!
//! ```text
//!   wait ──► badge of a client?   Service::handle ────► answer, or keep the right to answer ──┐
//!    ▲       badge of a thread?   faults::receive      ─► answer, ask its pager, or kill ─────┤
//!    │                            Service::next_deferred: answer those who waited ◄───────────┘
//!    └────────── nothing left of those that ended
//!                otherwise: a piece of that work, then look whether somebody called
//! ```
//!
//! A root task with a manager serves clients by four calls for each, and one for all:
//!
//! ```ignore
//! let options = Options { report: |notice| debug_print!("{notice}"), ..Options::default() };
//! let mut server = Server::new(&mut vmm, endpoint.slot(), options)?;
//! let client = server.create(&mut vmm, "name", limits, None)?;
//! server.load(&mut vmm, client, FILE)?;
//! server.start(client, 0)?;
//! server.run(&mut vmm)?;
//! assert_eq!(server.end_of(client), Some(End::Exited(0)));
//! ```
//!
//! | file | what is in it |
//! |---|---|
//! | `report` | how clients end, what is counted and told, and errors |
//! | `clients` | [`Server`] itself, and its clients: made, loaded, started |
//! | `exchange` | the words of messages, and threads that begin: for either server |
//! | `run` | the loop |

mod clients;
pub(crate) mod exchange;
mod report;
mod run;

pub use clients::{Options, Server, MAX_CLIENTS};
pub use report::{Counts, End, Notice, ServerError};
