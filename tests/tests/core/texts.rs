// SPDX-License-Identifier: BSD-2-Clause
//! Errors as people read them. For each variant stands here what its text must have: addresses in
//! hexadecimal, the name of the region, how much was wanted and how much there was. A variant that
//! is missing here is found, since the sources are read for their names.

use untyped_alloc::Error as AllocError;
use vmm::{
    AddressError, Blueprint, CPtr, Error, Invocation, KernelError, Name, Occupant, RegionId,
    Resource, Rights, SpaceId, ThreadId, VirtAddr,
};

use vmm_tests::support::texts::{hold, variants};

use crate::support::{Target, on_each};

on_each!(errors_of_the_manager);

const AT: usize = 0xab_c000;
const IN_HEX: &str = "0xabc000";

#[test]
fn errors_of_addresses() {
    let said: &[(AddressError, &[&str])] = &[
        (AddressError::OutsideUserSpace { address: AT, end: 0xd000 }, &[IN_HEX, "0xd000"]),
        (AddressError::Misaligned { address: AT, bits: 21 }, &[IN_HEX, "2^21"]),
        (AddressError::Empty { address: AT }, &[IN_HEX]),
        (AddressError::Wraps { address: AT, pages: 717 }, &[IN_HEX, "717 pages"]),
    ];
    let source = include_str!("../../../page-tables/src/address.rs");
    hold(said, variants(source, "AddressError"));
}

#[test]
fn errors_of_the_allocator() {
    let (slot, in_slot) = (CPtr::new(0x2bc), "0x2bc");
    let nodes = untyped_alloc::NodeKind::SlotWindow;
    let (invocation, error) = (Invocation::UntypedRetype, KernelError::NotEnoughMemory);
    let said: &[(AllocError, &[&str])] = &[
        (AllocError::NoSuchObject(Blueprint::Frame { size_bits: 30 }), &["frame", "2^30"]),
        (AllocError::ZeroCount, &["zero"]),
        (AllocError::TooMany { count: 717, limit: 256 }, &["717", "256"]),
        (AllocError::NotAllocated(slot), &[in_slot]),
        (AllocError::Stale(slot), &[in_slot]),
        (AllocError::Misaligned { paddr: AT, size_bits: 21 }, &[IN_HEX, "21"]),
        (AllocError::NoUntypedAt(AT), &[IN_HEX]),
        (AllocError::AddressInUse(AT), &[IN_HEX]),
        (AllocError::DeviceMemory(AT), &[IN_HEX]),
        (AllocError::NoUntyped, &["untyped"]),
        (AllocError::BadUntyped(AT), &[IN_HEX]),
        // Less than is wanted, and enough that lies in pieces.
        (AllocError::OutOfMemory { size_bits: 12, bytes: 7000, free_bytes: 53 }, &["7000", "53"]),
        (
            AllocError::OutOfMemory { size_bits: 12, bytes: 4096, free_bytes: 5003 },
            &["2^12", "5003"],
        ),
        (AllocError::NeedsClearing { bytes: 7000 }, &["7000 bytes", "limit_clearing"]),
        (AllocError::OutOfSlots { count: 717, free: 53 }, &["717", "53", "free", "wanted"]),
        (AllocError::OutOfNodes(nodes), &["SlotWindow"]),
        (AllocError::Kernel { invocation, error }, &["UntypedRetype", "not enough memory"]),
    ];
    let source = include_str!("../../../untyped-alloc/src/types/error.rs");
    hold(said, variants(source, "Error"));
}

fn errors_of_the_manager(target: Target) {
    let space = SpaceId::from_parts(53, 1);
    let start = target.architecture().geometry.address(AT).expect("user space");
    of_the_manager(space, RegionId::from_parts(space, start, 61), start);
}

