// SPDX-License-Identifier: BSD-2-Clause
//! The reference model: what a manager ought to do, in plain maps and loops.
//!
//! ```text
//!   generators: random (state_machine/), every one (small_scope.rs), coverage (tests/fuzz),
//!       │       histories with refused calls (faults/histories.rs), with and without short cuts
//!       ▼
//!   request.rs ──► operations/ ──► the manager on the model kernel
//!    a value            │                    │
//!                       └──► state.rs ◄──────┴──► compare.rs: regions, pages, contents, counts
//! ```
//!
//! | file | what it says |
//! |---|---|
//! | `request.rs` | what can be requested |
//! | `choose.rs` | what its numbers stand for, in a state |
//! | `state.rs`, `parts.rs`, `place.rs` | what ought to be so, and where a region may go |
//! | `answer.rs`, `foresee.rs`, `run.rs` | which answers are right, and how one is held against them |
//! | `operations/` | each request: what is right, how it is made of the manager, what it changes |
//! | `follow.rs` | what is left where a kernel call failed or memory ran out |
//! | `compare.rs`, `finish.rs` | how the state is compared, and everything given back |
//!
//! It shares nothing with the manager but the types of its interface. What it can know it foresees,
//! errors to their last value; what it cannot (which page tables are kept, whether book-keeping
//! takes the best place) is allowed for where [`Rules::lenient`] says so.
//!
//! The stress run in the guest has an account of its own (`roottask/src/bin/stress/model/`), which
//! says why.
//!
//! An operation joins it by a variant of [`Request`], a method in `operations/` and a line there,
//! and every generator by a line.

mod answer;
mod choose;
mod compare;
mod finish;
mod follow;
mod foresee;
mod operations;
mod parts;
mod place;
mod request;
mod run;
mod state;

pub use answer::{Expected, Failing, Halt, Need, Outcome, Refusal};
pub use choose::STALE;
pub use compare::Look;
pub use parts::{Buffer, Cell, Contents, Held, Origin, Page, Region, Space, Thing, ThreadParts};
pub use request::{Fill, Order, Pages, RegionRequest, Request, TestAddress, WINDOW, Where};
pub use run::{Rules, Run};
pub use state::State;
