// SPDX-License-Identifier: BSD-2-Clause
//! The layout of every message, which both sides use: each `encode` stands beside its `parse`.
//!
//! ```text
//!   label (20 bits)          words of the machine
//!  ┌─────────┬───────────┐  ┌──────┬──────┬─ ─ ─
//!  │ version │ number    │  │      │      │          of exactly the number's length
//!  └─────────┴───────────┘  └──────┴──────┴─ ─ ─
//!    19 … 12   11 … 0         numbers: requests from 0x001, answers from 0x100, refusals 0x200
//!
//! Addresses, and arguments of threads, take all of a word; everything else has 32 bits, whatever a
//! word has.
//!
//!   message.rs   a message, its label, its length
//!   fields.rs    single words: rights, flags, guards, amounts
//!   refusals.rs  refusals to words and back
//!   requests.rs  requests to messages and back
//!   answers.rs   answers to messages, and messages to answers or refusals
//! ```

mod answers;
mod fields;
pub(crate) mod message;
mod refusals;
mod requests;
