// SPDX-License-Identifier: BSD-2-Clause
//! Pages on the disk: places for them, and the buffer by which they come and go.

use vmm_client::objects::PAGE_BYTES;
use vmm_clients::disk::{Disk, Figures, Transfer, BUFFER_PAGES};

use crate::places::Places;

/// Places on the disk, and the way there.
pub struct Storage {
    disk: Disk,
    buffer: usize,
    places: Places,
    figures: &'static Figures,
}

impl Storage {
    pub fn new(disk: Disk, buffer: usize, count: u32, figures: &'static Figures) -> Storage {
        Storage { disk, buffer, places: Places::new(count), figures }
    }

    /// Reads pages into the buffer, from its first page on; returns how many of them are right,
    /// from the first on.
    pub fn read(&self, place: u32, pages: u32) -> u32 {
        let failed = self.disk.transfer(Transfer { write: false, first: place, at: 0, pages });
        self.figures.reads.add(1);
        self.figures.pages_read.add(pages);
        failed.trailing_zeros().min(pages)
    }

    /// Takes places for so many pages: next to each other, or if there are no such one; none if the
    /// disk is full.
    pub fn take(&mut self, pages: u32) -> Option<(u32, u32)> {
        let run = self.places.take(pages).map(|first| (first, pages));
        run.or_else(|| self.places.take(1).map(|first| (first, 1)))
    }

    /// Whether a place is free.
    pub fn has_room(&self) -> bool {
        self.places.free() != 0
    }

    /// Gives a place back.
    pub fn give(&mut self, place: u32) {
        self.places.give(place);
    }

    /// Copies a page to a page of the buffer.
    pub fn fill(&self, at: u32, page: usize) {
        let to = self.buffer + at as usize * PAGE_BYTES;
        // SAFETY: both pages are mapped, and appear when they are touched; nobody else writes to
        // them.
        unsafe { core::ptr::copy_nonoverlapping(page as *const u8, to as *mut u8, PAGE_BYTES) };
    }

    /// Writes pages of the buffer, from `at` on, to places that were taken; returns which failed,
    /// the first in bit 0. Those places are not used any more.
    pub fn write(&self, place: u32, (at, pages): (u32, u32)) -> u32 {
        let failed = self.disk.transfer(Transfer { write: true, first: place, at, pages });
        let failed = failed & (u32::MAX >> (u32::BITS - pages));
        self.figures.writes.add(1);
        self.figures.pages_written.add(pages - failed.count_ones());
        self.figures.bad.add(failed.count_ones());
        failed
    }
}

const _: () = assert!(BUFFER_PAGES < u32::BITS);
