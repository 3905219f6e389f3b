// SPDX-License-Identifier: BSD-2-Clause
//! What differs between the architectures: a folder for each. Nothing outside names a register, a
//! level of paging structures, or the width of a word.
//!
//! ```text
//!   mod.rs          words, registers for messages, how many levels there are
//!   types.rs        the kernel's structures that no other architecture has so
//!   syscall.rs      the instruction that enters the kernel
//!   frames.rs       the calling thread's stack and frame pointer
//!   ipc_buffer.rs   reading and writing the calling thread's IPC buffer without its address
//!   user_context.rs a thread's registers by their use
//!   fault.rs        the words of an unknown system call: registers
//!   objects.rs      kernel objects, and types of capabilities, that only it has
//!   without_buffer.rs
//!                   system calls by upstream's names whose message is all in registers
//!   tables.rs       paging structures: which there are, and the invocations of them
//! ```

cfg_if::cfg_if! {
    if #[cfg(target_arch = "x86")] {
        mod ia32;
        pub(crate) use ia32::*;
    } else {
        mod x86_64;
        pub(crate) use x86_64::*;
    }
}
