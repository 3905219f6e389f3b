// SPDX-License-Identifier: BSD-2-Clause
//! Objects with slots, and what their destruction leaves: `finaliseSlot` and `reduceZombie` of
//! `src/object/cnode.c`

use super::support::*;

#[test]
fn a_destroyed_cnode_empties_its_slots() {
    let mut host = Host::small();
    host.table_over(OWN, FREE);
    let (inner, frame) = (host.make(cnode(2)), host.frame_at(FREE));
    host.kernel.cnode_copy(within(inner, 3, 2), at(frame), RW).unwrap();
    host.delete(frame);
    let frames = host.kernel.live(ObjectKind::Frame);
    host.delete(inner);
    assert_eq!(host.kernel.live(ObjectKind::Frame), frames - 1);
    assert_eq!(host.kernel.live(ObjectKind::CNode), 1, "the initial one");
    host.kernel.check();
}

#[test]
fn a_cnode_with_another_capability_keeps_its_slots() {
    let mut host = Host::small();
    let (inner, frame) = (host.make(cnode(2)), host.make(FRAME));
    host.kernel.cnode_copy(within(inner, 0, 2), at(frame), RW).unwrap();
    let copy = host.copy(inner).unwrap();
    host.delete(inner);
    assert!(matches!(host.kernel.cap_at(within(copy, 0, 2)), Some(Cap::Frame { .. })));
}

/// A CNode `inner` whose only capability lies in the CNode `outer`, and a frame's only capability
/// in slot 1 of `inner`. All three are from `parent`.
fn nested(host: &mut Host) -> (CPtr, CPtr) {
    let parent = host.make_untyped(16);
    let outer = host.make_from(parent, cnode(2));
    host.kernel.untyped_retype(parent, cnode(2), node(outer), 0, 1).unwrap();
    let inner = within(outer, 0, 2);
    host.kernel.untyped_retype(parent, FRAME, inner, 1, 1).unwrap();
    (parent, outer)
}

#[test]
fn a_cnode_inside_a_destroyed_cnode_lives_on_unreachable() {
    let mut host = Host::small();
    let (parent, outer) = nested(&mut host);
    let frames = host.kernel.live(ObjectKind::Frame);
    host.delete(outer);
    assert_eq!(host.kernel.live(ObjectKind::CNode), 2, "the inner one is a zombie in itself");
    assert_eq!(host.kernel.live(ObjectKind::Frame), frames, "and its frame is alive");
    assert!(!host.starts_over(parent), "so the untyped has children");
    host.kernel.check();
}

#[test]
fn a_revoke_of_the_untyped_ends_such_a_cnode() {
    let mut host = Host::small();
    let (parent, outer) = nested(&mut host);
    let frames = host.kernel.live(ObjectKind::Frame);
    host.delete(outer);
    host.revoke(parent);
    assert_eq!(host.kernel.live(ObjectKind::CNode), 1);
    assert_eq!(host.kernel.live(ObjectKind::Frame), frames - 1);
    assert!(host.starts_over(parent));
    host.kernel.check();
}

#[test]
fn a_revoke_of_the_untyped_destroys_nested_cnodes_whole() {
    let mut host = Host::small();
    let (parent, outer) = nested(&mut host);
    host.revoke(parent);
    assert!(host.is_empty(outer) && host.starts_over(parent));
    assert_eq!(host.kernel.live(ObjectKind::CNode), 1);
    host.kernel.check();
}

#[test]
fn a_cnode_may_hold_the_last_capability_to_itself() {
    let mut host = Host::small();
    let parent = host.make_untyped(12);
    let inner = host.make_from(parent, cnode(2));
    for index in [0, 3] {
        host.kernel.cnode_copy(within(inner, index, 2), at(inner), RW).unwrap();
    }
    host.delete(inner);
    assert_eq!(host.kernel.live(ObjectKind::CNode), 2);
    host.revoke(parent);
    assert_eq!(host.kernel.live(ObjectKind::CNode), 1);
    assert!(host.starts_over(parent));
    host.kernel.check();
}

#[test]
fn an_untyped_may_be_revoked_from_inside_a_cnode_made_of_it() {
    let mut host = Host::small();
    let parent = host.make_untyped(14);
    let copy = host.copy(parent).unwrap();
    let inner = host.make_from(copy, cnode(2));
    host.kernel.cnode_copy(within(inner, 1, 2), at(CPtr::new(slot::DOMAIN)), RW).unwrap();
    let frame = host.make_from(copy, FRAME);
    host.kernel.cnode_copy(within(inner, 2, 2), at(frame), RW).unwrap();
    host.revoke(parent);
    for gone in [copy, inner, frame] {
        assert!(host.is_empty(gone));
    }
    host.kernel.check();
}

#[test]
fn a_destroyed_thread_gives_up_what_it_held() {
    let mut host = Host::small();
    let (tcb, frame) = (host.make(Blueprint::Tcb), host.make(FRAME));
    let cspace = host.make(cnode(1));
    host.kernel.tcb_set_ipc_buffer(tcb, FREE, frame).unwrap();
    host.kernel.tcb_set_space(tcb, CPtr::NULL, cspace, OWN).unwrap();
    let frames = host.kernel.live(ObjectKind::Frame);
    host.delete(frame);
    assert_eq!(host.kernel.live(ObjectKind::Frame), frames, "the thread's copy keeps it");
    host.delete(tcb);
    assert_eq!(host.kernel.live(ObjectKind::Frame), frames - 1);
    assert_eq!(host.kernel.live(ObjectKind::Tcb), 1);
    host.kernel.check();
}

#[test]
fn a_thread_inside_a_destroyed_cnode_holds_on_to_its_frame() {
    let mut host = Host::small();
    let parent = host.make_untyped(13);
    let (inner, frame) = (host.make(cnode(1)), host.make(FRAME));
    host.kernel.untyped_retype(parent, Blueprint::Tcb, node(inner), 0, 1).unwrap();
    let tcb = host.slot();
    host.kernel.cnode_copy(at(tcb), within(inner, 0, 1), RW).unwrap();
    host.kernel.tcb_set_ipc_buffer(tcb, FREE, frame).unwrap();
    host.delete(tcb);
    host.delete(frame);
    let frames = host.kernel.live(ObjectKind::Frame);
    host.delete(inner);
    assert_eq!(host.kernel.live(ObjectKind::Tcb), 2, "a zombie");
    assert_eq!(host.kernel.live(ObjectKind::Frame), frames);
    host.revoke(parent);
    assert_eq!(host.kernel.live(ObjectKind::Tcb), 1);
    assert_eq!(host.kernel.live(ObjectKind::Frame), frames - 1);
    host.kernel.check();
}
