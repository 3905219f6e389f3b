// SPDX-License-Identifier: BSD-2-Clause
//! What today's kernels have on one architecture alone.

#[cfg(target_arch = "arm")]
mod aarch32;
#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(any(target_arch = "arm", target_arch = "aarch64"))]
mod arm;
pub mod elf;
#[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
mod riscv;
#[cfg(target_arch = "x86_64")]
mod x86_64;

/// What a PC has.
#[cfg(target_arch = "x86_64")]
pub mod pc;
/// What a PC has, which these machines are not.
#[cfg(not(target_arch = "x86_64"))]
pub mod pc {}

#[cfg(target_arch = "arm")]
pub use aarch32::*;
#[cfg(target_arch = "aarch64")]
pub use aarch64::*;
#[cfg(any(target_arch = "arm", target_arch = "aarch64"))]
pub use arm::*;
#[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
pub use riscv::*;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

/// Defines `recv`, the system call `Recv` of a kernel without MCS: by these instructions, its number in
/// this register, capability and message's description in the next two, the words of the message
/// that travel in registers in four more; the rest are those that are lost.
macro_rules! receives {
    (
        [$($line:tt),+], $number:tt, [$capability:tt, $info:tt],
        [$word0:tt, $word1:tt, $word2:tt, $word3:tt], [$($lost:tt),*]
    ) => {
        /// Waits for a message, with 0 as its description: what is returned, which the kernel leaves
        /// as it is where a signal has come. `words` are those that travel in registers.
        ///
        /// # Safety
        /// The calling thread's IPC buffer may be written to.
        pub unsafe fn recv(endpoint: sel4::CPtrBits, words: &mut [sel4::Word; 4]) -> sel4::Word {
            const RECV: isize = -5;
            let info;
            let [word0, word1, word2, word3] = words;
            // SAFETY: what the kernel does not keep is an output; the rest is the caller's promise.
            unsafe {
                core::arch::asm!(
                    $($line,)+
                    in($number) RECV,
                    inlateout($capability) endpoint => _,
                    inlateout($info) 0 as sel4::Word => info,
                    lateout($word0) *word0,
                    lateout($word1) *word1,
                    lateout($word2) *word2,
                    lateout($word3) *word3,
                    $(lateout($lost) _,)*
                    options(nostack),
                );
            }
            info
        }
    };
}
#[allow(unused_imports)] // where there is no such architecture
use receives;

#[cfg(target_arch = "x86")]
compile_error!(
    "the feature kernel-16 of vmm is not for IA32, which rust-sel4 does not have: build for another \
     architecture, or without the feature"
);
