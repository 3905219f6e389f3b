// SPDX-License-Identifier: BSD-2-Clause
//! Mapping on IA32: `src/arch/x86/kernel/vspace.c`, `src/arch/x86/32/`

use super::support::*;

#[test]
fn a_frame_is_mapped_once_by_a_capability() {
    let mut host = Host::small();
    host.table_over(OWN, FREE);
    let frame = host.frame_at(FREE);
    assert_eq!(host.map(frame, OWN, FREE + 0x1000), Err(InvalidCapability));
    assert_eq!(host.map(frame, CPtr::NULL, 1), Err(InvalidCapability), "before anything else");
    host.kernel.page_unmap(frame).unwrap();
    assert_eq!(host.map(frame, OWN, FREE + 0x1000), Ok(()));
    host.kernel.check_manager();
}

#[test]
fn a_vspace_needs_an_asid_to_map_in() {
    let mut host = Host::small();
    let (root, frame, table) = (host.make(ROOT), host.make(FRAME), host.make(TABLE));
    assert_eq!(host.map(frame, root, FREE), Err(InvalidCapability));
    assert_eq!(host.kernel.table_map(table, 1, root, FREE), Err(InvalidCapability));
    assert_eq!(host.map(frame, table, FREE), Err(InvalidCapability), "a table is no VSpace");
}

#[test]
fn user_space_ends_where_the_kernel_begins() {
    let mut host = Host::small();
    let (frame, large, table) = (host.make(FRAME), host.make(FRAME), host.make(TABLE));
    assert_eq!(host.map(frame, OWN, 0xe000_0000), Err(InvalidArgument));
    assert_eq!(host.map(frame, OWN, 0xdfff_f001), Err(InvalidArgument), "before alignment");
    assert_eq!(host.map(frame, OWN, 0xdfff_f000), Err(FailedLookup), "its last page");
    assert_eq!(host.map(large, OWN, 0xdfff_e800), Err(AlignmentError), "before the look-up");
    assert_eq!(host.kernel.table_map(table, 1, OWN, 0xe000_0000), Err(InvalidArgument));
    assert_eq!(host.kernel.table_map(table, 1, OWN, 0xdfff_ffff), Ok(()));
}

#[test]
fn a_small_frame_needs_a_table_and_an_empty_entry() {
    let mut host = Host::small();
    let (first, second) = (host.make(FRAME), host.make(FRAME));
    assert_eq!(host.map(first, OWN, FREE), Err(FailedLookup));
    host.table_over(OWN, FREE);
    assert_eq!(host.map(first, OWN, FREE), Ok(()));
    assert_eq!(host.map(second, OWN, FREE), Err(DeleteFirst));
    assert_eq!(host.paddr_at(OWN, FREE + 0xfff), Some(host.base(first)));
}

#[test]
fn a_large_frame_needs_the_directorys_entry_empty() {
    let mut host = Host::new(&BootConfig::ia32());
    let ram = host.kernel.facts().untypeds.iter().position(|u| u.size_bits == 23).unwrap();
    let parent = host.untyped(ram);
    let (large, table) = (host.make_from(parent, LARGE), host.make_from(parent, TABLE));
    let small = host.make_from(parent, FRAME);
    host.kernel.table_map(table, 1, OWN, FREE).unwrap();
    assert_eq!(host.map(large, OWN, FREE), Err(DeleteFirst), "a table is there");
    assert_eq!(host.map(large, OWN, FREE + 0x1000), Err(AlignmentError));
    assert_eq!(host.map(large, OWN, FREE + (1 << 22)), Ok(()));
    assert_eq!(host.map(small, OWN, FREE + (1 << 22)), Err(FailedLookup), "no table is there");
    host.kernel.table_unmap(table, 1).unwrap();
    assert_eq!(host.kernel.table_map(table, 1, OWN, FREE + (1 << 22)), Err(DeleteFirst));
    let mapping = host.kernel.mapping(OWN, FREE + (1 << 22) + 0x12_3456).unwrap();
    assert_eq!((mapping.paddr, mapping.size_bits), (host.base(large), 22));
}

