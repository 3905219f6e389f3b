// SPDX-License-Identifier: BSD-2-Clause
//! Mapping on x86_64: `src/arch/x86/64/kernel/vspace.c`

use untyped_alloc::kernel::ObjectSizes;

use super::support::*;
use crate::model::Arch;

fn machine() -> Host {
    Host::new(&BootConfig { ram: vec![(0x4000_0000, 30), (0x80_0000, 22)], ..BootConfig::x86_64() })
}

/// As a kernel with `CONFIG_HUGE_PAGE` would be.
fn with_huge_frames() -> Host {
    let sizes = ObjectSizes { frame_bits: [12, 21, 30], ..Arch::X86_64.sizes };
    let arch = Arch { sizes, ..Arch::X86_64 };
    let ram = vec![(0x4000_0000, 30), (0x80_0000, 22)];
    Host::new(&BootConfig { arch, ram, ..BootConfig::x86_64() })
}

#[test]
fn without_the_option_there_are_no_huge_frames() {
    let mut host = machine();
    let slot = host.slot();
    let huge = Blueprint::Frame { size_bits: 30 };
    assert_eq!(host.retype(host.untyped(0), huge, slot, 1), Err(InvalidArgument));
}

/// Where no paging structure but the root is.
const FAR: usize = 0x7000_0000_0000;

fn tables(host: &mut Host) -> Vec<CPtr> {
    (1..4).map(|level| host.make_from(host.untyped(1), Blueprint::Table { level })).collect()
}

#[test]
fn tables_are_mapped_from_the_root_down() {
    let mut host = machine();
    let tables = tables(&mut host);
    for level in [3, 2, 1] {
        let mapped = host.kernel.table_map(tables[level - 1], level as u8, OWN, FAR);
        assert_eq!(mapped, if level == 1 { Ok(()) } else { Err(FailedLookup) });
    }
    assert_eq!(host.kernel.table_map(tables[1], 2, OWN, FAR), Ok(()));
    assert_eq!(host.kernel.table_map(tables[2], 3, OWN, FAR), Ok(()));
    let frame = host.make_from(host.untyped(1), FRAME);
    assert_eq!(host.map(frame, OWN, FAR + 0x1000), Ok(()));
    assert_eq!(host.paddr_at(OWN, FAR + 0x1000), Some(host.base(frame)));
    host.kernel.check_manager();
}

#[test]
fn a_table_of_one_level_is_none_of_another() {
    let mut host = machine();
    let tables = tables(&mut host);
    assert_eq!(host.kernel.table_map(tables[0], 2, OWN, FAR), Err(IllegalOperation));
}

#[test]
fn frames_of_three_sizes_go_to_three_levels() {
    let mut host = with_huge_frames();
    let tables = tables(&mut host);
    host.kernel.table_map(tables[0], 1, OWN, FAR).unwrap();
    let huge = host.make_from(host.untyped(0), Blueprint::Frame { size_bits: 30 });
    assert_eq!(host.map(huge, OWN, FAR), Ok(()));
    assert_eq!(host.kernel.table_map(tables[1], 2, OWN, FAR), Err(DeleteFirst));
    host.kernel.table_map(tables[1], 2, OWN, FAR + (1 << 30)).unwrap();
    let large = host.make_from(host.untyped(1), Blueprint::Frame { size_bits: 21 });
    assert_eq!(host.map(large, OWN, FAR), Err(FailedLookup), "a huge frame is no directory");
    assert_eq!(host.map(large, OWN, FAR + (1 << 30)), Ok(()));
    assert_eq!(host.kernel.mapping(OWN, FAR).unwrap().size_bits, 30);
    host.kernel.check_manager();
}

#[test]
fn a_huge_frame_cannot_be_write_combining() {
    let mut host = with_huge_frames();
    let tables = tables(&mut host);
    host.kernel.table_map(tables[0], 1, OWN, FAR).unwrap();
    let huge = host.make_from(host.untyped(0), Blueprint::Frame { size_bits: 30 });
    host.kernel.page_map(huge, OWN, FAR, RW, CachePolicy::WriteCombining).unwrap();
    assert_eq!(host.kernel.mapping(OWN, FAR).unwrap().cache, CachePolicy::WriteBack);
}

#[test]
fn a_cnode_slot_has_32_bytes() {
    let mut host = machine();
    let child = host.make_from(host.untyped(1), untyped(9));
    let (first, second) = (host.slot(), host.slot());
    assert_eq!(host.retype(child, cnode(5), first, 1), Err(NotEnoughMemory));
    assert_eq!(host.retype(child, cnode(4), second, 1), Ok(()));
}

#[test]
fn there_are_eight_pools() {
    let mut host = machine();
    for i in 0..8 {
        let (pool, slot) = (host.make_from(host.untyped(1), untyped(12)), host.slot());
        let path = CapPath { depth: 64, ..at(slot) };
        let made = host.kernel.asid_control_make_pool(pool, path);
        assert_eq!(made, if i < 7 { Ok(()) } else { Err(DeleteFirst) });
    }
}
