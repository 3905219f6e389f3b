// SPDX-License-Identifier: BSD-2-Clause
//! The protocol between clients and the service: all that either side names of it.
//!
//! A message is refused unless its version is [`VERSION`], its number known, its length exact and
//! each of its words possible: no bit is ignored. No message carries a capability. Addresses are in
//! bytes, lengths in pages of [`PAGE_BYTES`]. Pages, regions and tickets in a request are always
//! the sender's: a client cannot name those of another client.

pub use crate::messages::message::Message;
pub use crate::types::answer::{Answer, Info, Limits, PagedFault, Statistics};
pub use crate::types::items::{Amounts, Options, RegionHandle, Resource, Rights};
pub use crate::types::limits::{
    CNODE_BITS, FAULT_SLOT, FIRST_FREE_SLOT, MAX_GUARDS, MAX_OFFERS, MAX_PAGES, MAX_REGIONS,
    MAX_THREADS, MAX_WORDS, PAGE_BYTES, SERVICE_SLOT, VERSION,
};
pub use crate::types::malformed::Malformed;
pub use crate::types::refusal::Refusal;
pub use crate::types::request::{NewThread, Request, Reserve};
pub use crate::types::text::{Line, Name, Text};
