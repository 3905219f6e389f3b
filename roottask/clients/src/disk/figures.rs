// SPDX-License-Identifier: BSD-2-Clause
//! What a pager counts, on a page that whoever started it maps, too.

use core::sync::atomic::{AtomicU32, Ordering};

macro_rules! figures {
    ($( $(#[$doc:meta])* $name:ident )*) => {
        /// Figures of a pager, on a page.
        #[repr(C)]
        pub struct Figures { $( $(#[$doc])* pub $name: Figure, )* }
    };
}

/// A number that one thread counts up and others read.
#[repr(transparent)]
pub struct Figure(AtomicU32);

impl Figure {
    /// Adds to it.
    pub fn add(&self, more: u32) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// What it is now.
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

figures! {
    /// Pages that were waited for.
    faults
    /// Of those: that had been taken back, and were there still.
    hits
    /// Pages that were supplied before anybody waited for them.
    ahead
    /// Commands to read, and the pages that they read.
    reads
    /// Pages that were read.
    pages_read
    /// Commands to write.
    writes
    /// Pages that were written.
    pages_written
    /// Pages that were taken back and given up without being written.
    dropped
    /// Pages that were refused: they cannot be read, or there is no place for more.
    refused
    /// Places of the disk to which nothing can be written.
    bad
}

impl Figures {
    /// The figures on a page that is mapped at an address, zero when it was made.
    ///
    /// # Safety
    /// The page must stay mapped, to be written.
    pub unsafe fn at(address: usize) -> &'static Figures {
        // SAFETY: by the caller's promise; any words are figures.
        unsafe { &*(address as *const Figures) }
    }
}
