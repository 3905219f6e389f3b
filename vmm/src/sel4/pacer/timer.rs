// SPDX-License-Identifier: BSD-2-Clause
//! The PC's programmable interval timer: three ports and one interrupt.

use sel4::init_thread::slot;
use sel4::{cap, Word};

/// Its input, in Hz.
const INPUT_HZ: u64 = 1_193_182;

/// The interrupt line of its counter 0.
pub(super) const LINE: Word = 0;

/// The data port of counter 0, and the port of commands.
const COUNTER: u16 = 0x40;
const COMMAND: u16 = 0x43;

/// Counter 0, both bytes: interrupts once for each count (mode 0).
const ONCE: u8 = 0x30;

/// The shortest period: below this the pacer would have a good part of the processor.
const MIN_US: u32 = 100;

/// The counter's start for a period; `None` where the timer has no such period.
pub(super) fn count_for(period_us: u32) -> Option<u16> {
    let count = INPUT_HZ * u64::from(period_us) / 1_000_000;
    if period_us < MIN_US {
        return None;
    }
    u16::try_from(count).ok()
}

fn ports() -> cap::IOPort {
    slot::IO_PORT.cap()
}

/// Has the timer interrupt once for each count, from the first on.
pub(super) fn start(count: u16) -> sel4::Result<()> {
    ports().ioport_out8(COMMAND, ONCE)?;
    again(count)
}

/// Has it interrupt after `count` of its inputs. It is told each time: at a rate, interrupts would
/// come one upon another where the machine does not keep up, and leave no time for anything else.
pub(super) fn again(count: u16) -> sel4::Result<()> {
    let [low, high] = count.to_le_bytes();
    ports().ioport_out8(COUNTER, low)?;
    ports().ioport_out8(COUNTER, high)
}

/// Has it wait for a count that never comes, and so interrupt no more.
pub(super) fn stop() -> sel4::Result<()> {
    ports().ioport_out8(COMMAND, ONCE)
}
