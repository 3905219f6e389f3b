// SPDX-License-Identifier: BSD-2-Clause
//! Invocations of CNodes, as methods of the slot they change.

use crate::sys::{
    CNodeCancelBadgedSends, CNodeCopy, CNodeDelete, CNodeMint, CNodeMove, CNodeMutate, CNodeRevoke,
    CNodeRotate, CNodeSaveCaller,
};
use crate::{AbsoluteCPtr, CapRights, InvocationContext, Result, Word};

impl<C: InvocationContext> AbsoluteCPtr<C> {
    /// Copies the capability in `src` here, with at most `rights` (`CNode_Copy`). A copied frame
    /// capability starts unmapped.
    ///
    /// # Errors
    /// `DeleteFirst` when this slot is occupied, `FailedLookup` when either leads nowhere or `src`
    /// is empty, `RevokeFirst` for an untyped with children, `IllegalOperation` for what cannot be
    /// copied.
    #[inline]
    pub fn copy(self, src: &AbsoluteCPtr, rights: CapRights) -> Result<()> {
        let [index, depth] = place(&self);
        let [src_index, src_depth] = place(src);
        self.into_root().invoke_with(
            CNodeCopy,
            [index, depth, src_index, src_depth, rights.into_inner()],
            [src.root().bits()],
        )?;
        Ok(())
    }

    /// Copies the capability in `src` here with a badge (endpoints and notifications) or a guard
    /// (CNodes: [`CNodeCapData::into_word`](crate::CNodeCapData::into_word)) (`CNode_Mint`).
    ///
    /// # Errors
    /// As [`copy`](Self::copy); `IllegalOperation` when the badge or guard is not possible, such as
    /// a second badge. See [`Badge`](crate::Badge) for its bits.
    #[inline]
    pub fn mint(self, src: &AbsoluteCPtr, rights: CapRights, badge: Word) -> Result<()> {
        let [index, depth] = place(&self);
        let [src_index, src_depth] = place(src);
        self.into_root().invoke_with(
            CNodeMint,
            [index, depth, src_index, src_depth, rights.into_inner(), badge],
            [src.root().bits()],
        )?;
        Ok(())
    }

    /// Moves the capability in `src` here (`CNode_Move`).
    ///
    /// # Errors
    /// `DeleteFirst` when this slot is occupied, `FailedLookup` when either leads nowhere or `src`
    /// is empty.
    #[inline]
    pub fn move_(self, src: &AbsoluteCPtr) -> Result<()> {
        let [index, depth] = place(&self);
        let [src_index, src_depth] = place(src);
        self.into_root().invoke_with(
            CNodeMove,
            [index, depth, src_index, src_depth],
            [src.root().bits()],
        )?;
        Ok(())
    }

    /// Moves the capability in `src` here, with a badge or guard (`CNode_Mutate`).
    ///
    /// # Errors
    /// As [`move_`](Self::move_); `IllegalOperation` when the badge or guard is not possible.
    #[inline]
    pub fn mutate(self, src: &AbsoluteCPtr, badge: Word) -> Result<()> {
        let [index, depth] = place(&self);
        let [src_index, src_depth] = place(src);
        self.into_root().invoke_with(
            CNodeMutate,
            [index, depth, src_index, src_depth, badge],
            [src.root().bits()],
        )?;
        Ok(())
    }

    /// Moves the capability in `pivot` here and the one in `src` to `pivot`, each with a badge or
    /// guard (`CNode_Rotate`). With `src` this very slot, that exchanges the two. Beyond upstream.
    ///
    /// # Errors
    /// `IllegalOperation` when `pivot` is `src` or this slot, or a badge or guard is not possible;
    /// `DeleteFirst` when this slot is occupied and is not `src`; `FailedLookup`.
    #[inline]
    pub fn rotate(
        self,
        dst_badge: Word,
        pivot: &AbsoluteCPtr,
        pivot_badge: Word,
        src: &AbsoluteCPtr,
    ) -> Result<()> {
        let [index, depth] = place(&self);
        let [pivot_index, pivot_depth] = place(pivot);
        let [src_index, src_depth] = place(src);
        self.into_root().invoke_with(
            CNodeRotate,
            [index, depth, dst_badge, pivot_index, pivot_depth, pivot_badge, src_index, src_depth],
            [pivot.root().bits(), src.root().bits()],
        )?;
        Ok(())
    }

    /// Empties the slot (`CNode_Delete`). The last capability to an object destroys it; a mapped
    /// frame is unmapped. Deleting an empty slot succeeds. About 1100 instructions for a frame.
    ///
    /// # Errors
    /// `FailedLookup` when it leads nowhere. Deleting an untyped with children is not refused: the
    /// children stay, and their memory can never be reused.
    #[inline]
    pub fn delete(self) -> Result<()> {
        let words = place(&self);
        self.into_root().invoke_with(CNodeDelete, words, [])?;
        Ok(())
    }

    /// Deletes every capability derived from the one in the slot, but not that one
    /// (`CNode_Revoke`).
    ///
    /// # Errors
    /// `FailedLookup` when it leads nowhere.
    #[inline]
    pub fn revoke(self) -> Result<()> {
        let words = place(&self);
        self.into_root().invoke_with(CNodeRevoke, words, [])?;
        Ok(())
    }

    /// Drops all messages waiting to be sent with the badge of the endpoint capability in the slot
    /// (`CNode_CancelBadgedSends`).
    ///
    /// # Errors
    /// `IllegalOperation` when it is no endpoint capability with all rights; `FailedLookup`.
    #[inline]
    pub fn cancel_badged_sends(self) -> Result<()> {
        let words = place(&self);
        self.into_root().invoke_with(CNodeCancelBadgedSends, words, [])?;
        Ok(())
    }

    /// Puts the right to answer the call received last into the slot, to answer later by sending to
    /// that capability (`CNode_SaveCaller`).
    ///
    /// # Errors
    /// `DeleteFirst` when the slot is occupied, `FailedLookup` when it leads nowhere.
    #[inline]
    pub fn save_caller(self) -> Result<()> {
        let words = place(&self);
        self.into_root().invoke_with(CNodeSaveCaller, words, [])?;
        Ok(())
    }
}

/// Index and depth of the slot, as every CNode invocation begins.
#[inline(always)]
fn place<C>(slot: &AbsoluteCPtr<C>) -> [Word; 2] {
    [slot.path().bits(), slot.path().depth() as Word]
}
