// SPDX-License-Identifier: BSD-2-Clause
//! The suites of the memory crates, on the model kernel, for both architectures.
//!
//! | folder | what it holds the crates to |
//! |---|---|
//! | `support/` | machines, the fixture, snapshots: what all of them use |
//! | `addresses.rs` | addresses and ranges at the ends of the word and of user space |
//! | `allocator/` | the untyped allocator by itself |
//! | `failures/` | every kernel call refused, every page, slot and node missing, one at a time |
//! | `manager/` | the manager, operation by operation |
//! | `short_cuts.rs` | the same history with short cuts and without |
//! | `small_scope.rs` | every sequence of requests up to a length, over a few pages |
//! | `state_machine/` | random requests against the reference model, [`vmm_tests::expected`] |
//! | `texts.rs` | what errors must tell people: addresses, names, amounts |
//!
//! Tests name the assertions (A…) and invariants (I…) of `MODEL.md` that they check. What is right
//! is never asked of the code under test: it is read from the model kernel's page tables and
//! capabilities, or from a reference model that is a plain map.

mod addresses;
mod allocator;
mod failures;
mod manager;
mod short_cuts;
mod small_scope;
mod state_machine;
mod support;
mod texts;
