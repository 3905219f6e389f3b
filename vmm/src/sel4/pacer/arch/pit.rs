// SPDX-License-Identifier: BSD-2-Clause
//! The PC's programmable interval timer: three ports and one interrupt.

use sel4::{AbsoluteCPtr, Result, Word};
use untyped_alloc::CPtr;

use crate::sel4::bindings::pc;
use crate::sel4::pacer::timer::Timer;

/// Its input, in Hz.
const INPUT_HZ: u64 = 1_193_182;

/// The interrupt line of its counter 0.
const LINE: Word = 0;

/// The data port of counter 0, and the port of commands.
const COUNTER: u16 = 0x40;
const COMMAND: u16 = 0x43;

/// Counter 0, both bytes: interrupts once for each count (mode 0).
const ONCE: u8 = 0x30;

/// The shortest period: below this the pacer would have a good part of the processor.
const MIN_US: u32 = 100;

/// Counter 0.
pub(in crate::sel4::pacer) struct Pit;

impl Timer for Pit {
    fn count_for(&self, period_us: u32) -> Option<u32> {
        let count = INPUT_HZ * u64::from(period_us) / 1_000_000;
        if period_us < MIN_US {
            return None;
        }
        u16::try_from(count).ok().map(u32::from)
    }

    fn claim(&self, interrupt: &AbsoluteCPtr, own: &AbsoluteCPtr) -> Result<()> {
        // The ports first: today's kernels give the interrupt of a pin to whoever asks last.
        pc::claim_ports(COUNTER, COMMAND, own)?;
        pc::claim_line(LINE, interrupt)
    }

    /// It is told each time: at a rate, interrupts would come one upon another where the machine
    /// does not keep up, and leave no time for anything else.
    fn set(&self, own: CPtr, count: u32) -> Result<()> {
        let [low, high, ..] = count.to_le_bytes();
        pc::port_out8(own, COUNTER, low)?;
        pc::port_out8(own, COUNTER, high)
    }

    /// Has it wait for a count that never comes.
    fn stop(&self, own: CPtr) -> Result<()> {
        pc::port_out8(own, COMMAND, ONCE)
    }

    fn claim_unused(&self, interrupt: &AbsoluteCPtr) -> Result<()> {
        pc::claim_unused(interrupt)
    }
}
