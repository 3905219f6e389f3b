// SPDX-License-Identifier: BSD-2-Clause
//! What is in use is not given back, and what was given back is not used.

use vmm::{
    Blame, Blueprint, CapPath, Error, Invocation, Kernel, KernelError, Objects, Pages, Placement,
    RegionOptions, Rights, ShareOptions,
};

use super::{FREE, tagged};
use crate::support::{Fixture, PAGE, Target, on_each};
use vmm_tests::model::Cap;

on_each!(
    frames_that_are_mapped_are_not_freed,
    slots_of_mapped_frames_are_not_given_back,
    a_minted_capability_is_where_it_was_put,
    a_fault_endpoint_is_an_endpoint_with_all_rights,
    slots_that_the_manager_uses_are_nobodys_to_give_back,
    frames_are_not_brought_twice,
    what_is_no_live_frame_is_not_brought,
    a_slot_that_is_not_empty_spoils_nothing,
    an_object_is_freed_from_the_account_that_it_is_in,
    an_object_that_is_as_it_was_made_is_the_next_ones,
    copies_of_a_frames_capability_end_with_its_use,
);

const FRAME: Blueprint = Blueprint::Frame { size_bits: 12 };

fn frames(host: &mut Fixture<'_>, count: usize) -> Objects {
    host.vmm.allocate_many(FRAME, count).expect("memory")
}

/// A57.
fn frames_that_are_mapped_are_not_freed(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let space = host.vmm.create_space().expect("memory");
    host.spaces.push(space);
    let (here, there) = (frames(&mut host, 3), frames(&mut host, 2));
    let others = frames(&mut host, 2);
    let region = host.vmm.map_objects(own, here, &RegionOptions::new(1).at(FREE)).expect("frames");
    let away = FREE + 0x10_0000;
    let far = host.vmm.map_objects(space, there, &RegionOptions::new(1).at(away));
    let far = far.expect("frames");
    let first = Error::InUse { space: own, address: FREE };
    host.refuses(first, |vmm| vmm.free_many(here));
    for index in 0..3 {
        let object = here.get(index).expect("three");
        let used = Error::InUse { space: own, address: FREE + index * PAGE };
        host.refuses(used, |vmm| vmm.free(object));
    }
    let used = Error::InUse { space, address: away };
    assert_eq!(used.blame(), Blame::Caller);
    host.refuses(used, |vmm| vmm.free_many(there));
    // Where one page is not mapped any more, the others still are.
    host.vmm.unmap(own, Pages::at(FREE)).expect("mapped");
    host.refuses(Error::InUse { space: own, address: FREE + PAGE }, |vmm| vmm.free_many(here));
    host.vmm.free(here.get(0).expect("three")).expect("it is mapped nowhere");
    // Moved, they are found where they are.
    let moved = host.vmm.move_region(region, Placement::at(FREE + 0x20_0000));
    let moved = moved.expect("room");
    let used = Error::InUse { space: own, address: FREE + 0x20_0000 + PAGE };
    host.refuses(used, |vmm| vmm.free_many(here));
    // What is not mapped is freed meanwhile.
    host.vmm.free_many(others).expect("mapped nowhere");
    host.vmm.release(moved).expect("a region");
    host.vmm.free_many(here).expect("mapped nowhere");
    host.vmm.release(far).expect("a region");
    host.vmm.free_many(there).expect("mapped nowhere");
    host.check();
}

/// A capability with a badge is put where it was asked for, with these rights, and nowhere
/// else.
fn a_minted_capability_is_where_it_was_put(target: Target) {
    let mut host = Fixture::small(target);
    let endpoint = host.vmm.allocate(Blueprint::Endpoint).expect("memory");
    let slot = host.vmm.alloc_slots(1).expect("a slot");
    let path = host.vmm.allocator().path(slot);
    host.vmm.mint_cap(path, endpoint.slot(), Rights::WRITE, 77).expect("an empty slot");
    let Cap::Endpoint { base: own, .. } = host.kernel().cap(endpoint.slot()) else { panic!() };
    let Cap::Endpoint { base, badge: 77, rights } = host.kernel().cap(slot) else {
        panic!("{:?}", host.kernel().cap(slot))
    };
    assert_eq!((base, rights), (own, Rights::WRITE));
    assert!(host.vmm.mint_cap(path, endpoint.slot(), Rights::WRITE, 78).is_err(), "occupied");
    host.vmm.release_slot(slot).expect("a slot");
    host.vmm.free(endpoint).expect("an object");
    host.check();
}

