// SPDX-License-Identifier: BSD-2-Clause
//! Addresses, paging geometry, and the shadow of a VSpace's paging structures, for seL4.
//!
//! ```text
//!   address.rs    virtual addresses, ranges of pages, and why a number is none
//!   geometry.rs   the page tables of an architecture as data; it makes numbers into addresses and
//!                 ranges, and says where paging structures begin and end
//!   arch.rs       those of each architecture
//!   shadow.rs     the paging structures that a VSpace has, and how many entries of each are used
//! ```
//!
//! The files use those above them only. The crate knows nothing of where memory comes from, and
//! makes no kernel call: it is told which pages were mapped, and answers which structures are
//! missing and which have become empty.
#![no_std]
#![deny(unsafe_code)]

mod address;
mod arch;
mod geometry;
mod shadow;

pub use address::{AddressError, PageRange, Pages, VirtAddr};
pub use geometry::{Geometry, Level};
pub use shadow::{Shadow, Table};
