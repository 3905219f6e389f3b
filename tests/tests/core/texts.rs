// SPDX-License-Identifier: BSD-2-Clause
//! Errors as people read them. For each variant stands here what its text must have: addresses in
//! hexadecimal, the name of the region, how much was wanted and how much there was. A variant that
//! is missing here is found, since the sources are read for their names.

use std::collections::BTreeSet;
use std::fmt::{Debug, Display};

use untyped_alloc::Error as AllocError;
use vmm::{
    AddressError, Blueprint, CPtr, Error, Invocation, KernelError, Name, Occupant, RegionId,
    Resource, Rights, SpaceId, ThreadId, VirtAddr,
};

use crate::support::{Target, on_each};

on_each!(errors_of_the_manager);

const AT: usize = 0xab_c000;
const IN_HEX: &str = "0xabc000";
const IN_DECIMAL: &str = "11255808";

/// The variants of the enum `name` in `source`, as rustfmt leaves them.
fn variants(source: &str, name: &str) -> BTreeSet<String> {
    let (_, behind) = source.split_once(&format!("pub enum {name} {{\n")).expect("there is one");
    let (body, _) = behind.split_once("\n}\n").expect("it ends");
    let indented = body.lines().filter_map(|line| line.strip_prefix("    "));
    let names = indented.filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()));
    let alone = |line: &str| line.split(|c: char| !c.is_alphanumeric()).next().map(String::from);
    names.filter_map(alone).collect()
}

/// Whether `part` stands in `text` with no letter, digit or underscore beside it.
fn has(text: &str, part: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(part).any(|(at, _)| {
        !text[..at].ends_with(is_word) && !text[at + part.len()..].starts_with(is_word)
    })
}

/// Holds texts to what they must have, and the list to having all variants. An address is never in
/// decimal, and a text is one line in words, no value as `Debug` prints a structure.
fn hold<E: Debug + Display>(said: &[(E, &[&str])], mut missing: BTreeSet<String>) {
    for (error, parts) in said {
        let (text, debug) = (error.to_string(), format!("{error:?}"));
        for part in *parts {
            assert!(has(&text, part), "{debug}: {part:?} is not in {text:?}");
        }
        assert!(!text.contains(IN_DECIMAL), "{debug}: an address in decimal in {text:?}");
        assert!(!text.contains(['{', '\n']) && text.contains(' '), "{debug}: {text:?}");
        let name = debug.split(|c: char| !c.is_alphanumeric()).next().unwrap_or("");
        missing.remove(name);
    }
    assert!(missing.is_empty(), "nothing says what these must have in them: {missing:?}");
}

#[test]
fn variants_are_found() {
    let source = "pub enum Other {\n    Else,\n}\npub enum Error {\n    /// No Such.\n    A(usize),\n    \
                  B {\n        /// It.\n        Cc: u8,\n    },\n    C,\n}\n";
    assert_eq!(variants(source, "Error"), ["A", "B", "C"].map(String::from).into());
    assert!(has("a 12 b", "12") && has("12", "12") && !has("0x12", "12") && !has("123", "12"));
}

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
        (AllocError::OutOfSlots(717), &["717"]),
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
    let name = Name::new("heap");
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
        (overlap(Name::default()), &["0xabd0000", IN_HEX]),
        (no_room(name), &["717 pages", "2^21", "\"heap\"", "53"]),
        (no_room(Name::default()), &["717 pages", "2^21", "53"]),
        (Error::OutsideRegion { address }, &[IN_HEX]),
        (Error::Guard { address }, &[IN_HEX, "guard"]),
        (Error::AlreadyMapped { address }, &[IN_HEX]),
        (Error::NotMapped { address }, &[IN_HEX]),
        (Error::RightsExceedCeiling { asked, ceiling }, &["WRITE", "READ", "ceiling"]),
        (Error::WrongKind(region), &[IN_HEX, of_space]),
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
        (Error::Allocator(AllocError::OutOfSlots(717)), &["717", "slots"]),
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
