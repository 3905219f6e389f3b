// SPDX-License-Identifier: BSD-2-Clause
//! A queue of one request, on a page that both sides map.

use core::sync::atomic::{AtomicU32, Ordering};

use sel4::{cap, Word};

/// Pages of the buffer: what one command reads or writes at the most.
pub const BUFFER_PAGES: u32 = 16;

/// The bit by which a driver is told of its device's interrupt.
pub const LINE_BIT: usize = 1;
/// The bit by which it is told of a request.
pub const WORK_BIT: usize = 2;
/// The bit by which it tells of an answer.
pub const DISK_BIT: usize = 1;

const IDLE: u32 = 0;
const ASKED: u32 = 1;
const ANSWERED: u32 = 2;

/// What is asked for. All numbers are of pages, from the beginning of the area that the driver has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transfer {
    /// From the buffer to the disk; otherwise from the disk.
    pub write: bool,
    /// The first page on the disk.
    pub first: u32,
    /// The first page of the buffer.
    pub at: u32,
    /// How many.
    pub pages: u32,
}

/// The queue: one page. Whatever is written to it, each side keeps to its own bounds.
#[repr(C)]
pub struct Queue {
    state: AtomicU32,
    write: AtomicU32,
    first: AtomicU32,
    at: AtomicU32,
    pages: AtomicU32,
    failed: AtomicU32,
    answered: AtomicU32,
    begun: AtomicU32,
}

impl Queue {
    /// The queue on a page that is mapped at an address, zero when it was made.
    ///
    /// # Safety
    /// The page must stay mapped, to be written.
    pub unsafe fn at(address: usize) -> &'static Queue {
        // SAFETY: by the caller's promise; any words are a queue.
        unsafe { &*(address as *const Queue) }
    }

    /// The request that waits for an answer, for the driver.
    pub fn asked(&self) -> Option<Transfer> {
        let word = |word: &AtomicU32| word.load(Ordering::Relaxed);
        (self.state.load(Ordering::Acquire) == ASKED).then(|| Transfer {
            write: word(&self.write) != 0,
            first: word(&self.first),
            at: word(&self.at),
            pages: word(&self.pages),
        })
    }

    /// Answers: which pages failed, the first of the request in bit 0.
    pub fn answer(&self, failed: u32) {
        self.failed.store(failed, Ordering::Relaxed);
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.state.store(ANSWERED, Ordering::Release);
    }

    /// Whether there is an answer that was not taken.
    pub fn is_answered(&self) -> bool {
        self.state.load(Ordering::Acquire) == ANSWERED
    }

    /// How many requests were answered, by all drivers.
    pub fn answers(&self) -> u32 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Notes that a driver begins; returns how many did before.
    pub fn begin(&self) -> u32 {
        self.begun.fetch_add(1, Ordering::Relaxed)
    }
}

/// A disk, as its driver's client has it.
pub struct Disk {
    /// The queue.
    pub queue: &'static Queue,
    /// What the driver waits for.
    pub work: cap::Notification,
    /// What is signalled when there is an answer, and for other reasons, too.
    pub done: cap::Notification,
}

impl Disk {
    /// Reads or writes pages by way of the buffer, and waits until that is done, by whichever
    /// driver. Returns which failed, the first in bit 0. What `done` was signalled for otherwise is
    /// lost.
    pub fn transfer(&self, asked: Transfer) -> u32 {
        let Transfer { write, first, at, pages } = asked;
        let words = [&self.queue.write, &self.queue.first, &self.queue.at, &self.queue.pages];
        for (word, value) in words.into_iter().zip([write.into(), first, at, pages]) {
            word.store(value, Ordering::Relaxed);
        }
        self.queue.state.store(ASKED, Ordering::Release);
        self.work.signal();
        while !self.queue.is_answered() {
            self.done.wait();
        }
        let failed = self.queue.failed.load(Ordering::Relaxed);
        self.queue.state.store(IDLE, Ordering::Release);
        failed
    }
}

const _: () = assert!(size_of::<Queue>() <= vmm_client::objects::PAGE_BYTES);
const _: () = assert!(size_of::<Word>() >= size_of::<u32>());
