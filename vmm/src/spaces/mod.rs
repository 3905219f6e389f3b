// SPDX-License-Identifier: BSD-2-Clause
//! Address spaces: the one that the manager starts in, and those that it makes and destroys.

pub(crate) mod boot;
pub(crate) mod create;
pub(crate) mod direct_map;
pub(crate) mod flusher;
pub(crate) mod objects;
