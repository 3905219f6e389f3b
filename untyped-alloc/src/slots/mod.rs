// SPDX-License-Identifier: BSD-2-Clause
//! Capability slots: allocating and freeing them, and the CNodes that the CSpace grows by.
//!
//! - `alloc.rs`: runs of consecutive slots.
//! - `grow.rs`: more slots than the initial CNode has, and giving them back.

mod alloc;
mod grow;
