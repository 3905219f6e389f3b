// SPDX-License-Identifier: BSD-2-Clause
//! A thread's registers by their use, on x86_64.

use crate::sys::seL4_UserContext;
use crate::{UserContext, Word};

/// Where a thread can start: see [`thread_entry!`](crate::thread_entry).
pub type ThreadEntry = extern "C" fn(usize, usize) -> !;

/// Defines a function where a thread can start (a [`ThreadEntry`](crate::ThreadEntry)), with the
/// calling convention that [`UserContext::start`](crate::UserContext::start) has in mind. Beyond
/// upstream.
///
/// One with type parameters calls [`begin_backtraces`](crate::begin_backtraces) first.
#[macro_export]
macro_rules! thread_entry {
    ($(#[$attribute:meta])* $visible:vis fn $name:ident($($arguments:tt)*) -> ! $body:block) => {
        $(#[$attribute])* $visible extern "C" fn $name($($arguments)*) -> ! {
            $crate::begin_backtraces();
            $body
        }
    };
    ($(#[$attribute:meta])* $visible:vis fn $($rest:tt)*) => {
        $(#[$attribute])* $visible extern "C" fn $($rest)*
    };
}

impl UserContext {
    /// A new thread's: all zero. The kernel makes GS's base the IPC buffer and FS's `tls_base`.
    pub(crate) const INITIAL: seL4_UserContext = seL4_UserContext {
        rip: 0,
        rsp: 0,
        rflags: 0,
        rax: 0,
        rbx: 0,
        rcx: 0,
        rdx: 0,
        rsi: 0,
        rdi: 0,
        rbp: 0,
        r8: 0,
        r9: 0,
        r10: 0,
        r11: 0,
        r12: 0,
        r13: 0,
        r14: 0,
        r15: 0,
        tls_base: 0,
    };

    /// The program counter.
    pub const fn pc(&self) -> &Word {
        &self.inner().rip
    }

    /// The program counter.
    pub fn pc_mut(&mut self) -> &mut Word {
        &mut self.inner_mut().rip
    }

    /// The stack pointer. At the entry of a function the ABI wants it a word below a multiple of
    /// 16, as after a call.
    pub const fn sp(&self) -> &Word {
        &self.inner().rsp
    }

    /// The stack pointer.
    pub fn sp_mut(&mut self) -> &mut Word {
        &mut self.inner_mut().rsp
    }

    /// Argument `ix` (0 to 5) of a function of C's.
    ///
    /// # Panics
    /// When `ix` is above 5.
    pub fn c_param(&self, ix: usize) -> &Word {
        let r = self.inner();
        let params = [&r.rdi, &r.rsi, &r.rdx, &r.rcx, &r.r8, &r.r9];
        params[ix]
    }

    /// Argument `ix` (0 to 5) of a function of C's.
    ///
    /// # Panics
    /// When `ix` is above 5.
    pub fn c_param_mut(&mut self, ix: usize) -> &mut Word {
        let r = self.inner_mut();
        match ix {
            0 => &mut r.rdi,
            1 => &mut r.rsi,
            2 => &mut r.rdx,
            3 => &mut r.rcx,
            4 => &mut r.r8,
            5 => &mut r.r9,
            _ => panic!("C passes six arguments in registers"),
        }
    }

    /// The frame pointer: the address of the frame of the function it is in, if the program is
    /// compiled with frame pointers and it is in no system call. Beyond upstream.
    pub const fn fp(&self) -> &Word {
        &self.inner().rbp
    }

    /// The two registers that a [`thread_entry!`](crate::thread_entry) has its arguments from.
    pub(crate) fn entry_params_mut(&mut self) -> [&mut Word; 2] {
        let registers = self.inner_mut();
        [&mut registers.rdi, &mut registers.rsi]
    }

    /// The name and the value of each register, for people; the first are those that say where the
    /// thread was. Beyond upstream.
    pub fn named(&self) -> [(&'static str, Word); 18] {
        let r = self.inner();
        [
            ("rip", r.rip),
            ("rsp", r.rsp),
            ("rbp", r.rbp),
            ("rflags", r.rflags),
            ("rax", r.rax),
            ("rbx", r.rbx),
            ("rcx", r.rcx),
            ("rdx", r.rdx),
            ("rsi", r.rsi),
            ("rdi", r.rdi),
            ("r8", r.r8),
            ("r9", r.r9),
            ("r10", r.r10),
            ("r11", r.r11),
            ("r12", r.r12),
            ("r13", r.r13),
            ("r14", r.r14),
            ("r15", r.r15),
        ]
    }
}
