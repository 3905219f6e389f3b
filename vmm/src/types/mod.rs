// SPDX-License-Identifier: BSD-2-Clause
//! The words that callers use: ids, options, errors, and what they are told.
//!
//! Plain values without a kernel call. Nothing here knows the manager.

pub(crate) mod architecture;
pub(crate) mod boot;
pub(crate) mod error;
mod error_text;
pub(crate) mod fault;
pub(crate) mod ids;
pub(crate) mod job;
pub(crate) mod mapping;
pub(crate) mod occupant;
pub(crate) mod options;
pub(crate) mod quota;
pub(crate) mod region;
pub(crate) mod request_end;
pub(crate) mod share_options;
pub(crate) mod stats;
pub(crate) mod thread;
pub(crate) mod thread_parts;
