// SPDX-License-Identifier: BSD-2-Clause
//! The initial thread's CSpace: a single CNode, whose slot numbers are its capability pointers.

use core::hash::Hash;
use core::marker::PhantomData;
use core::ops::Range;

use crate::{cap_type, CPtr, CPtrBits, Cap, CapType};

/// A slot of the initial thread's CNode, by its number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot<T: CapType = cap_type::Unspecified> {
    index: usize,
    _phantom: PhantomData<T>,
}

impl<T: CapType> Slot<T> {
    /// The slot of this number.
    pub const fn from_index(index: usize) -> Self {
        Self { index, _phantom: PhantomData }
    }

    /// Its number.
    pub const fn index(&self) -> usize {
        self.index
    }

    /// The bits of its capability pointer.
    pub const fn cptr_bits(&self) -> CPtrBits {
        self.index as CPtrBits
    }

    /// Its capability pointer.
    pub const fn cptr(&self) -> CPtr {
        CPtr::from_bits(self.cptr_bits())
    }

    /// The capability in it.
    pub const fn cap(&self) -> Cap<T> {
        self.cptr().cast()
    }

    /// The same slot, its capability taken to be of type `T1`.
    pub const fn cast<T1: CapType>(&self) -> Slot<T1> {
        Slot::from_index(self.index)
    }

    /// The same slot, without a type.
    pub const fn upcast(&self) -> Slot {
        self.cast()
    }
}

impl Slot {
    /// The same slot, its capability taken to be of type `T`.
    pub const fn downcast<T: CapType>(&self) -> Slot<T> {
        self.cast()
    }
}

/// Consecutive slots of the initial thread's CNode.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotRegion<T: CapType = cap_type::Unspecified> {
    range: Range<usize>,
    _phantom: PhantomData<T>,
}

impl<T: CapType> SlotRegion<T> {
    /// The slots of these numbers.
    pub(crate) const fn from_range(range: Range<usize>) -> Self {
        Self { range, _phantom: PhantomData }
    }

    /// The number of the first.
    pub const fn start(&self) -> usize {
        self.range.start
    }

    /// The number behind the last.
    pub const fn end(&self) -> usize {
        self.range.end
    }

    /// Their numbers.
    pub const fn range(&self) -> Range<usize> {
        self.range.start..self.range.end
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.range.end - self.range.start
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `i`-th of them, from 0 on.
    ///
    /// # Panics
    /// When there are not that many.
    pub const fn index(&self, i: usize) -> Slot<T> {
        assert!(i < self.len(), "slot index out of the region");
        Slot::from_index(self.range.start + i)
    }
}

/// The slots that the kernel fills at boot.
pub mod slot {
    use super::Slot;
    use crate::{cap_type, sys};

    macro_rules! slots {
        ($($(#[$attr:meta])* $name:ident: $ty:ident = $number:ident;)*) => {$(
            $(#[$attr])*
            pub const $name: Slot<cap_type::$ty> = Slot::from_index(sys::$number as usize);
        )*};
    }

    slots! {
        /// Empty, so that a capability pointer of 0 names nothing.
        NULL: Null = seL4_CapNull;
        /// The initial thread's TCB.
        TCB: Tcb = seL4_CapInitThreadTCB;
        /// The initial CNode itself.
        CNODE: CNode = seL4_CapInitThreadCNode;
        /// The initial thread's address space.
        VSPACE: VSpace = seL4_CapInitThreadVSpace;
        /// The right to make interrupt handlers.
        IRQ_CONTROL: IrqControl = seL4_CapIRQControl;
        /// The right to make ASID pools.
        ASID_CONTROL: AsidControl = seL4_CapASIDControl;
        /// The ASID pool that the initial thread's address space is from.
        ASID_POOL: AsidPool = seL4_CapInitThreadASIDPool;
        /// All x86 I/O ports.
        IO_PORT: IOPort = seL4_CapIOPort;
        /// The same capability, by what upstream's kernels have here.
        IO_PORT_CONTROL: IOPortControl = seL4_CapIOPort;
        /// The devices' address space.
        #[cfg(sel4_iommu)]
        IO_SPACE: IOSpace = seL4_CapIOSpace;
        /// The frame of the boot information.
        BOOT_INFO_FRAME: Granule = seL4_CapBootInfoFrame;
        /// The frame of the initial thread's IPC buffer.
        IPC_BUFFER: Granule = seL4_CapInitThreadIPCBuffer;
        /// The right to move threads between scheduling domains.
        DOMAIN_SET: DomainSet = seL4_CapDomain;
    }
}

/// Suspends the initial thread, which then never runs again unless another thread resumes it.
///
/// # Panics
/// When called from a thread whose CSpace has another thread's TCB in [`slot::TCB`], or when the
/// thread is resumed.
#[cfg(feature = "state")]
pub fn suspend_self<T>() -> T {
    slot::TCB.cap().tcb_suspend().expect("the initial thread's TCB is in slot::TCB");
    unreachable!("a suspended thread was resumed")
}
