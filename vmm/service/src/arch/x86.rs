// SPDX-License-Identifier: BSD-2-Clause
//! IA32 and x86_64.

#[cfg(target_arch = "x86")]
use core::arch::x86::_rdtsc;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::_rdtsc;

use sel4::sys::seL4_UserContext;
use sel4::{cap_type, UserContext, Word};
use vmm::CPtr;
use vmm_client::objects::{Malformed, Registers};

/// Whether [`now`] counts.
pub(crate) const COUNTS: bool = true;

/// The processor's counter of time.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: the kernel lets user code read the counter; reading it changes nothing.
    unsafe { _rdtsc() }
}

/// How many of the kernel's registers a program has for all uses: they are the first ones. Behind
/// them is what the service has set.
#[cfg(target_arch = "x86")]
const USED: usize = 10;
#[cfg(target_arch = "x86_64")]
const USED: usize = 18;

/// How many words all of them are.
const ALL: usize = size_of::<seL4_UserContext>() / size_of::<Word>();

/// The registers in the order in which the kernel has them. Bindings name them apart.
fn words(all: &mut UserContext) -> &mut [Word; ALL] {
    const { assert!(USED <= ALL && ALL * size_of::<Word>() == size_of::<seL4_UserContext>()) };
    // SAFETY: the structure is that many words and nothing else, borrowed for as long.
    unsafe { &mut *core::ptr::from_mut(all.inner_mut()).cast::<[Word; ALL]>() }
}

/// The registers of a thread that is suspended.
pub(crate) fn read_registers(tcb: CPtr) -> sel4::Result<Option<Registers>> {
    let mut all = tcb.cap::<cap_type::Tcb>().tcb_read_registers(false, USED as Word)?;
    let mut registers = Registers::default();
    for (to, &from) in registers.0.iter_mut().zip(&words(&mut all)[..USED]) {
        *to = from as usize;
    }
    Ok(Some(registers))
}

/// Writes the registers of a thread that is suspended. Returns what is wrong with them, if they are
/// none of this machine's. The kernel changes the flags, and instruction pointers that would be none.
pub(crate) fn write_registers(tcb: CPtr, registers: &Registers) -> sel4::Result<Option<Malformed>> {
    let (used, none) = registers.0.split_at(USED);
    if none.iter().any(|&word| word != 0) {
        return Ok(Some(Malformed::Value));
    }
    let mut all = UserContext::default();
    for (to, &from) in words(&mut all).iter_mut().zip(used) {
        *to = from as Word;
    }
    tcb.cap::<cap_type::Tcb>().tcb_write_registers(false, USED as Word, &mut all)?;
    Ok(None)
}