/// A57.
fn slots_of_mapped_frames_are_not_given_back(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let frame = host.vmm.allocate(FRAME).expect("memory");
    let slot = host.vmm.alloc_slots(1).expect("a slot");
    let path = host.vmm.allocator().path(slot);
    host.vmm.copy_cap(path, frame.slot(), Rights::all()).expect("an empty slot");
    let region = host.vmm.map_borrowed(own, slot, &RegionOptions::new(1).at(FREE));
    let region = region.expect("a frame");
    let used = Error::InUse { space: own, address: FREE };
    host.refuses(used, |vmm| vmm.free_slots(slot, 1));
    host.refuses(used, |vmm| vmm.release_slot(slot));
    host.refuses(used, |vmm| vmm.delete_cap(path));
    host.vmm.release(region).expect("a region");
    host.vmm.release_slot(slot).expect("mapped nowhere");
    host.vmm.free(frame).expect("an object");
    host.check();
}

/// A238: no message waits at the badge of a thread that is new; that its faults go to an endpoint is
/// made sure of all the same.
fn a_fault_endpoint_is_an_endpoint_with_all_rights(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let endpoint = host.vmm.allocate(Blueprint::Endpoint).expect("memory").slot();
    let tcb = host.vmm.allocate(Blueprint::Tcb).expect("memory").slot();
    let (invocation, error) = (Invocation::CNodeCancelBadgedSends, KernelError::IllegalOperation);
    let refused = Error::Kernel { invocation, error, done: 0 };
    host.refuses_leaving_nothing(refused, |vmm| vmm.register_thread(own, tcb, tcb, "none"));
    let slot = host.vmm.alloc_slots(1).expect("slots");
    let path = host.vmm.allocator().path(slot);
    host.vmm.copy_cap(path, endpoint, Rights::READ | Rights::WRITE).expect("it is free");
    host.refuses_leaving_nothing(refused, |vmm| vmm.register_thread(own, tcb, slot, "few rights"));
    let before = host.vmm.kernel_calls().total();
    host.vmm.register_thread(own, tcb, endpoint, "thread").expect("memory");
    assert_eq!(host.vmm.kernel_calls().total(), before + 1);
    host.check();
}

/// A61.
fn slots_that_the_manager_uses_are_nobodys_to_give_back(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    tagged(&mut host, FREE, 2);
    let view =
        host.vmm.share(own, Pages::at(FREE).count(2), own, &ShareOptions::new()).expect("room");
    let view = view.start().bits();
    let endpoint = host.vmm.allocate(Blueprint::Endpoint).expect("memory");
    let tcb = host.vmm.allocate(Blueprint::Tcb).expect("memory");
    let thread = host.vmm.register_thread(own, tcb.slot(), endpoint.slot(), "thread");
    let thread = thread.expect("memory");
    let badged = host.vmm.thread(thread).expect("registered").fault_endpoint;
    for address in [FREE + PAGE, view + PAGE] {
        let mapping = host.vmm.mapping_at(own, address).expect("an address").expect("mapped");
        let used = Error::InUse { space: own, address };
        host.refuses(used, |vmm| vmm.free_slots(mapping.frame, 1));
    }
    let copy = host.vmm.mapping_at(own, view).expect("an address").expect("mapped").frame;
    let vspace = host.vmm.vspace(own).expect("a space");
    let nobodys = |slot| Error::from(untyped_alloc::Error::NotAllocated(slot));
    let used = Error::InUse { space: own, address: view };
    for (slot, error) in
        [(badged, nobodys(badged)), (tcb.slot(), nobodys(tcb.slot())), (copy, used)]
    {
        let path = host.vmm.allocator().path(slot);
        host.refuses(error, |vmm| vmm.free_slots(slot, 1));
        host.refuses(error, |vmm| vmm.release_slot(slot));
        host.refuses(error, |vmm| vmm.delete_cap(path));
    }
    host.refuses(untyped_alloc::Error::NotAllocated(vspace).into(), |vmm| {
        vmm.free_slots(vspace, 1)
    });
    host.vmm.unregister_thread(thread).expect("registered");
    host.check();
}

