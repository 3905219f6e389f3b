// SPDX-License-Identifier: BSD-2-Clause
//! Arm and RISC-V: more registers than a message has words, and no counter that is known to be
//! one that programs may read.

use vmm::CPtr;
use vmm_client::objects::{Malformed, Registers};

/// Whether [`now`] counts.
pub(crate) const COUNTS: bool = false;

/// No time passes.
#[inline(always)]
pub(crate) fn now() -> u64 {
    0
}

/// None: there is no such request here.
pub(crate) fn read_registers(_tcb: CPtr) -> sel4::Result<Option<Registers>> {
    Ok(None)
}

/// There is no such request here.
pub(crate) fn write_registers(
    _tcb: CPtr,
    _registers: &Registers,
) -> sel4::Result<Option<Malformed>> {
    Ok(Some(Malformed::Number))
}
