// SPDX-License-Identifier: BSD-2-Clause
//! Capability pointers, bare and typed.

use core::fmt;
use core::marker::PhantomData;

use crate::{cap, cap_type, sys, CapType, NoExplicitInvocationContext};

/// A machine word, as messages and registers carry it.
pub type Word = sys::seL4_Word;

/// The bits of [`Word`].
pub const WORD_SIZE: usize = crate::sel4_cfg_usize!(WORD_SIZE);

const _: () = assert!(WORD_SIZE == Word::BITS as usize);

/// A capability pointer as the word the kernel knows it by.
pub type CPtrBits = sys::seL4_CPtr;

/// A capability's badge: 28 bits, on x86_64 too ([`sys::seL4_BadgeBits`]). A release kernel drops
/// higher bits; a debug kernel stops on an assertion of its own.
pub type Badge = Word;

/// A capability pointer: an address in the caller's CSpace, resolved with all bits of a word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CPtr(CPtrBits);

impl CPtr {
    /// The word the kernel knows it by.
    pub const fn bits(self) -> CPtrBits {
        self.0
    }

    /// A capability pointer from the word the kernel knows it by.
    pub const fn from_bits(bits: CPtrBits) -> Self {
        Self(bits)
    }

    /// Takes the capability in that slot to be of type `T`. The kernel checks at each invocation.
    pub const fn cast<T: CapType>(self) -> Cap<T> {
        Cap::from_cptr(self)
    }
}

/// An address to be resolved from some CNode on, with an explicit number of bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CPtrWithDepth {
    bits: CPtrBits,
    depth: usize,
}

impl CPtrWithDepth {
    /// The low `depth` bits of `bits` (0 ≤ `depth` ≤ [`WORD_SIZE`]).
    pub const fn from_bits_with_depth(bits: CPtrBits, depth: usize) -> Self {
        Self { bits, depth }
    }

    /// The address.
    pub const fn bits(&self) -> CPtrBits {
        self.bits
    }

    /// How many of its bits to resolve.
    pub const fn depth(&self) -> usize {
        self.depth
    }

    /// No bits at all: the CNode itself, as a retype's destination.
    pub const fn empty() -> Self {
        Self::from_bits_with_depth(0, 0)
    }
}

impl From<CPtr> for CPtrWithDepth {
    fn from(cptr: CPtr) -> Self {
        Self::from_bits_with_depth(cptr.bits(), WORD_SIZE)
    }
}

/// A capability pointer whose capability is taken to be of type `T`; its methods are that type's
/// invocations. `C` says through which IPC buffer they go.
///
/// A pointer, not ownership: it is copied freely, and says nothing of whether the slot is still
/// filled. The kernel checks at each invocation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cap<T: CapType, C = NoExplicitInvocationContext> {
    cptr: CPtr,
    invocation_context: C,
    _phantom: PhantomData<T>,
}

impl<T: CapType> Cap<T> {
    /// The capability at this pointer.
    pub const fn from_cptr(cptr: CPtr) -> Self {
        Cap { cptr, invocation_context: NoExplicitInvocationContext::new(), _phantom: PhantomData }
    }

    /// The capability at the pointer of these bits.
    pub const fn from_bits(bits: CPtrBits) -> Self {
        Self::from_cptr(CPtr::from_bits(bits))
    }
}

impl<T: CapType, C> Cap<T, C> {
    /// The pointer.
    pub const fn cptr(&self) -> CPtr {
        self.cptr
    }

    /// The bits of the pointer.
    pub const fn bits(&self) -> CPtrBits {
        self.cptr.bits()
    }

    /// Takes the capability to be of type `T1`.
    pub fn cast<T1: CapType>(self) -> Cap<T1, C> {
        Cap { cptr: self.cptr, invocation_context: self.invocation_context, _phantom: PhantomData }
    }

    /// Forgets the type.
    pub fn upcast(self) -> cap::Unspecified<C> {
        self.cast()
    }

    /// The same capability, invoked through `invocation_context`.
    pub fn with<C1>(self, invocation_context: C1) -> Cap<T, C1> {
        Cap { cptr: self.cptr, invocation_context, _phantom: PhantomData }
    }

    /// The same capability, invoked as if no context had been given.
    pub fn without_context(self) -> Cap<T> {
        Cap::from_cptr(self.cptr)
    }

    /// The context that invocations go through.
    pub fn into_invocation_context(self) -> C {
        self.invocation_context
    }
}

impl<C> Cap<cap_type::Unspecified, C> {
    /// Takes the capability to be of type `T`.
    pub fn downcast<T: CapType>(self) -> Cap<T, C> {
        self.cast()
    }
}

impl<T: CapType, C> fmt::Debug for Cap<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple(T::NAME).field(&self.bits()).finish()
    }
}
