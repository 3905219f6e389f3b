// SPDX-License-Identifier: BSD-2-Clause
//! What is done, chosen by weight.
//!
//! ```text
//!   table.rs      all of them with their weights, and their course
//!
//!   churn/        maps, unmaps, protects of all sizes; splits, merges, moves; faults on demand
//!   share.rs      the same frames in several places
//!   cow.rs        clones, and writes to them
//!   spaces.rs     address spaces
//!   large.rs      large pages, cut
//!   fill.rs       memory to the last page
//!   fragment.rs   every second block freed
//!   compact.rs    pages moved; all untypeds used up
//!   threads.rs    stacks, IPC buffers, thread memory
//!   storm/        threads that fault, all at once
//!   objects.rs    kernel objects and slots
//!   stacks.rs     stacks that grow to their guards
//!   pagers/       pages from outside, or never
//!   clients.rs    programs, killed in mid-request
//!   programs.rs   programs that have their objects by capabilities
//!   slots.rs      no capability slot left
//!   all_slots.rs  all capability slots, taken and given back
//!   refusals.rs   requests that are wrong; quotas
//! ```
//!
//! Areas and spaces live on from one phase to the next; what else a phase makes it gives back.

pub mod all_slots;
mod churn;
mod clients;
mod compact;
mod cow;
mod fill;
mod fragment;
mod large;
mod objects;
mod pagers;
mod programs;
mod refusals;
mod share;
mod slots;
mod spaces;
mod stacks;
mod storm;
mod table;
mod threads;

pub use programs::stretch as stretch_programs;
pub use table::{names, run, PHASES};
