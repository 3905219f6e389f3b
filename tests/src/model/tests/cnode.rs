// SPDX-License-Identifier: BSD-2-Clause
//! `decodeCNodeInvocation` of `src/object/cnode.c`, and what it asks of `objecttype.c`

use super::support::*;

#[test]
fn a_copy_needs_an_empty_destination_before_anything_of_its_source() {
    let mut host = Host::small();
    let (frame, empty) = (host.make(FRAME), host.slot());
    let mut copy = |dst, src| host.kernel.cnode_copy(dst, src, RW);
    assert_eq!(copy(at(frame), at(empty)), Err(DeleteFirst));
    assert_eq!(copy(CapPath { depth: 0, ..at(frame) }, at(frame)), Err(RangeError));
    assert_eq!(copy(at(empty), CapPath { depth: 0, ..at(frame) }), Err(RangeError));
    assert_eq!(copy(at(empty), at(empty)), Err(FailedLookup), "nothing to copy");
    assert_eq!(copy(at(empty), CapPath { root: frame, ..at(frame) }), Err(FailedLookup));
    assert_eq!(copy(at(empty), at(frame)), Ok(()));
}

#[test]
fn cnode_invocations_need_a_cnode() {
    let mut host = Host::small();
    let (frame, notification) = (host.make(FRAME), host.make(Blueprint::Notification));
    for root in [frame, OWN, POOL, CPtr::new(slot::TCB), CPtr::new(slot::DOMAIN)] {
        let path = CapPath { root, ..at(frame) };
        assert_eq!(host.kernel.cnode_delete(path), Err(IllegalOperation), "{root:?}");
    }
    let path = CapPath { root: notification, ..at(frame) };
    assert_eq!(host.kernel.cnode_delete(path), Ok(()), "a notification takes it for a signal");
    assert!(!host.is_empty(frame));
}

#[test]
#[should_panic(expected = "blocks")]
fn an_invoked_endpoint_blocks_the_caller() {
    let mut host = Host::small();
    let endpoint = host.make(Blueprint::Endpoint);
    let _ = host.kernel.page_unmap(endpoint);
}

#[test]
fn an_endpoint_without_the_right_to_send_cannot_be_invoked() {
    let mut host = Host::small();
    let endpoint = host.make(Blueprint::Endpoint);
    let deaf = host.copy_with(endpoint, Rights::READ).unwrap();
    assert_eq!(host.kernel.page_unmap(deaf), Err(InvalidCapability));
}

#[test]
fn a_copied_frame_is_not_mapped() {
    let mut host = Host::small();
    host.table_over(OWN, FREE);
    let frame = host.frame_at(FREE);
    let copy = host.copy(frame).unwrap();
    assert!(matches!(host.kernel.cap(copy), Cap::Frame { mapped: None, .. }));
    assert_eq!(host.map(copy, OWN, FREE + 0x1000), Ok(()));
    assert_eq!(host.paddr_at(OWN, FREE), host.paddr_at(OWN, FREE + 0x1000));
    host.kernel.check_manager();
}

#[test]
fn rights_only_shrink() {
    let mut host = Host::small();
    let frame = host.make(FRAME);
    let mut rights_of = |source, rights| {
        let copy = host.copy_with(source, rights).unwrap();
        let Cap::Frame { rights, .. } = host.kernel.cap(copy) else { panic!("a frame") };
        (copy, rights)
    };
    let (read_only, rights) = rights_of(frame, Rights::READ);
    assert_eq!(rights, VmRights::ReadOnly);
    assert_eq!(rights_of(read_only, RW).1, VmRights::ReadOnly);
    assert_eq!(rights_of(read_only, Rights::WRITE).1, VmRights::KernelOnly);
    let (nothing, rights) = rights_of(frame, Rights::WRITE);
    assert_eq!(rights, VmRights::KernelOnly, "x86 cannot write without reading");
    assert_eq!(rights_of(nothing, RW).1, VmRights::KernelOnly);
}

