//! The suites of the memory crates, on the model kernel, for both architectures.
//!
//! | folder | what it holds the crates to |
//! |---|---|
//! | `support/` | machines, the fixture, snapshots: what all of them use |
//! | `allocator/` | the untyped allocator by itself |
//! | `failures/` | every kernel call refused, every page, slot and node missing, one at a time |
//! | `manager/` | the manager, operation by operation |
//! | `small_scope.rs` | every sequence of requests up to a length, over a few pages |
//! | `state_machine/` | random requests against a plain reference model, page by page |
//!
//! Tests name the assertions (A…) and invariants (I…) of `MODEL.md` that they check. What is right
//! is never asked of the code under test: it is read from the model kernel's page tables and
//! capabilities, or from a reference model that is a plain map.

mod allocator;
mod failures;
mod manager;
mod small_scope;
mod state_machine;
mod support;
