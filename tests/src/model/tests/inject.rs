// SPDX-License-Identifier: BSD-2-Clause
//! Counters, failures on purpose, snapshots

use super::support::*;
use crate::model::CallKind;

#[test]
fn calls_are_counted_by_kind_refused_ones_too() {
    let mut host = Host::small();
    let frame = host.make(FRAME);
    let _ = host.map(frame, OWN, FREE);
    assert_eq!(host.kernel.calls(CallKind::UntypedRetype), 1);
    assert_eq!(host.kernel.calls(CallKind::PageMap), 1);
    assert_eq!(host.kernel.total_calls(), 2);
}

#[test]
fn the_nth_call_fails_once_and_without_effect() {
    let mut host = Host::small();
    let (parent, slot) = (host.untyped(RAM_64K), host.slots(2));
    host.kernel.fail_nth(2, NotEnoughMemory);
    assert_eq!(host.retype(parent, FRAME, slot, 1), Ok(()));
    assert_eq!(host.retype(parent, FRAME, slot.offset(1), 1), Err(NotEnoughMemory));
    assert!(host.is_empty(slot.offset(1)));
    assert_eq!(host.retype(parent, FRAME, slot.offset(1), 1), Ok(()));
    assert_eq!(host.kernel.injected_failures(), 1);
    assert!(!host.kernel.disarm());
}

#[test]
fn the_nth_call_of_a_kind_fails() {
    let mut host = Host::small();
    host.kernel.fail_nth_of(CallKind::CNodeDelete, 1, IllegalOperation);
    let frame = host.make(FRAME);
    assert_eq!(host.kernel.cnode_delete(at(frame)), Err(IllegalOperation));
    assert_eq!(host.kernel.cnode_delete(at(frame)), Ok(()));
}

#[test]
fn calls_fail_on_a_condition_until_disarmed() {
    let mut host = Host::small();
    let frame = host.make(FRAME);
    host.kernel.fail_when(|kind| kind == CallKind::CNodeDelete, RevokeFirst);
    for _ in 0..2 {
        assert_eq!(host.kernel.cnode_delete(at(frame)), Err(RevokeFirst));
    }
    assert!(host.kernel.disarm());
    assert_eq!(host.kernel.cnode_delete(at(frame)), Ok(()));
}

#[test]
fn a_clone_is_a_snapshot() {
    let mut host = Host::small();
    let frame = host.make(FRAME);
    let before = host.kernel.clone();
    host.delete(frame);
    assert!(host.is_empty(frame) && !before.is_empty_slot(frame));
    before.check();
}
