// SPDX-License-Identifier: BSD-2-Clause
//! Counts that records have of what belongs to them.

use core::cell::Cell;

/// Counts more.
pub(crate) fn add(count: &Cell<u32>, more: u32) {
    count.set(count.get() + more);
}

/// Counts less.
pub(crate) fn sub(count: &Cell<u32>, less: u32) {
    count.set(count.get() - less);
}
