// SPDX-License-Identifier: BSD-2-Clause
//! `src/object/untyped.c`

use super::support::*;

#[test]
fn the_first_retype_of_a_boot_untyped_clears_all_of_it() {
    let mut host = Host::small();
    host.make_from(host.untyped(RAM_64K), FRAME);
    assert_eq!(host.kernel.bytes_cleared(), 1 << 16);
    host.make_from(host.untyped(RAM_64K), FRAME);
    assert_eq!(host.kernel.bytes_cleared(), 1 << 16, "with a child nothing is cleared again");
    host.kernel.check_manager();
}

#[test]
fn an_untyped_without_children_starts_over_at_its_next_retype() {
    let mut host = Host::small();
    let (parent, first) = (host.untyped(RAM_64K), host.slots(16));
    host.retype(parent, untyped(16), first, 1).unwrap();
    assert_eq!(host.retype(parent, FRAME, first.offset(1), 1), Err(NotEnoughMemory));
    host.revoke(parent);
    assert_eq!(host.retype(parent, FRAME, first, 16), Ok(()));
    host.kernel.check_manager();
}

#[test]
fn an_untyped_of_which_nothing_was_used_is_not_cleared() {
    let mut host = Host::small();
    let child = host.make_untyped(16);
    host.kernel.reset_counters();
    host.make_from(child, FRAME);
    assert_eq!(host.kernel.bytes_cleared(), 0);
}

#[test]
fn a_reset_clears_what_was_used_in_steps_of_4096_bytes() {
    let mut host = Host::small();
    let child = host.make_untyped(14);
    host.make_from(child, FRAME);
    host.make_from(child, Blueprint::Endpoint);
    host.revoke(child);
    host.kernel.reset_counters();
    host.make_from(child, Blueprint::Endpoint);
    assert_eq!(host.kernel.bytes_cleared(), 8192, "a frame and an endpoint are 4112 bytes");
}

#[test]
fn an_untyped_smaller_than_a_step_is_cleared_whole() {
    let mut host = Host::small();
    let child = host.untyped(RAM_128);
    host.make_from(child, Blueprint::Endpoint);
    host.revoke(child);
    host.kernel.reset_counters();
    host.make_from(child, Blueprint::Endpoint);
    assert_eq!(host.kernel.bytes_cleared(), 128);
}

#[test]
fn device_memory_is_never_cleared() {
    let mut host = Host::small();
    let device = host.untyped(DEVICE_4M);
    host.make_from(device, FRAME);
    host.revoke(device);
    assert!(host.retype(device, LARGE, CPtr::new(900), 1).is_ok(), "but it starts over");
    assert_eq!(host.kernel.bytes_cleared(), 0);
}

#[test]
fn device_memory_becomes_frames_and_untypeds_only() {
    let mut host = Host::small();
    let (device, slot) = (host.untyped(DEVICE_4M), host.slot());
    for kind in [Blueprint::Tcb, Blueprint::Endpoint, cnode(4), TABLE, ROOT] {
        assert_eq!(host.retype(device, kind, slot, 1), Err(InvalidArgument), "{kind:?}");
    }
    let child = host.make_from(device, untyped(13));
    assert_eq!(host.retype(child, Blueprint::Endpoint, slot, 1), Err(InvalidArgument));
    assert_eq!(host.retype(child, FRAME, slot, 1), Ok(()));
}

#[test]
fn want_of_room_wins_over_the_device_rule() {
    let mut host = Host::small();
    let child = host.make_from(host.untyped(DEVICE_4M), untyped(8));
    let slot = host.slot();
    assert_eq!(host.retype(child, Blueprint::Tcb, slot, 1), Err(NotEnoughMemory));
}

#[test]
fn objects_of_one_retype_are_neighbours_in_memory_and_in_slots() {
    let mut host = Host::small();
    let child = host.make_untyped(16);
    let first = host.slots(4);
    host.retype(child, FRAME, first, 4).unwrap();
    let bases: Vec<usize> = (0..4).map(|i| host.base(first.offset(i)) - host.base(child)).collect();
    assert_eq!(bases, [0, 0x1000, 0x2000, 0x3000]);
}

#[test]
fn an_object_starts_at_the_next_multiple_of_its_size() {
    let mut host = Host::small();
    let child = host.make_untyped(14);
    host.make_from(child, Blueprint::Endpoint);
    let frame = host.make_from(child, FRAME);
    let endpoint = host.make_from(child, Blueprint::Endpoint);
    assert_eq!(host.base(frame) - host.base(child), 0x1000);
    assert_eq!(host.base(endpoint) - host.base(child), 0x2000, "what was skipped stays lost");
}

#[test]
fn room_is_what_lies_above_the_watermark() {
    let mut host = Host::small();
    let child = host.make_untyped(14);
    let first = host.slots(5);
    assert_eq!(host.retype(child, FRAME, first, 5), Err(NotEnoughMemory));
    host.retype(child, FRAME, first, 3).unwrap();
    assert_eq!(host.retype(child, FRAME, first.offset(3), 2), Err(NotEnoughMemory));
    assert_eq!(host.retype(child, FRAME, first.offset(3), 1), Ok(()));
}