#[test]
fn the_last_page_of_the_address_space_slips_past_the_check() {
    let mut host = Host::small();
    let (frame, second) = (host.make(FRAME), host.make(FRAME));
    let (other, last) = (host.vspace(), 0xffff_f000);
    assert_eq!(host.map(frame, OWN, last), Ok(()), "its end wraps to 0");
    assert_eq!(host.map(second, other, last), Err(DeleteFirst), "one table for all VSpaces");
    host.kernel.page_unmap(frame).unwrap();
    assert_eq!(host.map(second, other, last), Ok(()));
    host.kernel.check();
}

#[test]
fn a_large_frame_at_the_end_of_the_address_space_finds_the_kernels_table() {
    let mut host = Host::new(&BootConfig::ia32());
    let ram = host.kernel.facts().untypeds.iter().position(|u| u.size_bits == 23).unwrap();
    let large = host.make_from(host.untyped(ram), LARGE);
    assert_eq!(host.map(large, OWN, 0xffc0_0000), Err(DeleteFirst));
}

#[test]
fn a_mapping_has_the_rights_both_capability_and_call_allow() {
    let mut host = Host::small();
    host.table_over(OWN, FREE);
    let frame = host.make(FRAME);
    let read_only = host.copy_with(frame, Rights::READ).unwrap();
    host.map(read_only, OWN, FREE).unwrap();
    assert_eq!(host.kernel.mapping(OWN, FREE).unwrap().rights, Rights::READ);
    host.kernel.page_unmap(read_only).unwrap();
    let write_only = Rights::WRITE | Rights::GRANT;
    host.kernel.page_map(frame, OWN, FREE, write_only, CachePolicy::Uncached).unwrap();
    let mapping = host.kernel.mapping(OWN, FREE).unwrap();
    assert_eq!((mapping.rights, mapping.cache), (Rights::empty(), CachePolicy::Uncached));
}

#[test]
fn a_remap_changes_rights_where_the_frame_is() {
    let mut host = Host::small();
    host.table_over(OWN, FREE);
    let (frame, other) = (host.frame_at(FREE), host.vspace());
    assert_eq!(host.remap(frame, OWN, Rights::READ), Ok(()));
    assert_eq!(host.kernel.mapping(OWN, FREE).unwrap().rights, Rights::READ);
    assert_eq!(host.remap(frame, OWN, RW), Ok(()), "the capability still has both");
    assert_eq!(host.remap(frame, other, RW), Err(InvalidCapability));
    assert_eq!(host.remap(frame, frame, RW), Err(InvalidCapability));
    host.kernel.page_unmap(frame).unwrap();
    assert_eq!(host.remap(frame, frame, RW), Err(IllegalOperation), "before the VSpace");
}

#[test]
fn a_remap_writes_an_entry_that_is_another_frames_by_now() {
    let mut host = Host::small();
    let table = host.table_over(OWN, FREE);
    let (first, second) = (host.frame_at(FREE), host.make(FRAME));
    host.kernel.table_unmap(table, 1).unwrap();
    assert_eq!(host.remap(first, OWN, RW), Err(FailedLookup));
    host.kernel.table_map(table, 1, OWN, FREE).unwrap();
    host.map(second, OWN, FREE).unwrap();
    assert_eq!(host.remap(first, OWN, RW), Ok(()));
    assert_eq!(host.paddr_at(OWN, FREE), Some(host.base(first)));
    host.kernel.page_unmap(second).unwrap();
    assert_eq!(host.paddr_at(OWN, FREE), Some(host.base(first)), "it is not second's to empty");
    host.kernel.check();
}

#[test]
fn a_large_frames_remap_respects_a_table() {
    let mut host = Host::new(&BootConfig::ia32());
    let ram = host.kernel.facts().untypeds.iter().position(|u| u.size_bits == 23).unwrap();
    let large = host.make_from(host.untyped(ram), LARGE);
    let vspace = host.make_from(host.untyped(ram), ROOT);
    host.kernel.asid_pool_assign(POOL, vspace).unwrap();
    host.map(large, vspace, FREE).unwrap();
    assert_eq!(host.remap(large, vspace, Rights::READ), Ok(()));
    host.delete(vspace);
    let next = host.make_from(host.untyped(ram), ROOT);
    host.kernel.asid_pool_assign(POOL, next).unwrap();
    let table = host.make_from(host.untyped(ram), TABLE);
    host.kernel.table_map(table, 1, next, FREE).unwrap();
    assert_eq!(host.remap(large, next, RW), Err(DeleteFirst), "the new VSpace has the old ASID");
}

