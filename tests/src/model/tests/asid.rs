// SPDX-License-Identifier: BSD-2-Clause
//! The ASID parts of `src/arch/x86/kernel/vspace.c`

use super::support::*;

/// An ASID pool of its own, from the boot untyped number `i`.
fn pool(host: &mut Host, i: usize) -> CPtr {
    let (untyped, slot) = (host.untyped(i), host.slot());
    host.kernel.asid_control_make_pool(untyped, at(slot)).expect("room for a pool");
    slot
}

fn asid_of(host: &Host, vspace: CPtr) -> usize {
    let Cap::Table { mapped: Some(place), .. } = host.kernel.cap(vspace) else { panic!("no ASID") };
    place.asid
}

#[test]
fn a_vspace_gets_the_lowest_free_asid_and_0_is_none() {
    let mut host = Host::small();
    let (first, second) = (host.vspace(), host.vspace());
    assert_eq!(asid_of(&host, OWN), 1);
    assert_eq!((asid_of(&host, first), asid_of(&host, second)), (2, 3));
    host.delete(first);
    let third = host.vspace();
    assert_eq!(asid_of(&host, third), 2, "a destroyed VSpace gives its ASID back");
}

#[test]
fn a_vspace_gets_one_asid_for_life() {
    let mut host = Host::small();
    let root = host.vspace();
    assert_eq!(host.kernel.asid_pool_assign(POOL, root), Err(InvalidCapability));
    let other = pool(&mut host, RAM_4K);
    let orphan = host.make(ROOT);
    host.kernel.asid_pool_assign(other, orphan).unwrap();
    host.delete(other);
    assert_eq!(host.kernel.asid_pool_assign(POOL, orphan), Err(InvalidCapability));
}

#[test]
fn only_vspace_roots_get_an_asid() {
    let mut host = Host::small();
    let (table, empty, root) = (host.make(TABLE), host.slot(), host.make(ROOT));
    assert_eq!(host.kernel.asid_pool_assign(POOL, table), Err(InvalidCapability));
    assert_eq!(host.kernel.asid_pool_assign(POOL, empty), Err(InvalidCapability));
    assert_eq!(host.kernel.asid_pool_assign(table, root), Err(IllegalOperation));
    assert_eq!(host.kernel.asid_pool_assign(empty, root), Err(InvalidCapability));
}

#[test]
fn a_pool_has_1024_asids() {
    let mut host = Host::new(&BootConfig::ia32());
    let other = host.slot();
    let untyped_4k = host.kernel.facts().untypeds.iter().position(|u| u.size_bits == 13).unwrap();
    let parent = host.untyped(untyped_4k);
    let child = host.make_from(parent, untyped(12));
    host.kernel.asid_control_make_pool(child, at(other)).unwrap();
    let roots = host.slots(1025);
    let big = host.kernel.facts().untypeds.iter().position(|u| u.size_bits == 23).unwrap();
    for i in 0..1025 {
        host.retype(host.untyped(big), ROOT, roots.offset(i), 1).unwrap();
        let result = host.kernel.asid_pool_assign(other, roots.offset(i));
        assert_eq!(result, if i < 1024 { Ok(()) } else { Err(DeleteFirst) });
    }
    assert_eq!(asid_of(&host, roots), 1024);
}

#[test]
fn there_are_four_pools() {
    let mut host = Host::small();
    for _ in 0..3 {
        let (untyped, slot) = (host.make_untyped(12), host.slot());
        host.kernel.asid_control_make_pool(untyped, at(slot)).unwrap();
    }
    let (untyped, slot) = (host.make_untyped(12), host.slot());
    let last = host.kernel.asid_control_make_pool(untyped, at(slot));
    assert_eq!(last, Err(DeleteFirst));
    let last = host.kernel.asid_control_make_pool(CPtr::NULL, at(untyped));
    assert_eq!(last, Err(DeleteFirst), "wins over everything else");
}

#[test]
fn a_pool_is_made_of_4_kib_of_ram_without_children() {
    let mut host = Host::small();
    let device = host.make_from(host.untyped(DEVICE_4M), untyped(12));
    let (big, frame, slot) = (host.make_untyped(13), host.make(FRAME), host.slot());
    for wrong in [device, big, frame, slot] {
        let result = host.kernel.asid_control_make_pool(wrong, at(frame));
        assert_eq!(result, Err(InvalidCapability), "wins over the occupied slot");
    }
    let used = host.make_untyped(12);
    host.make_from(used, Blueprint::Endpoint);
    assert_eq!(host.kernel.asid_control_make_pool(used, at(frame)), Err(RevokeFirst));
}

#[test]
fn a_pools_slot_is_looked_up_last() {
    let mut host = Host::small();
    let (untyped, frame) = (host.untyped(RAM_4K), host.make(FRAME));
    let mut make = |dst| host.kernel.asid_control_make_pool(untyped, dst);
    assert_eq!(make(at(frame)), Err(DeleteFirst));
    assert_eq!(make(CapPath { depth: 0, ..at(frame) }), Err(RangeError));
    assert_eq!(make(CapPath { root: frame, ..at(frame) }), Err(FailedLookup));
}

#[test]
fn a_pool_uses_its_untyped_up() {
    let mut host = Host::small();
    let (untyped, slot) = (host.untyped(RAM_4K), host.slot());
    let made = pool(&mut host, RAM_4K);
    assert_eq!(host.retype(untyped, Blueprint::Endpoint, slot, 1), Err(NotEnoughMemory));
    host.kernel.check();
    host.revoke(untyped);
    assert!(host.is_empty(made) && host.starts_over(untyped));
}

#[test]
fn a_deleted_pool_takes_the_names_of_its_vspaces() {
    let mut host = Host::small();
    let other = pool(&mut host, RAM_4K);
    let (root, frame, table) = (host.make(ROOT), host.make(FRAME), host.make(TABLE));
    host.kernel.asid_pool_assign(other, root).unwrap();
    let copy = host.copy(other).unwrap();
    host.delete(other);
    assert_eq!(host.kernel.table_map(table, 1, root, FREE), Ok(()), "a copy keeps it");
    host.delete(copy);
    assert_eq!(host.map(frame, root, FREE), Err(FailedLookup));
    assert_eq!(host.kernel.page_unmap(frame), Ok(()));
    host.kernel.check();
}

#[test]
fn a_name_may_come_to_mean_another_vspace() {
    let mut host = Host::small();
    let first = pool(&mut host, RAM_4K);
    let (old, new, frame) = (host.make(ROOT), host.make(ROOT), host.make(FRAME));
    host.kernel.asid_pool_assign(first, old).unwrap();
    host.delete(first);
    let second = pool(&mut host, OTHER_4K);
    host.kernel.asid_pool_assign(second, new).unwrap();
    assert_eq!(asid_of(&host, old), asid_of(&host, new));
    assert_eq!(host.map(frame, old, FREE), Err(InvalidCapability));
}
