// SPDX-License-Identifier: BSD-2-Clause
//! Time: whole seconds for the run, ticks of the time-stamp counter for an operation.
//!
//! The frequency of the counter is not known in the guest, so seconds are those of the PC's
//! real-time clock. Under instruction counting that would be the one thing that differs between two
//! runs; there the counter is the time: a tick is an instruction, of a nanosecond each.

use sel4::init_thread::slot;

/// Selects a register of the real-time clock.
const SELECTOR: u16 = 0x70;
/// The register selected.
const DATA: u16 = 0x71;
const SECONDS: u8 = 0;

/// Ticks since the machine started.
#[inline(always)]
pub fn ticks() -> u64 {
    roottask::arch::ticks()
}

/// Seconds since it was made.
#[derive(Debug)]
pub struct Clock {
    icount: bool,
    start: u64,
    /// What the real-time clock said last.
    last: u8,
    elapsed: u64,
}

impl Clock {
    /// Starts at 0.
    pub fn new(icount: bool) -> Clock {
        let mut clock = Clock { icount, start: ticks(), last: 0, elapsed: 0 };
        if !icount {
            clock.last = real_time_seconds();
        }
        clock
    }

    /// Ticks so far.
    pub fn ticks(&self) -> u64 {
        ticks() - self.start
    }

    /// What a tick is.
    pub fn unit(&self) -> &'static str {
        if self.icount {
            "instructions"
        } else {
            "ticks of the time-stamp counter"
        }
    }

    /// Seconds so far. To be asked at least once a minute.
    pub fn seconds(&mut self) -> u64 {
        if self.icount {
            return (ticks() - self.start) / 1_000_000_000;
        }
        let now = real_time_seconds();
        self.elapsed += u64::from((now + 60 - self.last) % 60);
        self.last = now;
        self.elapsed
    }
}

/// 0 to 59. Two kernel calls.
fn real_time_seconds() -> u8 {
    let port = slot::IO_PORT.cap();
    let read = port.ioport_out8(SELECTOR, SECONDS).and_then(|()| port.ioport_in8(DATA));
    // In binary-coded decimal. Without the device time stands still.
    let value = read.unwrap_or(0);
    ((value >> 4) * 10 + (value & 15)) % 60
}
