// SPDX-License-Identifier: BSD-2-Clause
//! The client programs that travel in the images of root tasks, and what they have in common.
//!
//! ```text
//!   arch/          what differs between the architectures
//!   disk/          a disk's registers and queue, and a pager's figures
//!   files.rs       what a file server and its readers agree on
//!   flood.rs       what a root task and a program that floods agree on
//!   exchange.rs    words, and the capabilities and values that two programs agree on
//!   meeting.rs     what lender and borrower agree on
//!   random.rs      random numbers
//!   swap.rs        what programs with memory on a disk agree on
//!   trials.rs      what the programs of stress runs have in common
//!
//!   bin/giver.rs   shares memory with its child, gives it quota, clones copy-on-write
//!   bin/taker.rs   the child: uses this memory, also after the giver has ended
//!   bin/rogue.rs   does all that it should not
//!   bin/pager.rs   supplies the pages of the reader's memory, refuses one, ends while others wait
//!   bin/reader.rs  touches memory that the pager supplies
//!   bin/twins.rs   two threads of one program, with thread-local variables
//!   bin/meter.rs   measures requests, for the benchmark
//!   bin/init/      starts workers, a file server and its readers, and waits for their ends
//!   bin/file-server.rs  a file server that is a pager, with eight pages of a larger file
//!   bin/file-reader.rs  maps its file, and looks at every byte
//!   bin/swap-init/  starts what follows, with a disk
//!   bin/disk-driver.rs  reads and writes it by DMA
//!   bin/swap-pager/  the pager of memory that is larger than all there is, with a cache
//!   bin/sorter.rs  sorts an array in such memory
//!   bin/mapper.rs  has a map in such memory
//!   bin/keeper.rs  keeps pages of such memory, and looks at them
//!   bin/worker.rs  does as its arguments say: adds, starts another, overflows its stack
//!   bin/snapshot.rs  keeps what its memory held, as the README shows
//!   bin/lender.rs   makes memory, lends it, takes it back: objects by capabilities
//!   bin/borrower.rs  is lent memory, and touches it when it was taken back
//!   bin/vandal.rs  does all it can to its own CNode
//!   bin/overseer.rs  looks at threads of its own that fault, steps over, suspends and resumes them
//!   bin/hoarder.rs  has a heap that grows and shrinks
//!   bin/storm/     sends random messages, with capabilities right and wrong
//!   bin/warden.rs  ends programs that do not end by themselves
//!   bin/runner.rs  is such a program
//!   bin/arbiter.rs  starts pagers and programs that do what they should not, and ends them
//!   bin/ladder.rs  starts programs of all priorities
//!   bin/shaper.rs  gives parts of mappings other rights, reserves addresses, clones much
//!   bin/witness.rs  uses its guarantee while others do what they can
//!   bin/scatterer.rs  takes all pages of its account, and scatters them
//!   bin/bulk.rs    has memory of large pages with another program
//!   bin/cycler.rs  uses more numbers than there are, one after another
//!   bin/crowd.rs   ends programs with what they have sent and was not received yet
//!   bin/copier.rs  copies a capability into each slot of three CNodes, and revokes it
//!   bin/collector.rs  has one of these
//!   bin/patient.rs  waits for memory that another program has
//!   bin/toucher.rs  touches memory for which there is none, and waits for some
//!   bin/friend.rs  ends the memory that the one or the other waits for
//!   bin/gauge.rs   measures requests about objects, for the benchmark
//!   bin/brief.rs   ends at once
//!   bin/flood.rs   floods the service, or computes beside those that do
//!   bin/holder.rs  has memory objects of all sorts, for stress runs
//!   bin/busy/      asks for memory in all ways, for stress runs
//!   bin/starter/   starts programs of its own kind and ends them, for stress runs
//!   bin/supplier/  has pagers and readers of their pages, for stress runs
//! ```
#![no_std]

mod arch;
pub mod disk;
mod exchange;
pub mod files;
mod flood;
mod meeting;
mod random;
pub mod swap;
pub mod trials;

pub use arch::{load, load_instruction, now, set_loaded, undefined_instruction};
pub use exchange::*;
pub use flood::{Flood, COUNTER_PRIORITY, NAP_MS, OWN_GAP};
pub use meeting::{meeting, LENT_PAGES, MEETING_SLOT};
pub use random::Random;
