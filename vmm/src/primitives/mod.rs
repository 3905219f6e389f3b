// SPDX-License-Identifier: BSD-2-Clause
//! Single steps: one kind of kernel call, and the record of what it did.
//!
//! A step takes nodes from the reserve and never refills it: the rooms above do that before they
//! begin, and the book-keeping's own growth is made of these steps.

pub(crate) mod aliases;
pub(crate) mod caps;
pub(crate) mod copies;
mod deferred;
pub(crate) mod detached;
pub(crate) mod extents;
pub(crate) mod install;
pub(crate) mod moves;
pub(crate) mod pages;
pub(crate) mod place;
mod promotion;
pub(crate) mod quarantine;
pub(crate) mod remap;
pub(crate) mod replace;
pub(crate) mod tables;
pub(crate) mod temp_slots;
pub(crate) mod unmap;
pub(crate) mod zero;
