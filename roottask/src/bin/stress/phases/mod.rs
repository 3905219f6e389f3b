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
//!   own_pagers/   pages from outside, or never: pagers are threads of our own
//!   offers.rs     programs that offer each other memory, killed in mid-request
//!   programs.rs   programs that have their objects by capabilities
//!   trees/        such that start others: served, looked at, ended, for the next two
//!   clients.rs    programs that start and end programs
//!   pagers.rs     programs that are pagers, and readers of their pages
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
mod offers;
mod own_pagers;
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
mod trees;

pub use programs::stretch as stretch_programs;
pub use table::{names, run, PHASES};
pub use trees::{clear_counts, print_counts};
