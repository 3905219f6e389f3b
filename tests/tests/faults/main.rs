// SPDX-License-Identifier: BSD-2-Clause
//! Page faults, copy-on-write and pagers, on the model kernel, for both architectures.
//!
//! | file | what it holds the manager to |
//! |---|---|
//! | `classify.rs` | the class of a fault, for every kind of region, page, access and position |
//! | `resolve.rs` | what each class of fault does to memory, and what it costs |
//! | `report.rs` | what a person is told |
//! | `world.rs` | threads that fault until they get on |
//! | `histories.rs` | random histories of clones, writes, unmaps … against the reference model, [`vmm_tests::expected`] |
//! | `refusals.rs` | every kernel call refused in turn: nothing is lost, and the fault resolves later |
//! | `supply.rs` | pages that a pager outside supplies |
//! | `untold.rs` | addresses of which a fault tells the low bits alone |
//! | `page_requests.rs` | faults that wait for one |

#[path = "../core/support/mod.rs"]
#[allow(dead_code, unused_imports, unused_macros)]
mod support;

mod classify;
mod histories;
mod page_requests;
mod refusals;
mod report;
mod resolve;
mod supply;
mod untold;
mod world;
