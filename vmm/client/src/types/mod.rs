// SPDX-License-Identifier: BSD-2-Clause
//! The words that requests, answers and refusals are made of. Nothing here knows what a message
//! looks like.
//!
//! ```text
//!   limits.rs     the version, the limits of the protocol, the slots that a client starts with
//!   malformed.rs  what can be wrong with a message
//!   text.rs       names and lines
//!   pending.rs    a line that is being written
//!   items.rs      rights, options, resources, amounts, the handle of a region
//!   refusal.rs    the reasons why a request is refused
//!   request.rs    the requests
//!   answer.rs     the answers
//! ```

pub(crate) mod answer;
pub(crate) mod items;
pub(crate) mod limits;
pub(crate) mod malformed;
#[cfg(feature = "sel4")]
pub(crate) mod pending;
pub(crate) mod refusal;
pub(crate) mod request;
pub(crate) mod text;
