// SPDX-License-Identifier: BSD-2-Clause
//! Every error of the manager has a code, which says the same of whose fault it is.

use untyped_alloc::{Blueprint, CPtr, Error as AllocError, Invocation, KernelError, Rights};
use vmm::{AddressError, Error, Name, Occupant, RegionId, Resource, SpaceId, ThreadId, VirtAddr};
use vmm_c::vmm_code_t::{self, *};
use vmm_c::{vmm_blame_t, Refusal};

/// One of each.
fn errors() -> Vec<Error> {
    let (address, bytes, bits) = (0x5000, 4096, 13);
    let space = SpaceId::from_parts(1, 1);
    let region = RegionId::from_parts(space, VirtAddr::default(), 1);
    let slot = CPtr::new(77);
    let (invocation, error) = (Invocation::PageMap, KernelError::FailedLookup);
    let rights = Rights::READ;
    let of_addresses = [
        AddressError::OutsideUserSpace { address, end: 0x4000 },
        AddressError::Misaligned { address, bits },
        AddressError::Empty { address },
        AddressError::Wraps { address, pages: 1 },
    ];
    let of_the_allocator = [
        AllocError::NoSuchObject(Blueprint::Tcb),
        AllocError::ZeroCount,
        AllocError::TooMany { count: 300, limit: 256 },
        AllocError::NotAllocated(slot),
        AllocError::Stale(slot),
        AllocError::Misaligned { paddr: address, size_bits: bits },
        AllocError::NoUntypedAt(address),
        AllocError::AddressInUse(address),
        AllocError::DeviceMemory(address),
        AllocError::NoUntyped,
        AllocError::BadUntyped(address),
        AllocError::OutOfMemory { size_bits: bits, bytes: 1, free_bytes: 0 },
        AllocError::NeedsClearing { bytes: 4096 },
        AllocError::OutOfSlots { count: 1, free: 0 },
        AllocError::OutOfNodes(untyped_alloc::NodeKind::Block),
        AllocError::Kernel { invocation, error },
    ];
    let name = Name::default();
    let others = [
        Error::NoSuchSpace(space),
        Error::NoSuchRegion(region),
        Error::NoSuchThread(ThreadId::from_parts(1, 1)),
        Error::NoSuchIpcBuffer { address },
        Error::NoSuchRequest { ticket: 1 },
        Error::NoReplySlot(slot),
        Error::TokenInUse { token: 1 },
        Error::NoSuchPager { token: 1 },
        Error::TooManyPagers { most: 1 },
        Error::Overlap { address, region_start: address, name },
        Error::NoRoom { pages: 1, align_bits: bits, largest: 0, name },
        Error::FaultsNotTold { address, end: address, name },
        Error::OutsideRegion { address, name },
        Error::Guard { address, name },
        Error::AlreadyMapped { address, name },
        Error::NotMapped { address, name },
        Error::RightsExceedCeiling { asked: rights, ceiling: rights, name },
        Error::WrongKind { region, name },
        Error::LargePage { address },
        Error::OutOfMemoryToCut { address, bytes, free_bytes: 0 },
        Error::NotManaged { address },
        Error::Shared { address },
        Error::InUse { space, address },
        Error::PhysicalInUse { paddr: address, by: Occupant::Region { region, paddr: address } },
        Error::PhysicalInUse { paddr: address, by: Occupant::Object(Blueprint::Tcb) },
        Error::NoPage(slot),
        Error::BadTls { bytes, align: 3 },
        Error::NoSuchFrameSize { bits },
        Error::BadIpcBuffer { address },
        Error::NotOnePage { region, pages: 2 },
        Error::OwnSpace(space),
        Error::StoreSpace(space),
        Error::Pinned(region),
        Error::TooManyPinned { most: 1 },
        Error::SpaceInUse { space, threads: 1 },
        Error::NotOfSpace { space, slot },
        Error::AlreadyShared,
        Error::AlreadyStarted,
        Error::StackTooSmall { bytes: 1 },
        Error::BadBootInfo(1),
        Error::OutOfAsids,
        Error::OutOfBadges,
        Error::OutOfSpaceNumbers,
        Error::SharedTooOften { address },
        Error::OutOfQuota { space, resource: Resource::Frames, limit: 1, used: 1, wanted: 1 },
        Error::OutOfNodes(vmm::NodeKind::Region),
        Error::Kernel { invocation, error, done: 1 },
    ];
    let of_addresses = of_addresses.into_iter().map(Error::from);
    let of_the_allocator = of_the_allocator.into_iter().map(Error::from);
    of_addresses.chain(of_the_allocator).chain(others).collect()
}

/// Codes that no error of the manager has.
const OWN: [vmm_code_t; 10] = [
    VMM_OK,
    VMM_NULL_POINTER,
    VMM_NOT_STARTED,
    VMM_BAD_ARGUMENT,
    VMM_IN_POLICY,
    VMM_NO_IPC_BUFFER,
    VMM_HANDLER_RUNNING,
    VMM_NO_HANDLER,
    VMM_NOTHING_THERE,
    VMM_OTHER_ERROR,
];

#[test]
fn a_code_blames_whom_the_error_blames() {
    for error in errors() {
        let code = Refusal::from(error).code();
        assert_eq!(code.blame(), vmm_blame_t::from(error.blame()), "{error:?}, {code:?}");
    }
}

#[test]
fn every_code_is_an_errors_or_the_librarys_own() {
    for code in vmm_code_t::ALL {
        let of_errors = errors().into_iter().any(|error| Refusal::from(error).code() == code);
        assert!(of_errors != OWN.contains(&code), "{code:?}");
    }
}

#[test]
fn numbers_lead_to_codes_and_back() {
    for code in vmm_code_t::ALL {
        assert_eq!(vmm_code_t::from_number(code as i32), Some(code));
    }
    for number in [-1, 56, 99, 113, 202, i32::MIN, i32::MAX] {
        assert_eq!(vmm_code_t::from_number(number), None);
    }
}

#[test]
fn each_code_says_something_of_its_own() {
    let texts = vmm_code_t::ALL.map(|code| code.text().to_str().expect("texts are ASCII"));
    for (index, text) in texts.iter().enumerate() {
        assert!(text.len() > 5 && !texts[..index].contains(text), "{text}");
    }
}
