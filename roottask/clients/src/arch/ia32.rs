// SPDX-License-Identifier: BSD-2-Clause
//! IA32.

/// Replaces the thread's own variable of this name, of 32 bits, by a value; its old value.
#[macro_export]
macro_rules! exchange_thread_local {
    ($name:literal, $value:expr) => {{
        let found: u32;
        // SAFETY: GS leads to the thread's own block, which no other thread accesses.
        unsafe {
            ::core::arch::asm!(
                concat!("mov {0:e}, dword ptr gs:[", $name, "@ntpoff]"),
                concat!("mov dword ptr gs:[", $name, "@ntpoff], {1:e}"),
                out(reg) found, in(reg) $value, options(nostack),
            );
        }
        found
    }};
}
