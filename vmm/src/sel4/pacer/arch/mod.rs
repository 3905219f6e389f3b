// SPDX-License-Identifier: BSD-2-Clause
//! The timer that all machines of an architecture have, if any.

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod pit;

use super::timer::Timer;

/// The PC's interval timer.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
pub(super) const KNOWN_TIMER: Option<&dyn Timer> = Some(&pit::Pit);
/// None: what there is differs from machine to machine, or is the kernel's.
#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
pub(super) const KNOWN_TIMER: Option<&dyn Timer> = None;