/// A58.
fn frames_are_not_brought_twice(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let brought = frames(&mut host, 3);
    host.vmm.map_objects(own, brought, &RegionOptions::new(1).at(FREE)).expect("frames");
    let anywhere = RegionOptions::new(1);
    let used = |address| Error::InUse { space: own, address };
    host.refuses(used(FREE), |vmm| vmm.map_objects(own, brought, &anywhere));
    let second = brought.get(1).expect("three").slot();
    host.refuses(used(FREE + PAGE), |vmm| vmm.map_borrowed(own, second, &anywhere));
    // Nor are those of the manager's own.
    tagged(&mut host, FREE + 0x10_0000, 2);
    let view = host.vmm.share(own, Pages::at(FREE + 0x10_0000).count(2), own, &ShareOptions::new());
    let view = view.expect("room").start().bits();
    for address in [FREE + 0x10_0000 + PAGE, view + PAGE] {
        let frame = host.vmm.mapping_at(own, address).expect("an address").expect("mapped").frame;
        host.refuses(used(address), |vmm| vmm.map_borrowed(own, frame, &anywhere));
    }
}

/// A58.
fn what_is_no_live_frame_is_not_brought(target: Target) {
    let mut host = Fixture::roomy(target);
    let own = host.own();
    let anywhere = RegionOptions::new(1);
    let freed = frames(&mut host, 2);
    host.vmm.free_many(freed).expect("mapped nowhere");
    let gone = untyped_alloc::Error::NotAllocated(freed.first_slot());
    host.refuses(gone.into(), |vmm| vmm.map_objects(own, freed, &anywhere));
    host.refuses(gone.into(), |vmm| vmm.map_borrowed(own, freed.first_slot(), &anywhere));
    // One of three.
    let three = frames(&mut host, 3);
    host.vmm.free(three.get(1).expect("three")).expect("mapped nowhere");
    let gone = untyped_alloc::Error::NotAllocated(three.first_slot().offset(1));
    host.refuses(gone.into(), |vmm| vmm.map_objects(own, three, &anywhere));
    let endpoint = host.vmm.allocate(Blueprint::Endpoint).expect("memory").slot();
    host.refuses(Error::NoPage(endpoint), |vmm| vmm.map_borrowed(own, endpoint, &anywhere));
    let large = Blueprint::Frame { size_bits: target.large_bits() };
    let large = host.vmm.allocate_many(large, 1).expect("memory");
    host.refuses(Error::NoPage(large.first_slot()), |vmm| vmm.map_objects(own, large, &anywhere));
    // More than there can be.
    let none = vmm::CPtr::new(usize::MAX);
    let gone = untyped_alloc::Error::NotAllocated(none);
    let many = RegionOptions::new(2);
    host.refuses(gone.into(), |vmm| vmm.map_borrowed(own, none, &many));
}

