// SPDX-License-Identifier: BSD-2-Clause
//! What differs between the architectures.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86")]
use core::arch::x86::_rdtsc;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::_rdtsc;

/// The processor's counter of time.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: the kernel lets user code read the counter; reading it changes nothing.
    unsafe { _rdtsc() }
}