#[test]
fn a_retype_makes_1_to_256_objects() {
    let mut host = Host::small();
    let child = host.make_untyped(16);
    let first = host.slots(257);
    assert_eq!(host.retype(child, Blueprint::Endpoint, first, 0), Err(RangeError));
    assert_eq!(host.retype(child, Blueprint::Endpoint, first, 257), Err(RangeError));
    assert_eq!(host.retype(child, Blueprint::Endpoint, first, 256), Ok(()));
}

#[test]
fn the_window_of_slots_must_lie_in_the_cnode() {
    let mut host = Host::small();
    let child = host.make_untyped(16);
    assert_eq!(host.retype(child, FRAME, CPtr::new(1024), 1), Err(RangeError));
    assert_eq!(host.retype(child, FRAME, CPtr::new(1023), 2), Err(RangeError));
    assert_eq!(host.retype(child, FRAME, CPtr::new(1023), 1), Ok(()));
}

#[test]
fn an_occupied_slot_anywhere_in_the_window_refuses_all_of_it() {
    let mut host = Host::small();
    let child = host.make_untyped(16);
    let first = host.slots(3);
    host.retype(child, FRAME, first.offset(2), 1).unwrap();
    assert_eq!(host.retype(child, FRAME, first, 3), Err(DeleteFirst));
    assert!(host.is_empty(first));
    assert_eq!(host.retype(child, LARGE, first, 3), Err(DeleteFirst), "wins over want of room");
}

#[test]
fn sizes_have_bounds() {
    let mut host = Host::small();
    let (child, slot) = (host.make_untyped(16), host.slot());
    let mut retype = |kind| host.retype(child, kind, slot, 1);
    assert_eq!(retype(untyped(3)), Err(InvalidArgument));
    assert_eq!(retype(cnode(0)), Err(InvalidArgument));
    assert_eq!(retype(untyped(30)), Err(RangeError));
    assert_eq!(retype(cnode(30)), Err(RangeError));
    assert_eq!(retype(cnode(29)), Err(NotEnoughMemory), "2^33 bytes are more than a word counts");
    assert_eq!(retype(Blueprint::Frame { size_bits: 21 }), Err(InvalidArgument));
    assert_eq!(retype(Blueprint::Table { level: 2 }), Err(InvalidArgument));
}

#[test]
fn bad_sizes_win_over_bad_destinations() {
    let mut host = Host::small();
    let child = host.make_untyped(16);
    let nowhere = node(CPtr::new(1000));
    let mut retype = |kind| host.kernel.untyped_retype(child, kind, nowhere, 5000, 0);
    assert_eq!(retype(untyped(3)), Err(InvalidArgument));
    assert_eq!(retype(untyped(30)), Err(RangeError));
    assert_eq!(retype(untyped(4)), Err(FailedLookup));
}

#[test]
fn a_destination_is_found_by_root_index_and_depth() {
    let mut host = Host::small();
    let (child, inner) = (host.make_untyped(16), host.make(cnode(2)));
    let mut retype =
        |path, offset| host.kernel.untyped_retype(child, Blueprint::Endpoint, path, offset, 1);
    assert_eq!(retype(node(inner), 0), Ok(()));
    assert_eq!(retype(at(inner), 1), Ok(()), "the CNode whose capability is in that slot");
    assert_eq!(retype(at(inner), 4), Err(RangeError));
    assert_eq!(retype(CapPath { depth: 33, ..at(inner) }, 2), Err(RangeError));
    assert_eq!(retype(CapPath { depth: 31, ..at(inner) }, 2), Err(FailedLookup));
    assert_eq!(retype(at(child), 2), Err(FailedLookup), "no CNode there");
    assert_eq!(retype(CapPath { root: child, ..at(inner) }, 2), Err(FailedLookup));
    assert_eq!(retype(node(child), 2), Err(FailedLookup));
}

#[test]
fn only_untypeds_are_retyped() {
    let mut host = Host::small();
    let (frame, slot) = (host.make(FRAME), host.slot());
    assert_eq!(host.retype(frame, FRAME, slot, 1), Err(IllegalOperation));
    assert_eq!(host.retype(slot, FRAME, slot, 1), Err(InvalidCapability));
    assert_eq!(host.retype(CPtr::NULL, FRAME, slot, 1), Err(InvalidCapability));
}

#[test]
fn a_failed_retype_uses_and_clears_nothing() {
    let mut host = Host::small();
    let (parent, slot) = (host.untyped(RAM_64K), host.slots(32));
    let before = host.kernel.cap(parent);
    assert_eq!(host.retype(parent, FRAME, slot, 17), Err(NotEnoughMemory));
    assert_eq!(host.kernel.cap(parent), before);
    assert_eq!(host.kernel.bytes_cleared(), 0);
}

#[test]
fn a_copied_untyped_takes_the_memory_from_its_source() {
    let mut host = Host::small();
    let (source, slot) = (host.make_untyped(13), host.slots(2));
    let copy = host.copy(source).unwrap();
    assert_eq!(host.retype(source, FRAME, slot, 1), Err(NotEnoughMemory));
    assert_eq!(host.retype(copy, FRAME, slot, 2), Ok(()));
    host.kernel.check_manager();
    host.revoke(source);
    assert!(host.is_empty(copy), "the copy is its child");
}

#[test]
fn an_untyped_with_children_is_not_copied() {
    let mut host = Host::small();
    let source = host.make_untyped(13);
    let frame = host.make_from(source, FRAME);
    assert_eq!(host.copy(source), Err(RevokeFirst));
    host.delete(frame);
    assert!(host.copy(source).is_ok());
}
