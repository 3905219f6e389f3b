// SPDX-License-Identifier: BSD-2-Clause
//! The service whose objects are named by capabilities, on the model kernel.
//!
//! | module | what it shows |
//! |---|---|
//! | `layout` | messages: what is encoded is what is parsed, and nothing else is accepted |
//! | `requests` | what each request does |
//! | `refusals` | what each request is refused for, with nothing changed |
//! | `accounts` | guarantees, overcommit, and the end of an account with all that is charged to it |

#[allow(dead_code, unused_imports, unused_macros)] // what other suites need of it
#[path = "../core/support/mod.rs"]
mod support;

mod accounts;
mod layout;
mod refusals;
mod requests;
mod world;
