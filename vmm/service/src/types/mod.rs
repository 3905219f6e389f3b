// SPDX-License-Identifier: BSD-2-Clause
//! The words that servers use. Nothing here knows the service.

pub(crate) mod error;
pub(crate) mod ids;
pub(crate) mod message;
pub(crate) mod program;
