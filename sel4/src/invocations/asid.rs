// SPDX-License-Identifier: BSD-2-Clause
//! Invocations about address-space identifiers.

use crate::sys::{X86ASIDControlMakePool, X86ASIDPoolAssign};
use crate::{cap, AbsoluteCPtr, InvocationContext, Result, Word};

impl<C: InvocationContext> cap::AsidControl<C> {
    /// Makes an ASID pool of an untyped of [`ObjectBlueprint::asid_pool`]'s size, its capability in
    /// the empty slot `dst` (`ASIDControl_MakePool`).
    ///
    /// [`ObjectBlueprint::asid_pool`]: crate::ObjectBlueprint::asid_pool
    ///
    /// # Errors
    /// `DeleteFirst` when there are no more pools to be had or `dst` is occupied;
    /// `InvalidCapability` when the untyped has another size or is device memory; `RevokeFirst`
    /// when it has children; `FailedLookup` when `dst` leads nowhere.
    #[inline]
    pub fn asid_control_make_pool(self, untyped: cap::Untyped, dst: &AbsoluteCPtr) -> Result<()> {
        self.invoke_with(
            X86ASIDControlMakePool,
            [dst.path().bits(), dst.path().depth() as Word],
            [untyped.bits(), dst.root().bits()],
        )?;
        Ok(())
    }
}

impl<C: InvocationContext> cap::AsidPool<C> {
    /// Gives a new VSpace its identifier, without which nothing can be mapped in it
    /// (`ASIDPool_Assign`).
    ///
    /// # Errors
    /// `DeleteFirst` when the pool is used up; `InvalidCapability` when `vspace` is no VSpace or
    /// has an identifier; `FailedLookup` when the pool is gone.
    #[inline]
    pub fn asid_pool_assign(self, vspace: cap::VSpace) -> Result<()> {
        self.invoke_with(X86ASIDPoolAssign, [], [vspace.bits()])?;
        Ok(())
    }
}
