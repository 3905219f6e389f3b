// SPDX-License-Identifier: BSD-2-Clause
//! The words that the kernel's bindings have too: capability pointers and errors, from one to the
//! other.

use sel4::init_thread::Slot;
use sel4::{Cap, CapType};

use super::capability::CPtr;
use super::kernel_error::KernelError;
use super::object::{Object, Objects};

impl CPtr {
    /// The capability there, taken to be of type `T`: its methods are that type's invocations. The
    /// kernel checks the type at each of them.
    #[inline]
    pub const fn cap<T: CapType>(self) -> Cap<T> {
        Cap::from_bits(self.bits() as sel4::CPtrBits)
    }
}

impl Object {
    /// Its capability, taken to be of type `T`: its methods are that type's invocations. The kernel
    /// checks the type at each of them.
    #[inline]
    pub fn cap<T: CapType>(self) -> Cap<T> {
        self.slot().cap()
    }
}

impl Objects {
    /// The capability of one of them, as [`Object::cap`]; `None` past the end.
    pub fn cap<T: CapType>(self, index: usize) -> Option<Cap<T>> {
        self.get(index).map(Object::cap)
    }
}

impl From<sel4::CPtr> for CPtr {
    fn from(cptr: sel4::CPtr) -> CPtr {
        CPtr::new(cptr.bits() as usize)
    }
}

impl From<CPtr> for sel4::CPtr {
    fn from(cptr: CPtr) -> sel4::CPtr {
        sel4::CPtr::from_bits(cptr.bits() as sel4::CPtrBits)
    }
}

impl<T: CapType, C> From<Cap<T, C>> for CPtr {
    fn from(cap: Cap<T, C>) -> CPtr {
        cap.cptr().into()
    }
}

impl<T: CapType> From<CPtr> for Cap<T> {
    fn from(cptr: CPtr) -> Cap<T> {
        cptr.cap()
    }
}

impl<T: CapType> From<Object> for Cap<T> {
    fn from(object: Object) -> Cap<T> {
        object.cap()
    }
}

/// A slot of the initial thread's CNode, whose number is its capability pointer.
impl<T: CapType> From<Slot<T>> for CPtr {
    fn from(slot: Slot<T>) -> CPtr {
        CPtr::new(slot.index())
    }
}

impl From<sel4::Error> for KernelError {
    fn from(error: sel4::Error) -> KernelError {
        match error {
            sel4::Error::InvalidArgument => KernelError::InvalidArgument,
            sel4::Error::InvalidCapability => KernelError::InvalidCapability,
            sel4::Error::IllegalOperation => KernelError::IllegalOperation,
            sel4::Error::RangeError => KernelError::RangeError,
            sel4::Error::AlignmentError => KernelError::AlignmentError,
            sel4::Error::FailedLookup => KernelError::FailedLookup,
            sel4::Error::TruncatedMessage => KernelError::TruncatedMessage,
            sel4::Error::DeleteFirst => KernelError::DeleteFirst,
            sel4::Error::RevokeFirst => KernelError::RevokeFirst,
            sel4::Error::NotEnoughMemory => KernelError::NotEnoughMemory,
        }
    }
}

impl From<KernelError> for sel4::Error {
    fn from(error: KernelError) -> sel4::Error {
        match error {
            KernelError::InvalidArgument => sel4::Error::InvalidArgument,
            KernelError::InvalidCapability => sel4::Error::InvalidCapability,
            KernelError::IllegalOperation => sel4::Error::IllegalOperation,
            KernelError::RangeError => sel4::Error::RangeError,
            KernelError::AlignmentError => sel4::Error::AlignmentError,
            KernelError::FailedLookup => sel4::Error::FailedLookup,
            KernelError::TruncatedMessage => sel4::Error::TruncatedMessage,
            KernelError::DeleteFirst => sel4::Error::DeleteFirst,
            KernelError::RevokeFirst => sel4::Error::RevokeFirst,
            KernelError::NotEnoughMemory => sel4::Error::NotEnoughMemory,
        }
    }
}
