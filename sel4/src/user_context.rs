//! A thread's registers.

use crate::sys::{seL4_UserContext, IPCBUF_GDT_SELECTOR, TLS_GDT_SELECTOR};
use crate::Word;

/// A thread's registers, as `tcb_read_registers` and `tcb_write_registers` move them.
///
/// The default is all zero but for the selectors: FS (0x3b) at the thread's IPC buffer and GS
/// (0x33) at `tls_base`, so that a new thread finds both at once. (Upstream's default is all zero;
/// IA32 is the only architecture with selectors, and the kernel takes no others.)
///
/// IA32 passes arguments on the stack, so upstream's `c_param` is not here: use
/// [`fastcall_param_mut`](Self::fastcall_param_mut), or put the argument on the thread's stack,
/// above a word for the return address.
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

    /// The program counter.
    pub const fn pc(&self) -> &Word {
        &self.0.eip
    }

    /// The program counter.
    pub fn pc_mut(&mut self) -> &mut Word {
        &mut self.0.eip
    }

    /// The stack pointer. At the entry of a function the ABI wants it 4 below a multiple of 16, as
    /// after a call.
    pub const fn sp(&self) -> &Word {
        &self.0.esp
    }

    /// The stack pointer.
    pub fn sp_mut(&mut self) -> &mut Word {
        &mut self.0.esp
    }

    /// Argument `ix` (0 or 1) of an entry point that is `extern "fastcall"`: ecx or edx. Beyond
    /// upstream.
    ///
    /// # Panics
    /// When `ix` is above 1.
    pub fn fastcall_param(&self, ix: usize) -> &Word {
        match ix {
            0 => &self.0.ecx,
            1 => &self.0.edx,
            _ => panic!("fastcall passes two arguments in registers"),
        }
    }

    /// Argument `ix` (0 or 1) of an entry point that is `extern "fastcall"`: ecx or edx. Beyond
    /// upstream.
    ///
    /// # Panics
    /// When `ix` is above 1.
    pub fn fastcall_param_mut(&mut self, ix: usize) -> &mut Word {
        match ix {
            0 => &mut self.0.ecx,
            1 => &mut self.0.edx,
            _ => panic!("fastcall passes two arguments in registers"),
        }
    }

    /// The registers in the kernel's order.
    pub(crate) fn words(&self) -> &[Word; Self::LEN] {
        // SAFETY: the structure is that many words and nothing else (its layout is asserted).
        unsafe { &*(&raw const self.0).cast() }
    }

    /// The registers in the kernel's order.
    pub(crate) fn words_mut(&mut self) -> &mut [Word; Self::LEN] {
        // SAFETY: as in `words`; any word is a valid register.
        unsafe { &mut *(&raw mut self.0).cast() }
    }
}

impl Default for UserContext {
    fn default() -> Self {
        Self(seL4_UserContext {
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
        })
    }
}
