// SPDX-License-Identifier: BSD-2-Clause
//! A thread's registers. What names them is in `arch/*/user_context.rs`.

use crate::sys::seL4_UserContext;
use crate::Word;

/// A thread's registers, as `tcb_read_registers` and `tcb_write_registers` move them.
///
/// The default is what a new thread finds its IPC buffer and its thread-local storage by: on IA32
/// selectors in FS and GS, which the kernel takes no others of, and else zero. (Upstream's default
/// is all zero.)
///
/// IA32 passes arguments on the stack, so upstream's `c_param` is not there on it: use
/// [`start`](Self::start), or put the argument on the thread's stack, above a word for the return
/// address.
#[derive(Clone, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct UserContext(seL4_UserContext);

impl UserContext {
    /// How many registers there are.
    pub(crate) const LEN: usize = size_of::<seL4_UserContext>() / size_of::<Word>();

    /// From the kernel's own structure.
    pub const fn from_inner(inner: seL4_UserContext) -> Self {
        Self(inner)
    }

    /// The kernel's own structure.
    pub const fn into_inner(self) -> seL4_UserContext {
        self.0
    }

    /// The kernel's own structure.
    pub const fn inner(&self) -> &seL4_UserContext {
        &self.0
    }

    /// The kernel's own structure: `tls_base` is here.
    pub fn inner_mut(&mut self) -> &mut seL4_UserContext {
        &mut self.0
    }

    /// Those of a new thread that starts at `entry`, the address of a
    /// [`thread_entry!`](crate::thread_entry), with two arguments and the stack below `stack_top`
    /// (bytes; rounded down as the ABI wants it). Beyond upstream.
    pub fn start(entry: Word, stack_top: usize, arguments: [Word; 2]) -> Self {
        let mut context = Self::default();
        *context.pc_mut() = entry;
        // As after a call: a word below a multiple of 16.
        *context.sp_mut() = ((stack_top & !15) - size_of::<Word>()) as Word;
        for (register, argument) in context.entry_params_mut().into_iter().zip(arguments) {
            *register = argument;
        }
        context
    }

    /// The registers in the kernel's order. Beyond upstream.
    pub fn words(&self) -> &[Word; Self::LEN] {
        // SAFETY: the structure is that many words and nothing else (its layout is asserted).
        unsafe { &*(&raw const self.0).cast() }
    }

    /// The registers in the kernel's order. Beyond upstream.
    pub fn words_mut(&mut self) -> &mut [Word; Self::LEN] {
        // SAFETY: as in `words`; any word is a valid register.
        unsafe { &mut *(&raw mut self.0).cast() }
    }
}

impl Default for UserContext {
    fn default() -> Self {
        Self(Self::INITIAL)
    }
}