#[test]
fn unmapping_what_is_not_mapped_succeeds() {
    let mut host = Host::small();
    let frame = host.make(FRAME);
    assert_eq!(host.kernel.page_unmap(frame), Ok(()));
}

#[test]
fn page_invocations_need_a_frame() {
    let mut host = Host::small();
    let table = host.make(TABLE);
    assert_eq!(host.map(table, OWN, FREE), Err(IllegalOperation));
    assert_eq!(host.remap(table, OWN, RW), Err(IllegalOperation));
    assert_eq!(host.kernel.page_unmap(table), Err(IllegalOperation));
    assert_eq!(host.kernel.page_get_address(table), Err(IllegalOperation));
    let ports = CPtr::new(slot::IO_PORT);
    assert_eq!(host.kernel.page_unmap(ports), Err(TruncatedMessage), "it wants a port first");
}

#[test]
fn a_frame_tells_its_physical_address() {
    let mut host = Host::small();
    let frame = host.make_from(host.untyped(DEVICE_4M), FRAME);
    assert_eq!(host.kernel.page_get_address(frame), Ok(0xe000_0000));
}

#[test]
fn a_table_is_mapped_once_and_where_nothing_is() {
    let mut host = Host::small();
    let (first, second) = (host.table_over(OWN, FREE), host.make(TABLE));
    assert_eq!(host.kernel.table_map(second, 1, OWN, FREE + 0x3f_ffff), Err(DeleteFirst));
    assert_eq!(host.kernel.table_map(first, 1, OWN, FREE + (1 << 22)), Err(InvalidCapability));
    host.kernel.table_unmap(first, 1).unwrap();
    assert_eq!(host.kernel.table_map(second, 1, OWN, FREE), Ok(()));
}

#[test]
fn an_unmapped_table_is_cleared_and_its_frames_remember() {
    let mut host = Host::small();
    let table = host.table_over(OWN, FREE);
    let frame = host.frame_at(FREE);
    host.kernel.table_unmap(table, 1).unwrap();
    host.kernel.table_map(table, 1, OWN, FREE).unwrap();
    assert_eq!(host.paddr_at(OWN, FREE), None);
    assert_eq!(host.map(frame, OWN, FREE), Err(InvalidCapability));
    host.kernel.page_unmap(frame).unwrap();
    assert_eq!(host.map(frame, OWN, FREE), Ok(()));
}

#[test]
fn unmapping_a_table_needs_its_only_capability() {
    let mut host = Host::small();
    let table = host.table_over(OWN, FREE);
    let copy = host.copy(table).unwrap();
    assert_eq!(host.kernel.table_unmap(table, 1), Err(RevokeFirst));
    host.delete(table);
    host.frame_at(FREE);
    assert_eq!(host.kernel.table_unmap(copy, 1), Ok(()));
    assert_eq!(host.kernel.table_unmap(copy, 1), Ok(()), "nothing to do");
    assert_eq!(host.kernel.table_unmap(OWN, 1), Err(IllegalOperation));
}

#[test]
fn a_deleted_table_takes_its_mappings_with_it() {
    let mut host = Host::small();
    let table = host.table_over(OWN, FREE);
    let frame = host.frame_at(FREE);
    host.delete(table);
    assert_eq!(host.paddr_at(OWN, FREE), None);
    host.table_over(OWN, FREE);
    assert_eq!(host.paddr_at(OWN, FREE), None);
    assert!(matches!(host.kernel.cap(frame), Cap::Frame { mapped: Some(_), .. }));
    host.kernel.check();
}

#[test]
fn a_frames_last_capability_unmaps_it() {
    let mut host = Host::small();
    host.table_over(OWN, FREE);
    let frame = host.frame_at(FREE);
    host.delete(frame);
    assert_eq!(host.paddr_at(OWN, FREE), None);
    host.kernel.check_manager();
}

#[test]
fn a_capability_that_is_not_the_last_leaves_its_mapping_behind() {
    let mut host = Host::small();
    host.table_over(OWN, FREE);
    let frame = host.frame_at(FREE);
    let copy = host.copy(frame).unwrap();
    host.delete(frame);
    assert!(host.paddr_at(OWN, FREE).is_some(), "Mode_finaliseCap unmaps only final ones");
    assert_eq!(host.kernel.forgotten().len(), 1);
    host.delete(copy);
    assert!(host.paddr_at(OWN, FREE).is_some(), "and the last one knows nothing of it");
    assert_eq!(host.kernel.dangling().len(), 1);
}

