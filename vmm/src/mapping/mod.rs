// SPDX-License-Identifier: BSD-2-Clause
//! Memory that is mapped, protected and unmapped: one file for each operation.

pub(crate) mod append;
pub(crate) mod commit;
pub(crate) mod contents;
pub(crate) mod decommit;
pub(crate) mod demote;
pub(crate) mod fill;
pub(crate) mod in_block;
pub(crate) mod join;
pub(crate) mod map;
pub(crate) mod physical;
pub(crate) mod promote;
mod promote_further;
pub(crate) mod protect;
pub(crate) mod reclaim;
mod transit;
pub(crate) mod unmap;
