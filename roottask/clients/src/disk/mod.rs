// SPDX-License-Identifier: BSD-2-Clause
//! What a disk's driver and who reads and writes by it agree on.
//!
//! ```text
//!   client ── fills the buffer, a request in the queue ── signals `work` ──► driver ──► disk: DMA
//!          ◄── signals `done` ── which pages failed ───────────────────────  driver
//! ```
//!
//! Queue and buffer are memory of who starts both, and outlive each of them. So a driver that is
//! ended in the middle leaves the device nothing but memory that is still the buffer; and one that
//! is started again finds the request, and does it again: it is the same afterwards, whether it was
//! done or not.

mod ata;
mod figures;
mod numbers;
mod queue;

pub use ata::{Channel, DiskError, Ports};
pub use figures::{Figure, Figures};
pub use numbers::number_of;
pub use queue::{Disk, Queue, Transfer, BUFFER_PAGES, DISK_BIT, LINE_BIT, WORK_BIT};

/// The exit code of a driver that has no disk to drive.
pub const NO_DISK: u32 = 3;
/// Sectors of a page: 512 bytes each.
pub const PAGE_SECTORS: u32 = 8;
