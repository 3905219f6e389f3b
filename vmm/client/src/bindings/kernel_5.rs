// SPDX-License-Identifier: BSD-2-Clause
//! seL4 5.0.0, with the bindings of this repository.

pub use sel4::{thread_entry, Backtrace, ThreadEntry};

#[cfg(feature = "alloc")]
pub use sel4::NotificationLock as Lock;

// A program without a C library needs what compiled code calls in place of one.
use sel4_mem as _;
