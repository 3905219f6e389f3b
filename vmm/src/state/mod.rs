// SPDX-License-Identifier: BSD-2-Clause
//! What the manager remembers: trees, counts and lists, each a type with methods of its own.
//!
//! Pure: nothing here knows the kernel or the manager, and each type is tested by itself. Nodes
//! come from pools that their callers bring.

pub(crate) mod append_cursor;
pub(crate) mod asids;
pub(crate) mod cap_copies;
pub(crate) mod compaction;
pub(crate) mod cut_pages;
pub(crate) mod direct_map;
pub(crate) mod extent;
pub(crate) mod extent_cursor;
pub(crate) mod extent_neighbours;
pub(crate) mod extent_node;
mod extent_totals;
mod extent_windows;
pub(crate) mod extents;
pub(crate) mod open_blocks;
pub(crate) mod page_requests;
pub(crate) mod passage;
pub(crate) mod promotion;
pub(crate) mod refcounts;
pub(crate) mod region;
pub(crate) mod region_map;
pub(crate) mod region_places;
mod region_tree;
pub(crate) mod reserve;
mod run;
pub(crate) mod single_copies;
pub(crate) mod site;
pub(crate) mod space;
pub(crate) mod temp_slots;
pub(crate) mod threads;
pub(crate) mod window;

#[cfg(any(test, feature = "state-tests"))]
pub(crate) mod tests;
