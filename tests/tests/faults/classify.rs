// SPDX-License-Identifier: BSD-2-Clause
//! The class of a fault is a pure function: all of its domain that can differ is gone through.

use page_tables::Geometry;
use untyped_alloc::{CPtr, CachePolicy, Rights};
use vmm::{
    Access, Backing, FaultClass, Kind, Mapping, PageFault, RegionInfo, RegionOptions, Source,
    classify,
};

use crate::support::{Fixture, PAGE, Target};

const ACCESSES: [Access; 3] = [Access::Read, Access::Write, Access::Execute];
const RIGHTS: [Rights; 6] = [
    Rights::empty(),
    Rights::READ,
    Rights::WRITE,
    Rights::READ_WRITE,
    Rights::READ_EXECUTE,
    Rights::READ_WRITE_EXECUTE,
];
/// An architecture that cannot forbid to run what can be read, and one that can.
const GEOMETRIES: [Geometry; 2] =
    [Geometry::IA32, Geometry { has_no_execute: true, ..Geometry::IA32 }];
const KINDS: [Kind; 6] =
    [Kind::Memory, Kind::Stack, Kind::IpcBuffer, Kind::Boot, Kind::Bookkeeping, Kind::Quarantine];
const BACKINGS: [Backing; 3] =
    [Backing::Explicit, Backing::OnDemand { around: 4 }, Backing::Pager { token: 7 }];

/// Where in a region of three pages, with two guards below and one above, an address lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Position {
    LowestGuard,
    LastByteBelow,
    FirstByte,
    Middle,
    LastByte,
    FirstByteAbove,
    LastGuard,
}

const POSITIONS: [Position; 7] = [
    Position::LowestGuard,
    Position::LastByteBelow,
    Position::FirstByte,
    Position::Middle,
    Position::LastByte,
    Position::FirstByteAbove,
    Position::LastGuard,
];

impl Position {
    fn address(self, region: &RegionInfo) -> usize {
        let first = region.range.start().bits() + 2 * PAGE;
        match self {
            Position::LowestGuard => first - 2 * PAGE,
            Position::LastByteBelow => first - 1,
            Position::FirstByte => first,
            Position::Middle => first + PAGE + 12,
            Position::LastByte => first + 3 * PAGE - 1,
            Position::FirstByteAbove => first + 3 * PAGE,
            Position::LastGuard => first + 4 * PAGE - 1,
        }
    }

    fn in_guard(self) -> bool {
        !matches!(self, Position::FirstByte | Position::Middle | Position::LastByte)
    }
}

/// Some region, to be changed.
fn region() -> RegionInfo {
    let mut host = Fixture::roomy(Target::Ia32);
    let options = RegionOptions::new(3).guarded(2, 1);
    let id = host.vmm.reserve(host.own(), &options).expect("there is room");
    host.vmm.region_info(id).expect("it was reserved")
}

fn page(address: usize, rights: Rights, copy_on_write: bool) -> Mapping {
    Mapping {
        page: address & !(PAGE - 1),
        size_bits: 12,
        frame: CPtr::new(500),
        rights,
        executable: rights.contains(Rights::EXECUTE),
        copy_on_write,
        cache: CachePolicy::WriteBack,
        source: Source::Owned,
    }
}

/// Whether user mode may: a page that cannot be read can neither be written nor run.
fn allows(rights: Rights, access: Access, geometry: &Geometry) -> bool {
    match access {
        Access::Execute if geometry.has_no_execute => {
            rights.contains(Rights::READ) && rights.contains(Rights::EXECUTE)
        }
        Access::Read | Access::Execute => rights.contains(Rights::READ),
        Access::Write => rights.contains(Rights::READ) && rights.contains(Rights::WRITE),
    }
}

fn expected(
    region: &RegionInfo,
    position: Position,
    page: Option<&Mapping>,
    (access, geometry): (Access, &Geometry),
) -> FaultClass {
    if position.in_guard() {
        return FaultClass::Guard;
    }
    match (region.kind, page, region.backing) {
        (Kind::Boot, ..) => FaultClass::Boot,
        (Kind::Quarantine, ..) => FaultClass::NoRegion,
        (_, Some(page), _) if !allows(page.rights, access, geometry) => FaultClass::BeyondRights,
        (_, Some(page), _) if page.copy_on_write && access == Access::Write => {
            FaultClass::CopyOnWrite
        }
        (_, Some(_), _) => FaultClass::Recorded,
        (Kind::IpcBuffer, None, _) => FaultClass::Guard,
        _ if !allows(region.rights, access, geometry) => FaultClass::BeyondRights,
        (Kind::Stack, None, Backing::OnDemand { around }) => FaultClass::StackGrowth { around },
        (_, None, Backing::OnDemand { around }) => FaultClass::DemandZero { around },
        (_, None, Backing::Pager { token }) => FaultClass::Pager { token },
        (_, None, Backing::Explicit) => FaultClass::NotPopulated,
    }
}

