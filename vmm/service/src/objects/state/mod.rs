// SPDX-License-Identifier: BSD-2-Clause
//! What the service remembers of objects: pure records and their tables. Nothing here knows a
//! kernel or makes a call.
//!
//! ```text
//!   Capability ── badge ──► Object ◄── space, memory ── Mapping
//!       │ parent: derived from     │ payer                  │ through: the badge it was made by
//!       ▼                          ▼                        ▼ payer
//!   Capability                  Object (an account) ◄───────┘
//! ```
//!
//! | file | what is in it |
//! |---|---|
//! | `account` | what an account may use, and uses |
//! | `object` | an object's record |
//! | `capability` | a capability's record: a badge, an object, rights |
//! | `mapping` | the record of a memory object that is mapped in a space |
//! | `large` | large pages that were reserved: free, or a memory object's |
//! | `program` | a program's record |
//! | `programs` | programs by their account, their priority, what they clone |
//! | `thread` | a thread's record |
//! | `place`, `queues` | where threads wait, by what lets them go on |
//! | `waits` | who waits for a page, by what ends that |
//! | `supplied` | the record of a page that a pager supplied, and of who waits for one |
//! | `counts` | counts that records have of what belongs to them |
//! | `tables` | all records, found by number and by what they belong to |
//! | `turn` | what the service did for a program, and when that is a slice |
//! | `charge` | amounts charged to accounts, up the chain of those that are no guarantee |
//! | `validate` | the check of what must always hold of them |

pub(crate) mod account;
pub(crate) mod capability;
pub(crate) mod charge;
pub(crate) mod counts;
pub(crate) mod large;
pub(crate) mod mapping;
pub(crate) mod object;
pub(crate) mod place;
pub(crate) mod program;
pub(crate) mod programs;
pub(crate) mod queues;
pub(crate) mod supplied;
pub(crate) mod tables;
#[cfg(test)]
mod tests;
pub(crate) mod thread;
pub(crate) mod turn;
pub(crate) mod validate;
pub(crate) mod waits;
