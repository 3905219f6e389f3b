// SPDX-License-Identifier: BSD-2-Clause
//! Objects of any kind, by blueprint. They are destroyed when they are freed (`reclaim/free.rs`).
//!
//! - `anywhere.rs`: one object, or many that go together.
//! - `place.rs`: objects at a physical address.

mod anywhere;
mod place;