#[test]
fn endpoint_rights_are_masked_bit_by_bit() {
    let mut host = Host::small();
    let endpoint = host.make(Blueprint::Endpoint);
    let copy = host.copy_with(endpoint, Rights::READ | Rights::GRANT).unwrap();
    let copy = host.copy_with(copy, RW).unwrap();
    assert!(matches!(host.kernel.cap(copy), Cap::Endpoint { rights: Rights::READ, .. }));
}

#[test]
fn a_badge_is_given_once() {
    let mut host = Host::small();
    for kind in [Blueprint::Endpoint, Blueprint::Notification] {
        let original = host.make(kind);
        let badged = host.mint(original, 7).unwrap();
        assert_eq!(host.mint(badged, 8), Err(IllegalOperation));
        assert_eq!(host.mint(badged, 0), Err(IllegalOperation));
        assert!(host.copy(badged).is_ok(), "a plain copy keeps it");
        let zero = host.mint(original, 0).unwrap();
        assert!(host.mint(zero, 9).is_ok(), "0 is no badge");
    }
}

#[test]
fn a_badge_has_28_bits() {
    let mut host = Host::small();
    let endpoint = host.make(Blueprint::Endpoint);
    let badged = host.mint(endpoint, 0xf123_4567).unwrap();
    assert!(matches!(host.kernel.cap(badged), Cap::Endpoint { badge: 0x123_4567, .. }));
}

#[test]
fn a_badge_for_what_has_none_is_ignored() {
    let mut host = Host::small();
    let (frame, tcb) = (host.make(FRAME), host.make(Blueprint::Tcb));
    let copy = host.mint(frame, 5).unwrap();
    assert_eq!(host.kernel.cap(copy), host.kernel.cap(frame));
    assert!(host.mint(tcb, 5).is_ok());
}

#[test]
fn a_guard_leaves_room_for_the_radix() {
    let mut host = Host::small();
    let node = host.make(cnode(10));
    assert!(host.mint_guard(node, 0, 22).is_ok());
    assert_eq!(host.mint_guard(node, 0, 23), Err(IllegalOperation));
}

#[test]
fn a_guard_is_cut_to_its_width_and_to_18_bits() {
    let mut host = Host::small();
    let node = host.make(cnode(4));
    let short = host.mint_guard(node, 0xff, 3).unwrap();
    assert!(matches!(host.kernel.cap(short), Cap::CNode { guard: 7, guard_bits: 3, .. }));
    let long = host.mint_guard(node, usize::MAX, 20).unwrap();
    assert!(matches!(host.kernel.cap(long), Cap::CNode { guard: 0x3_ffff, guard_bits: 20, .. }));
}

#[test]
fn a_guard_replaces_the_one_before() {
    let mut host = Host::small();
    let node = host.make(cnode(4));
    let first = host.mint_guard(node, 5, 3).unwrap();
    let second = host.mint_guard(first, 1, 2).unwrap();
    assert!(matches!(host.kernel.cap(second), Cap::CNode { guard: 1, guard_bits: 2, .. }));
}

#[test]
fn paging_structures_are_copied_only_where_mapped() {
    let mut host = Host::small();
    let (table, root) = (host.make(TABLE), host.make(ROOT));
    assert_eq!(host.copy(table), Err(IllegalOperation));
    assert_eq!(host.copy(root), Err(IllegalOperation), "it has no ASID");
    host.kernel.table_map(table, 1, OWN, FREE).unwrap();
    host.kernel.asid_pool_assign(POOL, root).unwrap();
    let copy = host.copy(table).unwrap();
    assert_eq!(host.kernel.cap(copy), host.kernel.cap(table));
    assert!(host.copy(root).is_ok());
}

#[test]
fn some_capabilities_have_no_copies() {
    let mut host = Host::small();
    assert_eq!(host.copy(CPtr::new(slot::IRQ_CONTROL)), Err(IllegalOperation));
    assert!(host.copy(CPtr::new(slot::ASID_CONTROL)).is_ok());
    assert!(host.copy(CPtr::new(slot::DOMAIN)).is_ok());
}
