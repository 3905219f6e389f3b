// SPDX-License-Identifier: BSD-2-Clause
//! x86_64.

/// Replaces the thread's own variable of this name, of 32 bits, by a value; its old value.
#[macro_export]
macro_rules! exchange_thread_local {
    ($name:literal, $value:expr) => {{
        let found: u32;
        // SAFETY: FS leads to the thread's own block, which no other thread accesses.
        unsafe {
            ::core::arch::asm!(
                concat!("mov {0:e}, dword ptr fs:[", $name, "@tpoff]"),
                concat!("mov dword ptr fs:[", $name, "@tpoff], {1:e}"),
                out(reg) found, in(reg) $value, options(nostack),
            );
        }
        found
    }};
}
