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
//! | `state.rs`, `place.rs` | what ought to be so, and where a region may go |
//! | `answer.rs`, `run.rs` | which answers are right, and how one is held against them |
//! | `operations/` | each request: what is right, how it is made of the manager, what it changes |
//! | `follow.rs` | what is left where a kernel call failed or memory ran out |
//! | `compare.rs`, `finish.rs` | how the state is compared, and everything given back |
//!
//! It shares nothing with the manager but the types of its interface. What it can know it foresees,
//! errors to their last value; what it cannot (which page tables are kept, whether book-keeping takes
//! the best place) is allowed for where [`Rules::lenient`] says so.
//!
//! The stress run in the guest has an account of its own (`roottask/src/bin/stress/world.rs`). It runs
//! on the real kernel, where no page table can be read: it knows a page by what threads wrote there,
//! may be refused anything that is short, and has megabytes with tens of thousands of pages, which
//! these loops over all pages would take minutes to look through. So it cannot use this one.

mod answer;
mod choose;
mod compare;
mod finish;
mod follow;
mod operations;
mod place;
mod request;
mod run;
mod state;

pub use answer::{Expected, Failing, Halt, Need, Outcome, Refusal};
pub use choose::STALE;
pub use compare::Look;
pub use request::{Fill, Order, Pages, RegionRequest, Request, TestAddress, WINDOW, Where};
pub use run::{Rules, Run};
pub use state::{
    Buffer, Cell, Contents, Held, Origin, Page, Region, Space, State, Thing, ThreadParts,
};