/// Every kind of region × backing × its rights × position × page × access.
#[test]
fn the_class_depends_on_region_page_access_and_position_as_stated() {
    let some = region();
    let mut seen = 0;
    for kind in KINDS {
        for backing in BACKINGS {
            for rights in RIGHTS {
                let region = RegionInfo { kind, backing, rights, ..some };
                for position in POSITIONS {
                    seen += all_pages(&region, position);
                }
            }
        }
    }
    assert_eq!(seen, 6 * 3 * 6 * 7 * 13 * 3 * 2);
}

fn all_pages(region: &RegionInfo, position: Position) -> usize {
    let address = position.address(region);
    let mapped = |cow| RIGHTS.map(|rights| Some(page(address, rights, cow)));
    let pages = [mapped(false), mapped(true)].concat().into_iter().chain([None]);
    let mut seen = 0;
    for page in pages {
        for access in ACCESSES {
            for geometry in &GEOMETRIES {
                assert_eq!(
                    classify(address, access, Some(region), page.as_ref(), geometry, true),
                    expected(region, position, page.as_ref(), (access, geometry)),
                    "{access:?} at {position:?} of {region:?} with {page:?}, {geometry:?}"
                );
                seen += 1;
            }
        }
    }
    seen
}

#[test]
fn outside_any_region_and_outside_user_space_nothing_else_counts() {
    let region = region();
    let address = Position::Middle.address(&region);
    let page = page(address, Rights::READ_WRITE, true);
    for access in ACCESSES {
        let class = |region, in_user| {
            classify(address, access, region, Some(&page), &GEOMETRIES[0], in_user)
        };
        assert_eq!(class(None, true), FaultClass::NoRegion);
        assert_eq!(class(Some(&region), false), FaultClass::OutsideUserSpace);
        assert_eq!(class(None, false), FaultClass::OutsideUserSpace);
    }
}

/// Bit 0 of the x86 page-fault error code says present, bit 1 write, bit 4 fetch.
#[test]
fn the_words_of_a_message_say_what_was_done() {
    for fsr in 0..32 {
        for prefetch in [0, 1] {
            let fault = PageFault::from_x86_words(0x1000, 0x2004, prefetch, fsr);
            let access = match (prefetch == 1 || fsr & 16 != 0, fsr & 2 != 0) {
                (true, _) => Access::Execute,
                (false, true) => Access::Write,
                (false, false) => Access::Read,
            };
            let present = fsr & 1 != 0;
            assert_eq!(fault, PageFault { address: 0x2004, access, present, ip: 0x1000 });
        }
    }
}

/// A47: without a no-execute attribute the processor says that a fetch reads.
#[test]
fn a_read_where_the_instruction_is_executes() {
    let access = |ip, address, fsr| PageFault::from_x86_words(ip, address, 0, fsr).access;
    for fsr in [4, 5] {
        for ip in [0, 0x1000, 0x1ff1, 0xffff_f000] {
            assert_eq!(access(ip, ip, fsr), Access::Execute);
            assert_eq!(access(ip, ip, fsr | 2), Access::Write);
        }
        // An instruction of 15 bytes, the last of them on the next page; and what begins later.
        assert_eq!(access(0x1ff2, 0x2000, fsr), Access::Execute);
        assert_eq!(access(0x1fff, 0x2000, fsr), Access::Execute);
        assert_eq!(access(0x1fff, 0x2000, fsr | 2), Access::Write);
        // Too far, on the same page, below.
        assert_eq!(access(0x1ff1, 0x2000, fsr), Access::Read);
        assert_eq!(access(0x1000, 0x1001, fsr), Access::Read);
        assert_eq!(access(0x2000, 0x1fff, fsr), Access::Read);
        assert_eq!(access(0x1000, 0x2000, fsr), Access::Read);
    }
}

