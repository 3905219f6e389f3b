// SPDX-License-Identifier: BSD-2-Clause
//! Why a request was refused, before it is a code.

use untyped_alloc::{Blame, Error as AllocError};
use vmm::{AddressError, Error};

use super::code::vmm_blame_t;
use super::code::vmm_code_t::{self, *};

/// Why a request was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// By this crate.
    Code(vmm_code_t),
    /// By the manager.
    Manager(Error),
}

impl Refusal {
    /// Its code.
    pub fn code(&self) -> vmm_code_t {
        match self {
            Refusal::Code(code) => *code,
            Refusal::Manager(error) => error.into(),
        }
    }
}

impl From<vmm_code_t> for Refusal {
    fn from(code: vmm_code_t) -> Refusal {
        Refusal::Code(code)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Manager(error)
    }
}

impl From<Blame> for vmm_blame_t {
    fn from(blame: Blame) -> vmm_blame_t {
        match blame {
            Blame::Caller => vmm_blame_t::VMM_CALLER,
            Blame::Resource => vmm_blame_t::VMM_RESOURCE,
            Blame::Manager => vmm_blame_t::VMM_MANAGER,
        }
    }
}

impl From<&Error> for vmm_code_t {
    fn from(error: &Error) -> vmm_code_t {
        match error {
            Error::Address(error) => address_code(error),
            Error::Allocator(error) => allocator_code(error),
            Error::NoSuchSpace(_) => VMM_NO_SUCH_SPACE,
            Error::NoSuchRegion(_) => VMM_NO_SUCH_REGION,
            Error::NoSuchThread(_) => VMM_NO_SUCH_THREAD,
            Error::NoSuchIpcBuffer { .. } => VMM_NO_SUCH_IPC_BUFFER,
            Error::NoSuchRequest { .. } => VMM_NO_SUCH_REQUEST,
            Error::NoReplySlot(_) => VMM_NO_REPLY_SLOT,
            Error::TokenInUse { .. } => VMM_TOKEN_IN_USE,
            Error::NoSuchPager { .. } => VMM_NO_SUCH_PAGER,
            Error::TooManyPagers { .. } => VMM_TOO_MANY_PAGERS,
            Error::Overlap { .. } => VMM_OVERLAP,
            Error::NoRoom { .. } => VMM_NO_ROOM,
            Error::OutsideRegion { .. } => VMM_OUTSIDE_REGION,
            Error::Guard { .. } => VMM_GUARD,
            Error::AlreadyMapped { .. } => VMM_ALREADY_MAPPED,
            Error::NotMapped { .. } => VMM_NOT_MAPPED,
            Error::RightsExceedCeiling { .. } => VMM_RIGHTS_EXCEED_CEILING,
            Error::WrongKind { .. } => VMM_WRONG_KIND,
            Error::LargePage { .. } => VMM_LARGE_PAGE,
            Error::OutOfMemoryToCut { .. } => VMM_OUT_OF_MEMORY_TO_CUT,
            Error::NotManaged { .. } => VMM_NOT_MANAGED,
            Error::Shared { .. } => VMM_SHARED,
            Error::InUse { .. } => VMM_IN_USE,
            Error::PhysicalInUse { .. } => VMM_ADDRESS_IN_USE,
            Error::NoPage(_) => VMM_NO_PAGE,
            Error::BadTls { .. } => VMM_BAD_TLS,
            Error::NoSuchFrameSize { .. } => VMM_NO_SUCH_FRAME_SIZE,
            Error::BadIpcBuffer { .. } => VMM_BAD_IPC_BUFFER,
            Error::NotOnePage { .. } => VMM_NOT_ONE_PAGE,
            Error::OwnSpace(_) => VMM_OWN_SPACE,
            Error::StoreSpace(_) => VMM_STORE_SPACE,
            Error::Pinned(_) => VMM_PINNED,
            Error::TooManyPinned { .. } => VMM_TOO_MANY_PINNED,
            Error::SpaceInUse { .. } => VMM_SPACE_IN_USE,
            Error::FaultsNotTold { .. } => VMM_FAULTS_NOT_TOLD,
            Error::NotOfSpace { .. } => VMM_NOT_OF_SPACE,
            Error::AlreadyShared | Error::AlreadyStarted => VMM_ALREADY_STARTED,
            Error::StackTooSmall { .. } => VMM_STACK_TOO_SMALL,
            Error::BadBootInfo(_) => VMM_BAD_BOOT_INFO,
            Error::OutOfAsids => VMM_OUT_OF_ASIDS,
            Error::OutOfBadges => VMM_OUT_OF_BADGES,
            Error::OutOfSpaceNumbers => VMM_OUT_OF_SPACE_NUMBERS,
            Error::SharedTooOften { .. } => VMM_SHARED_TOO_OFTEN,
            Error::OutOfQuota { .. } => VMM_OUT_OF_QUOTA,
            Error::OutOfNodes(_) => VMM_OUT_OF_NODES,
            Error::Kernel { .. } => VMM_KERNEL_REFUSED,
            // The tests name each error that there is.
            _ => VMM_OTHER_ERROR,
        }
    }
}

fn address_code(error: &AddressError) -> vmm_code_t {
    match error {
        AddressError::OutsideUserSpace { .. } => VMM_OUTSIDE_USER_SPACE,
        AddressError::Misaligned { .. } => VMM_MISALIGNED,
        AddressError::Empty { .. } => VMM_EMPTY_RANGE,
        AddressError::Wraps { .. } => VMM_RANGE_WRAPS,
    }
}

fn allocator_code(error: &AllocError) -> vmm_code_t {
    match error {
        AllocError::NoSuchObject(_) => VMM_NO_SUCH_OBJECT,
        AllocError::ZeroCount => VMM_ZERO_COUNT,
        AllocError::TooMany { .. } => VMM_TOO_MANY,
        AllocError::NotAllocated(_) => VMM_NOT_ALLOCATED,
        AllocError::Stale(_) => VMM_STALE,
        AllocError::Misaligned { .. } => VMM_MISALIGNED,
        AllocError::NoUntypedAt(_) => VMM_NO_MEMORY_AT,
        AllocError::AddressInUse(_) => VMM_ADDRESS_IN_USE,
        AllocError::DeviceMemory(_) => VMM_DEVICE_MEMORY,
        AllocError::NoUntyped => VMM_NO_UNTYPED,
        AllocError::BadUntyped(_) => VMM_BAD_UNTYPED,
        AllocError::OutOfMemory { .. } => VMM_OUT_OF_MEMORY,
        AllocError::NeedsClearing { .. } => VMM_NEEDS_CLEARING,
        AllocError::OutOfSlots { .. } => VMM_OUT_OF_SLOTS,
        AllocError::OutOfNodes(_) => VMM_OUT_OF_NODES,
        AllocError::Kernel { .. } => VMM_KERNEL_REFUSED,
        _ => VMM_OTHER_ERROR,
    }
}
