// SPDX-License-Identifier: BSD-2-Clause
//! The invocations of the seam by name, for counting and for errors.

macro_rules! invocations {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// The invocations of the seam, for counting and for errors.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[non_exhaustive]
        pub enum Invocation {
            $($(#[$doc])* $name),*
        }

        impl Invocation {
            /// All of them, in the order they are counted.
            pub const ALL: &'static [Invocation] = &[$(Invocation::$name),*];
        }
    };
}

invocations! {
    /// `Untyped_Retype`.
    UntypedRetype,
    /// `CNode_Copy`.
    CNodeCopy,
    /// `CNode_Mint`.
    CNodeMint,
    /// `CNode_Delete`.
    CNodeDelete,
    /// `CNode_Revoke`.
    CNodeRevoke,
    /// `CNode_CancelBadgedSends`.
    CNodeCancelBadgedSends,
    /// `Page_Map`.
    PageMap,
    /// `Page_Remap`.
    PageRemap,
    /// `Page_Unmap`.
    PageUnmap,
    /// `Page_GetAddress`.
    PageGetAddress,
    /// `PageTable_Map` and its kin.
    TableMap,
    /// `PageTable_Unmap` and its kin.
    TableUnmap,
    /// `ASIDControl_MakePool`.
    AsidControlMakePool,
    /// `ASIDPool_Assign`.
    AsidPoolAssign,
    /// `TCB_SetIPCBuffer`.
    TcbSetIpcBuffer,
    /// `TCB_SetSpace`.
    TcbSetSpace,
    /// `TCB_SetPriority`.
    TcbSetPriority,
    /// `TCB_Resume`, and the `Yield` after it.
    TcbResume,
}
