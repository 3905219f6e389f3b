// SPDX-License-Identifier: BSD-2-Clause
//! Slots, named by a CNode and a path from it.

use crate::{cap, CPtr, CPtrBits, CPtrWithDepth, Cap, CapType, NoExplicitInvocationContext};

/// A slot (or a CNode): the path `path`, resolved from the CNode `root`.
///
/// Its methods are the invocations of CNodes (manual, "CNode"), the slot being the one that they
/// change: `dst.copy(&src, rights)`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AbsoluteCPtr<C = NoExplicitInvocationContext> {
    root: cap::CNode<C>,
    path: CPtrWithDepth,
}

impl<C> AbsoluteCPtr<C> {
    /// The slot at `path` from `root` on.
    pub const fn new(root: cap::CNode<C>, path: CPtrWithDepth) -> Self {
        Self { root, path }
    }

    /// The CNode that resolution starts at.
    pub const fn root(&self) -> &cap::CNode<C> {
        &self.root
    }

    /// The CNode that resolution starts at, with its context.
    pub fn into_root(self) -> cap::CNode<C> {
        self.root
    }

    /// The path from it.
    pub const fn path(&self) -> &CPtrWithDepth {
        &self.path
    }

    /// The same slot, invoked through `context`.
    pub fn with<C1>(self, context: C1) -> AbsoluteCPtr<C1> {
        AbsoluteCPtr::new(self.root.with(context), self.path)
    }

    /// The same slot, invoked as if no context had been given.
    pub fn without_context(self) -> AbsoluteCPtr {
        self.with(NoExplicitInvocationContext::new())
    }
}

/// What names a slot from a CNode on.
pub trait HasCPtrWithDepth {
    /// The path; a bare pointer is resolved with all bits of a word.
    fn cptr_with_depth(self) -> CPtrWithDepth;
}

impl HasCPtrWithDepth for CPtr {
    fn cptr_with_depth(self) -> CPtrWithDepth {
        self.into()
    }
}

impl<T: CapType, C> HasCPtrWithDepth for Cap<T, C> {
    fn cptr_with_depth(self) -> CPtrWithDepth {
        self.cptr().into()
    }
}

impl HasCPtrWithDepth for CPtrWithDepth {
    fn cptr_with_depth(self) -> CPtrWithDepth {
        self
    }
}

impl<C> cap::CNode<C> {
    /// The slot at `path` from this CNode on.
    pub fn absolute_cptr<T: HasCPtrWithDepth>(self, path: T) -> AbsoluteCPtr<C> {
        AbsoluteCPtr::new(self, path.cptr_with_depth())
    }

    /// The slot at the low `depth` bits of `bits` from this CNode on.
    pub fn absolute_cptr_from_bits_with_depth(
        self,
        bits: CPtrBits,
        depth: usize,
    ) -> AbsoluteCPtr<C> {
        self.absolute_cptr(CPtrWithDepth::from_bits_with_depth(bits, depth))
    }

    /// This CNode itself, as a retype's destination.
    pub fn absolute_cptr_for_self(self) -> AbsoluteCPtr<C> {
        self.absolute_cptr(CPtrWithDepth::empty())
    }
}