#[test]
fn a_revoke_leaves_the_mappings_of_all_copies_behind() {
    let mut host = Host::small();
    host.table_over(OWN, FREE);
    let frame = host.make(FRAME);
    let copy = host.copy(frame).unwrap();
    host.map(copy, OWN, FREE).unwrap();
    host.revoke(frame);
    assert!(host.is_empty(copy) && host.paddr_at(OWN, FREE).is_some());
}

#[test]
fn a_stale_capability_empties_no_entry_of_another_frame() {
    let mut host = Host::small();
    let table = host.table_over(OWN, FREE);
    let (old, new) = (host.frame_at(FREE), host.make(FRAME));
    host.kernel.table_unmap(table, 1).unwrap();
    host.kernel.table_map(table, 1, OWN, FREE).unwrap();
    host.map(new, OWN, FREE).unwrap();
    host.delete(old);
    assert_eq!(host.paddr_at(OWN, FREE), Some(host.base(new)));
    host.kernel.check_manager();
}

#[test]
fn a_destroyed_vspace_leaves_capabilities_that_remember_it() {
    let mut host = Host::small();
    let vspace = host.vspace();
    let (table, frame) = (host.table_over(vspace, FREE), host.make(FRAME));
    host.map(frame, vspace, FREE).unwrap();
    host.delete(vspace);
    assert_eq!(host.map(frame, OWN, FREE), Err(InvalidCapability));
    assert_eq!(host.kernel.table_map(table, 1, OWN, FREE), Err(InvalidCapability));
    host.kernel.page_unmap(frame).unwrap();
    host.kernel.table_unmap(table, 1).unwrap();
    host.kernel.table_map(table, 1, OWN, FREE).unwrap();
    assert_eq!(host.map(frame, OWN, FREE), Ok(()));
    host.kernel.check_manager();
}

#[test]
fn a_vspace_lives_as_long_as_a_thread_runs_in_it() {
    let mut host = Host::small();
    let (vspace, tcb, cspace) = (host.vspace(), host.make(Blueprint::Tcb), host.make(cnode(1)));
    let table = host.table_over(vspace, FREE);
    host.kernel.tcb_set_space(tcb, CPtr::NULL, cspace, vspace).unwrap();
    let tables = host.kernel.live(ObjectKind::Table);
    host.delete(vspace);
    assert_eq!(host.kernel.live(ObjectKind::Table), tables);
    host.delete(table);
    host.delete(tcb);
    assert_eq!(host.kernel.live(ObjectKind::Table), tables - 2);
}

#[test]
fn a_remap_flushes_nothing() {
    let mut host = Host::small();
    host.table_over(OWN, FREE);
    let frame = host.frame_at(FREE);
    host.remap(frame, OWN, RW).unwrap();
    assert_eq!(host.kernel.stale_translations().count(), 0, "it changed nothing");
    host.remap(frame, OWN, Rights::READ).unwrap();
    let stale: Vec<_> = host.kernel.stale_translations().collect();
    assert_eq!((stale[0].0, stale[0].1.rights), (FREE, RW));
    host.kernel.page_unmap(frame).unwrap();
    assert_eq!(host.kernel.stale_translations().count(), 0);
}

#[test]
fn unmapping_a_table_flushes_what_it_mapped() {
    let mut host = Host::small();
    let table = host.table_over(OWN, FREE);
    let frame = host.frame_at(FREE + 0x3000);
    host.remap(frame, OWN, Rights::READ).unwrap();
    host.kernel.table_unmap(table, 1).unwrap();
    assert_eq!(host.kernel.stale_translations().count(), 0);
}

#[test]
fn a_remap_in_a_vspace_that_is_not_running_leaves_nothing_stale() {
    let mut host = Host::small();
    let vspace = host.vspace();
    host.table_over(vspace, FREE);
    let frame = host.make(FRAME);
    host.map(frame, vspace, FREE).unwrap();
    host.remap(frame, vspace, Rights::READ).unwrap();
    assert_eq!(host.kernel.stale_translations().count(), 0);
}
