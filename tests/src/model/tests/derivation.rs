// SPDX-License-Identifier: BSD-2-Clause
//! The derivation tree of `src/object/cnode.c`

use super::support::*;

#[test]
fn deleting_an_empty_slot_succeeds() {
    let mut host = Host::small();
    let slot = host.slot();
    assert_eq!(host.kernel.cnode_delete(at(slot)), Ok(()));
    assert_eq!(host.kernel.cnode_revoke(at(slot)), Ok(()));
}

#[test]
fn a_revoke_deletes_copies_of_copies_and_not_itself() {
    let mut host = Host::small();
    let frame = host.make(FRAME);
    let copy = host.copy(frame).unwrap();
    let second = host.copy(copy).unwrap();
    host.revoke(copy);
    assert!(!host.is_empty(second), "a copy has no children, only the original has");
    host.revoke(frame);
    assert!(host.is_empty(copy) && host.is_empty(second) && !host.is_empty(frame));
    host.kernel.check_manager();
}

#[test]
fn capabilities_of_the_boot_are_originals() {
    let mut host = Host::small();
    let frame = CPtr::new(host.kernel.facts().image_frames.start);
    let copy = host.copy(frame).unwrap();
    host.revoke(frame);
    assert!(host.is_empty(copy) && !host.is_empty(frame));
}

#[test]
fn an_object_lives_as_long_as_one_capability_to_it() {
    let mut host = Host::small();
    let parent = host.make_untyped(12);
    let frame = host.make_from(parent, FRAME);
    let (copy, slot) = (host.copy(frame).unwrap(), host.slot());
    let frames = host.kernel.live(ObjectKind::Frame);
    host.delete(frame);
    assert_eq!(host.kernel.live(ObjectKind::Frame), frames);
    assert_eq!(host.retype(parent, FRAME, slot, 1), Err(NotEnoughMemory), "the copy is a child");
    host.delete(copy);
    assert_eq!(host.kernel.live(ObjectKind::Frame), frames - 1);
    assert!(host.starts_over(parent));
}

#[test]
fn a_revoke_of_an_untyped_deletes_what_came_of_it_at_any_depth() {
    let mut host = Host::small();
    let parent = host.make_untyped(16);
    let middle = host.make_from(parent, untyped(14));
    let frame = host.make_from(middle, FRAME);
    let copy = host.copy(frame).unwrap();
    let sibling = host.make_untyped(12);
    host.revoke(parent);
    for gone in [middle, frame, copy] {
        assert!(host.is_empty(gone), "{gone:?}");
    }
    assert!(!host.is_empty(sibling) && host.starts_over(parent));
    host.kernel.check_manager();
}

#[test]
fn deleting_an_untyped_leaves_its_objects_to_its_parent() {
    let mut host = Host::small();
    let parent = host.make_untyped(14);
    let middle = host.make_from(parent, untyped(14));
    let (frame, slot) = (host.make_from(middle, FRAME), host.slot());
    host.delete(middle);
    assert_eq!(host.retype(parent, FRAME, slot, 1), Err(NotEnoughMemory));
    host.revoke(parent);
    assert!(host.is_empty(frame));
}

#[test]
fn a_revoke_of_a_badge_leaves_other_badges() {
    let mut host = Host::small();
    let endpoint = host.make(Blueprint::Endpoint);
    let one = host.mint(endpoint, 1).unwrap();
    let two = host.mint(endpoint, 2).unwrap();
    let copy_of_one = host.copy(one).unwrap();
    host.revoke(one);
    assert!(host.is_empty(copy_of_one) && !host.is_empty(two) && !host.is_empty(one));
    host.revoke(endpoint);
    assert!(host.is_empty(one) && host.is_empty(two));
}

#[test]
fn the_same_badge_minted_twice_is_two_families() {
    let mut host = Host::small();
    let endpoint = host.make(Blueprint::Endpoint);
    let (first, second) = (host.mint(endpoint, 1).unwrap(), host.mint(endpoint, 1).unwrap());
    host.revoke(first);
    host.revoke(second);
    assert!(!host.is_empty(first) && !host.is_empty(second));
}

#[test]
fn a_badge_whose_first_capability_is_gone_still_begins_a_family() {
    let mut host = Host::small();
    let endpoint = host.make(Blueprint::Endpoint);
    let second = host.mint(endpoint, 1).unwrap();
    let child_of_second = host.copy(second).unwrap();
    let first = host.mint(endpoint, 1).unwrap();
    host.delete(second);
    host.revoke(first);
    assert!(!host.is_empty(child_of_second), "it is not first's, though the badge is the same");
    host.kernel.check();
}

#[test]
fn deleting_the_last_endpoint_capability_frees_its_memory() {
    let mut host = Host::small();
    let parent = host.make_untyped(4);
    let endpoint = host.make_from(parent, Blueprint::Endpoint);
    let badged = host.mint(endpoint, 3).unwrap();
    host.delete(endpoint);
    assert!(!host.is_empty(badged));
    host.delete(badged);
    assert!(host.starts_over(parent));
}

/// A badge's messages go with its copies: revoked first, or their senders send anew.
#[test]
fn cancelled_senders_find_their_capability_gone_only_if_it_was_revoked_before() {
    let mut host = Host::small();
    let endpoint = host.make(Blueprint::Endpoint);
    let (kept, other) = (host.mint(endpoint, 5).unwrap(), host.mint(endpoint, 6).unwrap());
    let copy = host.copy_with(kept, Rights::WRITE | Rights::GRANT).unwrap();
    for (tag, through) in [copy, other, copy, kept].into_iter().enumerate() {
        assert!(host.kernel.send(at(through), tag));
    }
    assert_eq!(host.kernel.cnode_cancel_badged_sends(at(kept)), Ok(()));
    let order: Vec<_> = (0..4).map_while(|_| host.kernel.receive(endpoint)).collect();
    assert_eq!(order, [(6, 1), (5, 0), (5, 2), (5, 3)], "they sent anew, behind the others");
    for through in [copy, other, copy] {
        assert!(host.kernel.send(at(through), 7));
    }
    host.revoke(kept);
    assert!(host.is_empty(copy) && !host.is_empty(other), "one badge has nothing of the other's");
    assert_eq!(host.kernel.cnode_cancel_badged_sends(at(kept)), Ok(()));
    assert_eq!(host.kernel.receive(endpoint), Some((6, 7)));
    assert_eq!(host.kernel.receive(endpoint), None);
}

#[test]
fn sends_are_cancelled_by_an_endpoint_capability_with_all_rights() {
    let mut host = Host::small();
    let endpoint = host.make(Blueprint::Endpoint);
    let kept = host.mint(endpoint, 5).unwrap();
    let weak = host.copy_with(kept, Rights::WRITE | Rights::GRANT).unwrap();
    let (frame, empty) = (host.make(FRAME), host.slot());
    for other in [weak, frame, empty] {
        assert_eq!(host.kernel.cnode_cancel_badged_sends(at(other)), Err(IllegalOperation));
    }
    assert!(host.kernel.send(at(weak), 1));
    assert_eq!(host.kernel.cnode_cancel_badged_sends(at(endpoint)), Ok(()), "no badge is none's");
    assert_eq!(host.kernel.receive(endpoint), Some((5, 1)));
}
