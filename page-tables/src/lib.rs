//! Addresses, paging geometry, and the shadow of a VSpace's paging structures, for seL4.
//!
//! ```text
//!   address.rs    virtual and physical addresses, page ranges: checked where they are made
//!   geometry.rs   what an architecture's page tables look like, as data: IA32, x86_64
//!   shadow.rs     which paging structures a VSpace has, and how many entries of each are used
//! ```
//!
//! The crate knows nothing of where memory comes from, and makes no kernel call: it is told what
//! was mapped, and answers what is missing and what has become empty.
#![no_std]
#![deny(unsafe_code)]

mod address;
mod geometry;
mod shadow;

pub use address::{AddressError, PageRange, PhysAddr, VirtAddr};
pub use geometry::{Geometry, Level};
pub use shadow::{Shadow, Table};
