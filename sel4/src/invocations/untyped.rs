// SPDX-License-Identifier: BSD-2-Clause
//! Invocations of untypeds.

use crate::sys::UntypedRetype;
use crate::{cap, AbsoluteCPtr, InvocationContext, ObjectBlueprint, Result, Word};

impl<C: InvocationContext> cap::Untyped<C> {
    /// Makes `num_objects` objects (up to 256, `CONFIG_RETYPE_FAN_OUT_LIMIT`), their capabilities
    /// in the consecutive slots of the CNode `dst` from number `dst_offset` on (`Untyped_Retype`).
    ///
    /// Costs about 1000 instructions and 93 for each 4K frame beyond the first. When the untyped
    /// has no children but was used, or never was used since boot, its memory is cleared first:
    /// about 4800 instructions for 4 KiB.
    ///
    /// # Errors
    /// `NotEnoughMemory`; `DeleteFirst` when a slot is occupied; `RangeError` when the CNode has
    /// not so many slots, the number is 0 or above the limit, or a size is above 2^29;
    /// `InvalidArgument` when a size is too small, or for a type that cannot be made (of device
    /// memory, only frames and untypeds can); `FailedLookup` when `dst` leads nowhere.
    #[inline]
    pub fn untyped_retype(
        self,
        blueprint: &ObjectBlueprint,
        dst: &AbsoluteCPtr,
        dst_offset: usize,
        num_objects: usize,
    ) -> Result<()> {
        self.invoke_with(
            UntypedRetype,
            [
                blueprint.ty().into_sys(),
                blueprint.api_size_bits().unwrap_or(0) as Word,
                dst.path().bits(),
                dst.path().depth() as Word,
                dst_offset as Word,
                num_objects as Word,
            ],
            [dst.root().bits()],
        )?;
        Ok(())
    }
}
