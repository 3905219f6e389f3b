// SPDX-License-Identifier: BSD-2-Clause
//! A thread's registers by their use, on IA32.

use crate::sys::{seL4_UserContext, IPCBUF_GDT_SELECTOR, TLS_GDT_SELECTOR};
use crate::{UserContext, Word};

/// Where a thread can start: see [`thread_entry!`](crate::thread_entry).
pub type ThreadEntry = extern "fastcall" fn(usize, usize) -> !;

/// Defines a function where a thread can start (a [`ThreadEntry`](crate::ThreadEntry)), with the
/// calling convention that [`UserContext::start`](crate::UserContext::start) has in mind. Beyond
/// upstream.
///
/// One with type parameters calls [`begin_backtraces`](crate::begin_backtraces) first.
#[macro_export]
macro_rules! thread_entry {
    ($(#[$attribute:meta])* $visible:vis fn $name:ident($($arguments:tt)*) -> ! $body:block) => {
        $(#[$attribute])* $visible extern "fastcall" fn $name($($arguments)*) -> ! {
            $crate::begin_backtraces();
            $body
        }
    };
    ($(#[$attribute:meta])* $visible:vis fn $($rest:tt)*) => {
        $(#[$attribute])* $visible extern "fastcall" fn $($rest)*
    };
}

impl UserContext {
    /// A new thread's: all zero but for the selectors, FS (0x3b) at the thread's IPC buffer and GS
    /// (0x33) at `tls_base`, so that it finds both at once.
    pub(crate) const INITIAL: seL4_UserContext = seL4_UserContext {
        eip: 0,
        esp: 0,
        eflags: 0,
        eax: 0,
        ebx: 0,
        ecx: 0,
        edx: 0,
        esi: 0,
        edi: 0,
        ebp: 0,
        tls_base: 0,
        fs: IPCBUF_GDT_SELECTOR,
        gs: TLS_GDT_SELECTOR,
    };

    /// The program counter.
    pub const fn pc(&self) -> &Word {
        &self.inner().eip
    }

    /// The program counter.
    pub fn pc_mut(&mut self) -> &mut Word {
        &mut self.inner_mut().eip
    }

    /// The stack pointer. At the entry of a function the ABI wants it a word below a multiple of
    /// 16, as after a call.
    pub const fn sp(&self) -> &Word {
        &self.inner().esp
    }

    /// The stack pointer.
    pub fn sp_mut(&mut self) -> &mut Word {
        &mut self.inner_mut().esp
    }

    /// The frame pointer: the address of the frame of the function it is in, if the program is
    /// compiled with frame pointers and it is in no system call. Beyond upstream.
    pub const fn fp(&self) -> &Word {
        &self.inner().ebp
    }

    /// The two registers that a [`thread_entry!`](crate::thread_entry) has its arguments from.
    pub(crate) fn entry_params_mut(&mut self) -> [&mut Word; 2] {
        let registers = self.inner_mut();
        [&mut registers.ecx, &mut registers.edx]
    }

    /// The name and the value of each register, for people; the first are those that say where the
    /// thread was. Beyond upstream.
    pub fn named(&self) -> [(&'static str, Word); 10] {
        let r = self.inner();
        [
            ("eip", r.eip),
            ("esp", r.esp),
            ("ebp", r.ebp),
            ("eflags", r.eflags),
            ("eax", r.eax),
            ("ebx", r.ebx),
            ("ecx", r.ecx),
            ("edx", r.edx),
            ("esi", r.esi),
            ("edi", r.edi),
        ]
    }
}