/// A61: everything that a slot is used for first.
fn a_slot_that_is_not_empty_spoils_nothing(target: Target) {
    type Use = fn(&mut Fixture<'_>);
    let uses: [(&str, Use); 5] = [
        ("an object", |host| {
            host.vmm.allocate(Blueprint::Tcb).expect("memory");
        }),
        ("objects", |host| {
            frames(host, 8);
        }),
        ("memory", |host| {
            tagged(host, FREE, 4);
        }),
        ("copies", |host| {
            let own = host.own();
            host.vmm
                .share(own, Pages::at(FREE + 0x40_0000), own, &ShareOptions::new())
                .expect("room");
        }),
        ("a thread", |host| {
            let own = host.own();
            let endpoint = host.vmm.allocate(Blueprint::Endpoint).expect("memory").slot();
            let tcb = host.vmm.allocate(Blueprint::Tcb).expect("memory").slot();
            host.vmm.register_thread(own, tcb, endpoint, "thread").expect("memory");
        }),
    ];
    for (name, request) in uses {
        let mut host = Fixture::roomy(target);
        tagged(&mut host, FREE + 0x40_0000, 1);
        let endpoint = host.vmm.allocate(Blueprint::Endpoint).expect("memory").slot();
        // All the slots that come next have something in them.
        let slots = host.vmm.alloc_slots(256).expect("slots");
        for index in 0..256 {
            let path = host.vmm.allocator().path(slots.offset(index));
            host.vmm.copy_cap(path, endpoint, Rights::all()).expect("an empty slot");
        }
        let free = host.vmm.stats().allocator.free_slots;
        host.vmm.free_slots(slots, 256).expect("the caller's");
        assert_eq!(host.vmm.stats().allocator.free_slots, free + 256, "{name}");
        for _ in 0..32 {
            request(&mut host);
            if name == "memory" {
                let own = host.own();
                let region = host.vmm.region_at(own, FREE).expect("a space").expect("mapped").id;
                host.vmm.release(region).expect("a region");
            }
        }
        host.check();
    }
}

/// A63.
fn an_object_is_freed_from_the_account_that_it_is_in(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let (one, other) = (host.vmm.create_space(), host.vmm.create_space());
    let (one, other) = (one.expect("memory"), other.expect("memory"));
    host.spaces.extend([one, other]);
    let objects = |host: &Fixture<'_>, space| host.vmm.usage(space).expect("a space").objects;
    let its = host.vmm.allocate_for(one, Blueprint::Endpoint).expect("memory");
    let others = host.vmm.allocate_for(other, Blueprint::Endpoint).expect("memory");
    let nobodys = host.vmm.allocate(Blueprint::Endpoint).expect("memory");
    let wrong = |space, slot| Error::NotOfSpace { space, slot };
    host.refuses(wrong(other, its.slot()), |vmm| vmm.free_for(other, its));
    host.refuses(wrong(own, its.slot()), |vmm| vmm.free_for(own, its));
    host.refuses(wrong(one, others.slot()), |vmm| vmm.free_for(one, others));
    host.refuses(wrong(one, nobodys.slot()), |vmm| vmm.free_for(one, nobodys));
    assert_eq!((objects(&host, one), objects(&host, other)), (1, 1));
    // By itself, it goes out of its own account.
    host.vmm.free(its).expect("an object");
    assert_eq!((objects(&host, one), objects(&host, other)), (0, 1));
    host.vmm.free_for(one, its).expect_err("it is freed");
    host.vmm.free(its).expect_err("it is freed");
    host.vmm.free(nobodys).expect("an object");
    assert_eq!((objects(&host, one), objects(&host, other)), (0, 1));
    host.vmm.destroy_space(one).expect("nothing is left in it");
    host.vmm.free_for(other, others).expect("its own");
    host.vmm.destroy_space(other).expect("nothing is left in it");
    host.spaces.truncate(1);
    host.check();
}

/// A239: the next of its kind; its id is not, and a second one is destroyed.
fn an_object_that_is_as_it_was_made_is_the_next_ones(target: Target) {
    let mut host = Fixture::small(target);
    let space = host.vmm.create_space().expect("memory");
    host.spaces.push(space);
    let own = host.own();
    let cnode = Blueprint::CNode { radix_bits: 6 };
    let [one, other] =
        [cnode, cnode].map(|cnode| host.vmm.allocate_for(space, cnode).expect("memory"));
    let inner = host.vmm.allocator().path(one.slot());
    let within = CapPath { root: one.slot(), index: 9, depth: 6 };
    host.vmm.kernel_mut().cnode_copy(within, inner, Rights::all()).expect("an empty slot");
    let wrong = Error::NotOfSpace { space: own, slot: one.slot() };
    host.refuses(wrong, |vmm| vmm.part_from(own, one));
    let parted = host.vmm.part_from(space, one).expect("an object");
    assert_eq!(host.vmm.usage(space).expect("a space").objects, 1);
    assert_eq!((parted.slot(), parted.account()), (one.slot(), 0));
    assert_eq!(host.kernel().cap_at(within), Some(Cap::Null), "what was derived from it is gone");
    let free = host.vmm.stats().free_bytes();
    host.vmm.free_unchanged(parted).expect("an object");
    assert_eq!(
        host.vmm.stats().free_bytes(),
        free + (64 << host.vmm.allocator().sizes().slot_bits)
    );
    for stale in [one, parted] {
        host.vmm.free(stale).expect_err("it is freed");
        host.vmm.free_unchanged(stale).expect_err("it is freed");
    }
    host.vmm.part_from(space, one).expect_err("it is freed");
    // There is one of its kind already.
    host.vmm.free_unchanged(other).expect("an object");
    assert_eq!(host.vmm.usage(space).expect("a space").objects, 0);
    assert!(host.kernel().is_empty_slot(other.slot()));
    let larger = host.vmm.allocate(Blueprint::CNode { radix_bits: 7 }).expect("memory");
    assert_ne!(larger.slot(), one.slot());
    let calls = host.vmm.kernel_calls().total();
    let again = host.vmm.allocate_for(space, cnode).expect("one is kept");
    assert_eq!(host.vmm.kernel_calls().total(), calls);
    assert_eq!(again.slot(), one.slot());
    host.vmm.free(parted).expect_err("it is another's");
    host.check();
    host.vmm.free_unchanged(again).expect("an object");
    host.vmm.trim().expect("what is kept is given back");
    assert!(host.kernel().is_empty_slot(one.slot()));
    host.check();
}

/// A84: whoever copied the capability to a page has nothing of what the frame is used for next.
fn copies_of_a_frames_capability_end_with_its_use(target: Target) {
    let mut host = Fixture::small(target);
    let (own, slot) = (host.own(), host.vmm.alloc_slots(3).expect("slots"));
    let other = host.vmm.create_space().expect("memory");
    host.spaces.push(other);
    tagged(&mut host, FREE, 4);
    let view =
        host.vmm.share(own, Pages::at(FREE + PAGE), other, &ShareOptions::new()).expect("room");
    // Of a page that is one owner's, of one that is shared, and of the sharer's own capability.
    let pages = [(own, FREE), (own, FREE + PAGE), (other, view.start().bits())];
    for (index, (space, address)) in pages.into_iter().enumerate() {
        let frame = host.vmm.mapping_at(space, address).expect("an address").expect("mapped").frame;
        let path = host.vmm.allocator().path(slot.offset(index));
        host.vmm.copy_cap(path, frame, Rights::all()).expect("an empty slot");
    }
    let gone = |host: &Fixture<'_>| [0, 1, 2].map(|n| host.kernel().is_empty_slot(slot.offset(n)));
    host.vmm.unmap(own, Pages::at(FREE).count(2)).expect("mapped");
    assert_eq!(gone(&host), [true, false, false], "the second frame is still the sharer's");
    assert_eq!(host.read(other, view.start().bits()), 2, "and the sharer still has it");
    host.vmm.release(view).expect("a region");
    assert_eq!(gone(&host), [true; 3]);
    host.check();
    // Where the kernel refuses, nobody gets the frame.
    let frame =
        host.vmm.mapping_at(own, FREE + 2 * PAGE).expect("an address").expect("mapped").frame;
    let path = host.vmm.allocator().path(slot);
    host.vmm.copy_cap(path, frame, Rights::all()).expect("an empty slot");
    // The first call unmaps it.
    host.kernel().fail_nth(2, untyped_alloc::KernelError::IllegalOperation);
    host.vmm.unmap(own, Pages::at(FREE + 2 * PAGE)).expect("it is unmapped");
    assert!(!host.kernel().disarm(), "a call was refused");
    assert!(!host.kernel().is_empty_slot(slot));
    host.check();
    while let Ok(page) = host.vmm.map(own, &RegionOptions::new(1)) {
        let at = page.start().bits();
        let got = host.vmm.mapping_at(own, at).expect("an address").expect("mapped").frame;
        assert_ne!(got, frame, "{at:#x} has the frame of which there is a copy");
    }
    host.vmm.release_slot(slot).expect("mapped nowhere");
    host.check();
}
