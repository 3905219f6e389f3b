// SPDX-License-Identifier: BSD-2-Clause
//! What differs between kernels, and between their bindings: nothing else of the adapter does. The
//! documentation of [`sel4`](crate::sel4) says what that is.

#[cfg(feature = "kernel-16")]
mod arch;
#[cfg(feature = "kernel-16")]
mod invoke;
#[cfg(feature = "kernel-16")]
mod kernel_16;
#[cfg(not(feature = "kernel-16"))]
mod kernel_5;

#[cfg(feature = "kernel-16")]
pub use kernel_16::*;
#[cfg(not(feature = "kernel-16"))]
pub use kernel_5::*;
