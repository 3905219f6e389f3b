// SPDX-License-Identifier: BSD-2-Clause
//! At the end everything must be as it was at the start, to the page and the slot.
//!
//! What is compared is the state after all was given back and [`vmm::Vmm::trim`] was called. What
//! legitimately stays then is the manager's own: pages of book-keeping, which are never given back,
//! and the root of a grown CSpace. The warm-up brings both to their largest, so that they are part
//! of the start.

use roottask::{check, Outcome};
use sel4_root_task::debug_println;

use crate::engine::Stress;

/// What there is when nothing is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Balance {
    free_bytes: usize,
    free_slots: usize,
    largest_block: usize,
    bookkeeping_pages: usize,
    bookkeeping_used: usize,
    spaces: usize,
}

impl Balance {
    /// Gives back what is kept for speed, and looks.
    pub fn take(stress: &mut Stress) -> Outcome<Balance> {
        stress.vmm.trim()?;
        stress.vmm.validate()?;
        let stats = stress.vmm.stats();
        check!(stats.quarantined == 0 && stats.allocator.quarantined == 0);
        Ok(Balance {
            free_bytes: stats.free_bytes(),
            free_slots: stats.allocator.free_slots,
            largest_block: stats.allocator.largest_free_bytes,
            bookkeeping_pages: stats.bookkeeping_pages,
            bookkeeping_used: stats.bookkeeping_bytes_used,
            spaces: stats.spaces,
        })
    }

    /// Fails unless this is what was at the start.
    pub fn compare(&self, start: &Balance) -> Outcome {
        let rows = [
            ("free bytes", start.free_bytes, self.free_bytes),
            ("free slots", start.free_slots, self.free_slots),
            ("largest block", start.largest_block, self.largest_block),
            ("book-keeping pages", start.bookkeeping_pages, self.bookkeeping_pages),
            ("book-keeping used", start.bookkeeping_used, self.bookkeeping_used),
            ("spaces", start.spaces, self.spaces),
        ];
        for (what, before, after) in rows {
            let verdict = if before == after { "the same" } else { "DIFFERENT" };
            debug_println!("stress: {what:<20} {before:>12} {after:>12}  {verdict}");
        }
        let as_at_the_start = self == start;
        check!(as_at_the_start);
        Ok(())
    }
}