fn of_the_manager(space: SpaceId, region: RegionId, start: VirtAddr) {
    let (slot, in_slot, of_space, address) = (CPtr::new(0x2bc), "0x2bc", "space 53", AT);
    let thread = ThreadId::from_parts(717, 1);
    let (name, none) = (Name::new("heap"), Name::default());
    let (asked, ceiling) = (Rights::WRITE, Rights::READ);
    let (invocation, error) = (Invocation::PageMap, KernelError::DeleteFirst);
    let resource = Resource::Frames;
    let beyond = Error::OutOfQuota { space, resource, limit: 71, used: 53, wanted: 97 };
    let no_room = |name| Error::NoRoom { pages: 717, align_bits: 21, largest: 53, name };
    let overlap = |name| Error::Overlap { address: 0xabd_0000, region_start: AT, name };
    let frames = Occupant::Object(Blueprint::Tcb);
    let bytes = 7000;
    let said: &[(Error, &[&str])] = &[
        (Error::Address(AddressError::Empty { address }), &[IN_HEX]),
        (Error::NoSuchSpace(space), &[of_space]),
        (Error::NoSuchRegion(region), &[IN_HEX, of_space]),
        (Error::NoSuchThread(thread), &["717"]),
        (Error::NoSuchIpcBuffer { address }, &[IN_HEX]),
        (Error::NoSuchRequest { ticket: 717 }, &["717"]),
        (Error::NoReplySlot(slot), &[in_slot]),
        (Error::TokenInUse { token: 717 }, &["717"]),
        (Error::NoSuchPager { token: 717 }, &["717"]),
        (Error::TooManyPagers { most: 717 }, &["717"]),
        (overlap(name), &["0xabd0000", IN_HEX, "\"heap\""]),
        (overlap(none), &["0xabd0000", IN_HEX]),
        (no_room(name), &["717 pages", "2^21", "\"heap\"", "53"]),
        (no_room(none), &["717 pages", "2^21", "53"]),
        (
            Error::FaultsNotTold { address, end: 0xd000, name },
            &[IN_HEX, "of \"heap\"", "0xd000", "fault"],
        ),
        (Error::OutsideRegion { address, name }, &[IN_HEX, "\"heap\""]),
        (Error::OutsideRegion { address, name: none }, &[IN_HEX, "outside the region"]),
        (Error::Guard { address, name }, &[IN_HEX, "guard", "of \"heap\""]),
        (Error::Guard { address, name: none }, &[IN_HEX, "guard"]),
        (Error::AlreadyMapped { address, name }, &[IN_HEX, "of \"heap\"", "mapped already"]),
        (Error::AlreadyMapped { address, name: none }, &[IN_HEX, "mapped already"]),
        (Error::NotMapped { address, name }, &[IN_HEX, "nothing is mapped", "of \"heap\""]),
        (Error::NotMapped { address, name: none }, &[IN_HEX, "nothing is mapped"]),
        (
            Error::RightsExceedCeiling { asked, ceiling, name },
            &["WRITE", "READ", "ceiling", "of \"heap\""],
        ),
        (Error::RightsExceedCeiling { asked, ceiling, name: none }, &["WRITE", "READ", "ceiling"]),
        (Error::WrongKind { region, name }, &[IN_HEX, of_space, "\"heap\""]),
        (Error::WrongKind { region, name: none }, &[IN_HEX, of_space]),
        (Error::LargePage { address }, &[IN_HEX]),
        (Error::OutOfMemoryToCut { address, bytes, free_bytes: 53 }, &[IN_HEX, "7000", "53"]),
        (Error::NotManaged { address }, &[IN_HEX]),
        (Error::Shared { address }, &[IN_HEX]),
        (Error::InUse { space, address }, &[IN_HEX, of_space]),
        (Error::PhysicalInUse { paddr: AT, by: frames }, &[IN_HEX, "thread control block"]),
        (
            Error::PhysicalInUse { paddr: 0xd000, by: Occupant::Region { region, paddr: 0xe000 } },
            &["0xd000", "0xe000", IN_HEX],
        ),
        (Error::NoPage(slot), &[in_slot]),
        (Error::BadTls { bytes, align: 53 }, &["7000 bytes", "53"]),
        (Error::NoSuchFrameSize { bits: 30 }, &["2^30"]),
        (Error::BadIpcBuffer { address }, &[IN_HEX]),
        (Error::NotOnePage { region, pages: 717 }, &[IN_HEX, "717 pages", "one"]),
        (Error::OwnSpace(space), &[of_space]),
        (Error::StoreSpace(space), &[of_space, "store"]),
        (Error::Pinned(region), &[IN_HEX, of_space]),
        (Error::TooManyPinned { most: 717 }, &["717"]),
        (Error::SpaceInUse { space, threads: 717 }, &[of_space, "717"]),
        (Error::NotOfSpace { space, slot }, &[of_space, in_slot]),
        (Error::AlreadyShared, &["lock"]),
        (Error::AlreadyStarted, &["boot information"]),
        (Error::StackTooSmall { bytes }, &["7000 bytes", "stack"]),
        (Error::BadBootInfo(AT), &[IN_HEX]),
        (Error::OutOfAsids, &["address space"]),
        (Error::OutOfBadges, &["badge"]),
        (Error::OutOfSpaceNumbers, &["address space"]),
        (Error::SharedTooOften { address }, &[IN_HEX]),
        (beyond, &[of_space, "Frames", "71", "53", "97"]),
        (Error::OutOfNodes(vmm::NodeKind::CapCopies), &["CapCopies"]),
        (
            Error::Allocator(AllocError::OutOfSlots { count: 717, free: 53 }),
            &["717", "53", "slots"],
        ),
        // The manager says what to call in its own words.
        (
            Error::Allocator(AllocError::NeedsClearing { bytes }),
            &["Vmm::clear(7000)", "start_with"],
        ),
        (Error::Kernel { invocation, error, done: 717 }, &["PageMap", "717 pages", "delete first"]),
    ];
    assert_eq!(start.bits(), AT);
    hold(said, variants(include_str!("../../../vmm/src/types/error.rs"), "Error"));
}