/// A226: the syndrome of an abort, as Arm's manual has it (`ESR_ELx`, data abort from a lower
/// level: class 0x24; instruction abort: 0x20): bits 5:0 the status code, of which 0b0001xx is a
/// translation fault of level xx and 0b0011xx a permission fault; bit 6 says of a data abort that
/// it wrote.
#[cfg(target_pointer_width = "64")]
#[test]
fn the_syndrome_of_an_abort_says_what_was_done() {
    let told = |prefetch, esr| PageFault::from_aarch64_words(0x1000, 0x2004, prefetch, esr);
    let fault = |access, present| Some(PageFault { address: 0x2004, access, present, ip: 0x1000 });
    // As the kernel gave them for a read and a write of what is not there, and a write of what may
    // be read only: class, 32-bit instruction, status.
    assert_eq!(told(0, 0x9200_0007), fault(Access::Read, false));
    assert_eq!(told(0, 0x9200_0047), fault(Access::Write, false));
    assert_eq!(told(0, 0x9200_004f), fault(Access::Write, true));
    assert_eq!(told(1, 0x8200_0007), fault(Access::Execute, false));
    assert_eq!(told(1, 0x8200_000f), fault(Access::Execute, true));
    for level in 0..4 {
        // Address size, translation, access flag, permission.
        assert_eq!(told(0, 0x9200_0000 | level), fault(Access::Read, false));
        assert_eq!(told(0, 0x9200_0004 | level), fault(Access::Read, false));
        assert_eq!(told(0, 0x9200_0008 | level), fault(Access::Read, true));
        assert_eq!(told(0, 0x9200_000c | level), fault(Access::Read, true));
    }
    // Cache maintenance says that it writes, and needs to read.
    assert_eq!(told(0, 0x9200_0147), fault(Access::Read, false));
    // External abort, of a table walk, parity, alignment, TLB conflict, an exclusive access that is
    // not supported: no mapping mends these.
    for status in [0x10, 0x14, 0x18, 0x21, 0x30, 0x35] {
        assert_eq!(told(0, 0x9200_0000 | status), None, "{status:#x}");
    }
}

/// A226: the status of an abort, as Arm's manual has it for short descriptors (`DFSR`, `IFSR`): bit
/// 10 and bits 3:0, of which 0b00101 and 0b00111 are translation faults of a section and a page,
/// 0b01101 and 0b01111 permission faults of either; bit 11 says of a data abort that it wrote.
#[test]
fn the_status_of_an_abort_says_what_was_done() {
    let told = |prefetch, fsr| PageFault::from_aarch32_words(0x1000, 0x2004, prefetch, fsr);
    let fault = |access, present| Some(PageFault { address: 0x2004, access, present, ip: 0x1000 });
    for (status, present) in [
        (0b0101, false),
        (0b0111, false),
        (0b0011, true),
        (0b0110, true),
        (0b1101, true),
        (0b1111, true),
    ] {
        assert_eq!(told(0, status), fault(Access::Read, present), "{status:#b}");
        assert_eq!(told(0, status | 1 << 11), fault(Access::Write, present), "{status:#b}");
        assert_eq!(told(1, status), fault(Access::Execute, present), "{status:#b}");
        // Cache maintenance says that it writes, and needs to read.
        assert_eq!(told(0, status | 1 << 11 | 1 << 13), fault(Access::Read, present));
        // With bit 10 it is another status.
        assert_eq!(told(0, status | 1 << 10), None, "{status:#b}");
    }
    // Alignment, debug event, external abort of an access and of a table walk, domain, asynchronous:
    // no mapping mends these.
    for status in [0x1, 0x2, 0x8, 0xc, 0xe, 0x9, 0xb, 0x406] {
        assert_eq!(told(0, status), None, "{status:#x}");
    }
}

/// A227: the cause of an exception, as RISC-V's manual has it: page faults are 12, 13 and 15,
/// access faults, which seL4 gives in their place, 1, 5 and 7.
#[test]
fn the_cause_of_an_exception_says_what_was_done() {
    let told = |prefetch, cause| PageFault::from_riscv_words(0x1000, 0x2004, prefetch, cause);
    for (causes, access) in
        [([1, 12], Access::Execute), ([5, 13], Access::Read), ([7, 15], Access::Write)]
    {
        for cause in causes {
            let fault = PageFault { address: 0x2004, access, present: false, ip: 0x1000 };
            assert_eq!(told(usize::from(access == Access::Execute), cause), Some(fault));
        }
    }
    // Misaligned accesses, an illegal instruction, a call.
    for cause in [0, 2, 4, 6, 8] {
        assert_eq!(told(0, cause), None, "{cause}");
    }
}
