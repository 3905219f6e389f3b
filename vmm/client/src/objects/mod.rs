// SPDX-License-Identifier: BSD-2-Clause
//! The protocol of the service whose objects are named by capabilities.
//!
//! ```text
//!   sender ── its program capability ──► says who asks
//!          ── extra capabilities ──────► the objects that the request is about, in its order
//!          ── words ───────────────────► everything else; the slot for a new capability
//! ```
//!
//! A message names nothing by a number that anyone could guess: an object is named by a capability,
//! which the kernel delivers as a badge that its holder can neither see nor forge. New capabilities
//! do not come with the answer. They are put into the empty slot that the request names.
//!
//! | file | what is in it |
//! |---|---|
//! | `items` | kinds of objects, rights, resources and amounts, slots, limits |
//! | `fields` | values as words, and back: no word is taken that no value has |
//! | `table` | the macro that makes writer and reader of a table of messages |
//! | `layout` | **every message**: its number, its words, the capabilities that are due |
//! | `first_page` | the page that tells a program what its starter gave it |
//! | `refusal` | refusals for people |
//!
//! The words of a message are the machine's, of 32 or 64 bits. A message has as many on either:
//! addresses take one, numbers of 64 bits take two, and everything else has 32 bits.

mod fields;
pub mod first_page;
mod items;
mod layout;
mod refusal;
mod table;

pub use crate::messages::message::Message;
pub use crate::types::malformed::Malformed;
pub use crate::types::text::{Line, Name, Text};
pub use items::{
    AccountOptions, Amounts, FaultKind, FaultPolicy, ImageFault, Kind, MemoryOptions, Piece,
    ProgramOptions, Registers, Resource, Rights, State, Supply, ACCOUNT_SLOT, CNODE_BITS,
    CNODE_SLOT, CONSOLE_SLOT, FEW_CNODE_BITS, FIRST_FREE_SLOT, FOREVER, MAX_PAGES, MAX_RUNS,
    MAX_SUPPLY, PAGE_BYTES, PIECE_BYTES, PROGRAM_SLOT, REGISTERS, RESOURCES, SPACE_SLOT,
};
pub use layout::{
    answer_or_refusal, is_refusal, Answer, Due, Refusal, Request, MAX_CAPABILITIES, VERSION,
};
