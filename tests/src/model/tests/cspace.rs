// SPDX-License-Identifier: BSD-2-Clause
//! `src/kernel/cspace.c`

use super::support::*;

#[test]
fn an_empty_slot_cannot_be_invoked() {
    let mut host = Host::small();
    let slot = host.slot();
    assert_eq!(host.kernel.page_unmap(slot), Err(InvalidCapability));
    assert_eq!(host.kernel.page_get_address(CPtr::NULL), Err(InvalidCapability));
    let path = CapPath { root: slot, index: 0, depth: 32 };
    assert_eq!(host.kernel.cnode_delete(path), Err(InvalidCapability));
}

#[test]
#[should_panic(expected = "capability fault")]
fn a_pointer_that_finds_no_slot_faults_the_caller() {
    let mut host = Host::small();
    let _ = host.kernel.page_unmap(CPtr::new(1 << 10));
}

#[test]
fn a_path_resolves_1_to_32_bits() {
    let mut host = Host::small();
    let slot = host.slot();
    let mut delete = |depth| host.kernel.cnode_delete(CapPath { depth, ..at(slot) });
    assert_eq!(delete(0), Err(RangeError));
    assert_eq!(delete(33), Err(RangeError));
    assert_eq!(delete(32), Ok(()));
    assert_eq!(delete(31), Err(FailedLookup), "22 bits of guard and 10 of radix do not fit");
    assert_eq!(delete(5), Err(FailedLookup), "not even the guard fits");
}

#[test]
fn a_path_must_match_the_guard() {
    let mut host = Host::small();
    let inner = host.make(cnode(4));
    let guarded = host.mint_guard(inner, 0b101, 3).unwrap();
    let mut delete = |index, depth| host.kernel.cnode_delete(within(guarded, index, depth));
    assert_eq!(delete(0b101_0000, 7), Ok(()));
    assert_eq!(delete(0b1101_1111, 7), Ok(()), "bits above the depth do not count");
    assert_eq!(delete(0b100_0000, 7), Err(FailedLookup));
    assert_eq!(delete(0b101_0000, 8), Err(FailedLookup));
}

#[test]
fn a_path_must_end_in_a_slot_and_not_before() {
    let mut host = Host::small();
    let (inner, frame) = (host.make(cnode(4)), host.make(FRAME));
    host.kernel.cnode_copy(within(inner, 3, 4), at(frame), RW).unwrap();
    let mut delete = |index, depth| host.kernel.cnode_delete(within(inner, index, depth));
    assert_eq!(delete(0x30, 8), Err(FailedLookup), "a frame holds no slots");
    assert_eq!(delete(0x00, 8), Err(FailedLookup), "nor does an empty slot");
    assert_eq!(delete(0x3, 4), Ok(()));
}

#[test]
fn a_path_leads_through_cnodes_in_cnodes() {
    let mut host = Host::small();
    let (outer, inner, frame) = (host.make(cnode(4)), host.make(cnode(4)), host.make(FRAME));
    host.kernel.cnode_copy(within(outer, 2, 4), at(inner), RW).unwrap();
    host.kernel.cnode_copy(within(outer, 0x25, 8), at(frame), RW).unwrap();
    assert!(matches!(host.kernel.cap_at(within(inner, 5, 4)), Some(Cap::Frame { .. })));
    host.kernel.cnode_delete(within(outer, 0x25, 8)).unwrap();
    assert_eq!(host.kernel.cap_at(within(inner, 5, 4)), Some(Cap::Null));
}

#[test]
fn the_cspace_grows_by_a_root_in_which_the_old_one_is_mounted() {
    let mut host = Host::small();
    let big = host.make(cnode(4));
    // The old root resolves 10 bits; the new one takes 4 of the 22 above them, a guard the rest.
    let root = host.mint_guard(big, 0, 18).unwrap();
    let mounted = within(big, 0, 4);
    host.kernel.cnode_mint_guard(mounted, at(CPtr::new(slot::CNODE)), 0, 0).unwrap();
    let tcb = CPtr::new(slot::TCB);
    host.kernel.tcb_set_space(tcb, CPtr::NULL, root, OWN).unwrap();
    assert_eq!(host.kernel.cap(OWN), host.kernel.cap_at(at(OWN)).unwrap(), "old pointers hold");
    let frame = host.make(FRAME);
    let new = within(big, 1, 4);
    host.kernel.cnode_copy(new, at(frame), RW).unwrap();
    assert_eq!(host.kernel.page_get_address(CPtr::new(1 << 10)).unwrap(), host.base(frame));
    host.kernel.check_manager();
}
