// SPDX-License-Identifier: BSD-2-Clause
//! Looking at the whole: statistics, dumps, and the check of every invariant.

pub(crate) mod dump;
pub(crate) mod stats;
pub(crate) mod validate;
