// SPDX-License-Identifier: BSD-2-Clause
//! Every kernel call refused in turn: nothing is lost, contents stay, and once more it works.

use untyped_alloc::{KernelError, Rights};
use vmm::{Access, Backing, Kind, Placement, RegionId, RegionOptions, Result, SpaceId};

use crate::support::{Fixture, PAGE, Snapshot, Target, on_both};
use crate::world::touch;

on_both!(
    a_first_write_that_is_refused_keeps_the_contents,
    so_it_does_when_the_clone_writes,
    a_clone_that_is_refused_leaves_nothing,
    a_clone_of_a_space_that_is_refused_leaves_nothing,
    a_fill_that_is_refused_is_made_up_for,
    a_fill_that_is_refused_is_not_made_for_one_page,
    an_end_to_sharing_that_is_refused_is_made_up_for,
);

/// The most kernel calls of any operation here.
const MAX_CALLS: usize = 200;

/// Refuses the first, second, … kernel call of what `act` does with a machine that `prepare` has
/// set up, until all of it is done without a refusal.
fn each_call_refused<T>(
    target: Target,
    prepare: impl Fn(&mut Fixture<'static>) -> T,
    act: impl Fn(&mut Fixture<'static>, &T) -> Result,
    check: impl Fn(&mut Fixture<'static>, &T, bool),
) {
    for nth in 1.. {
        assert!(nth < MAX_CALLS, "it never ends");
        let mut host = Fixture::small(target);
        let prepared = prepare(&mut host);
        host.kernel().fail_nth(nth, KernelError::NotEnoughMemory);
        let first = act(&mut host, &prepared);
        let unharmed = host.kernel().disarm();
        host.check();
        check(&mut host, &prepared, first.is_ok());
        if first.is_err() {
            act(&mut host, &prepared).expect("it works when nothing is refused");
        }
        host.check();
        check(&mut host, &prepared, true);
        if unharmed {
            first.expect("nothing was refused");
            return;
        }
    }
}

struct Pair {
    original: (SpaceId, RegionId, usize),
    clone: (SpaceId, RegionId, usize),
}

const PAGES: usize = 5;

/// A region with a tag in each page, and its clone.
fn pair(host: &mut Fixture<'static>) -> Pair {
    let original = tagged(host);
    let into = host.vmm.create_space().expect("a space");
    host.spaces.push(into);
    let clone = host.vmm.clone_region(original.1, into, Placement::anywhere()).expect("a clone");
    Pair { original, clone: (into, clone, clone.start().bits() + PAGE) }
}

fn tagged(host: &mut Fixture<'static>) -> (SpaceId, RegionId, usize) {
    let space = host.vmm.create_space().expect("a space");
    host.spaces.push(space);
    let options = RegionOptions::new(PAGES).guarded(1, 1);
    let region = host.vmm.map(space, &options).expect("there is memory");
    let first = region.start().bits() + PAGE;
    for page in 0..PAGES {
        host.write(space, first + page * PAGE, 100 + page as u64);
    }
    (space, region, first)
}

fn write(host: &mut Fixture<'static>, space: SpaceId, address: usize) -> Result {
    touch(host, space, address, Access::Write, 7).map(|touched| assert!(touched.done))
}

/// Only page 2 of the writer may differ.
fn contents_hold(
    host: &Fixture<'static>,
    (writer, _, at): (SpaceId, RegionId, usize),
    (other, _, there): (SpaceId, RegionId, usize),
    written: bool,
) {
    for page in 0..PAGES {
        let tag = 100 + page as u64;
        assert_eq!(host.read(other, there + page * PAGE), tag);
        let tag = if page == 2 && written { 7 } else { tag };
        // A page that could not be mapped again is mapped by the fault that follows.
        let mapped = host.mappings(writer).contains_key(&(at + page * PAGE));
        assert!(mapped || page == 2 && !written, "page {page} is gone");
        if mapped {
            assert_eq!(host.read(writer, at + page * PAGE), tag);
        }
    }
}

fn a_first_write_that_is_refused_keeps_the_contents(target: Target) {
    each_call_refused(
        target,
        pair,
        |host, pair| write(host, pair.original.0, pair.original.2 + 2 * PAGE),
        |host, pair, done| contents_hold(host, pair.original, pair.clone, done),
    );
}

fn so_it_does_when_the_clone_writes(target: Target) {
    each_call_refused(
        target,
        pair,
        |host, pair| write(host, pair.clone.0, pair.clone.2 + 2 * PAGE),
        |host, pair, done| contents_hold(host, pair.clone, pair.original, done),
    );
}

fn a_clone_that_is_refused_leaves_nothing(target: Target) {
    each_call_refused(
        target,
        |host| {
            let original = tagged(host);
            let into = host.vmm.create_space().expect("a space");
            host.spaces.push(into);
            (original, into, Snapshot::settled(host))
        },
        |host, (original, into, _)| {
            host.vmm.clone_region(original.1, *into, Placement::anywhere()).map(|_| ())
        },
        |host, (original, into, before), done| {
            if !done {
                // The original's pages may be left read-only: its next write changes that.
                for page in 0..PAGES {
                    let at = original.2 + page * PAGE;
                    assert_eq!(host.read(original.0, at), 100 + page as u64);
                    touch(host, original.0, at, Access::Write, 100 + page as u64).expect("alone");
                }
                assert_eq!(host.mappings(*into).len(), 0);
                before.assert_same(&Snapshot::settled(host));
            } else {
                assert_eq!(host.mappings(*into).len(), PAGES);
            }
        },
    );
}

fn a_clone_of_a_space_that_is_refused_leaves_nothing(target: Target) {
    each_call_refused(
        target,
        |host| {
            let original = tagged(host);
            let more = RegionOptions::new(2).backed(Backing::OnDemand { around: 2 });
            host.vmm.reserve(original.0, &more).expect("there is room");
            (original, Snapshot::settled(host))
        },
        |host, (original, _)| {
            let clone = host.vmm.clone_space(original.0)?;
            assert_eq!(host.read(clone, original.2 + PAGE), 101);
            host.vmm.destroy_space(clone)
        },
        |host, (original, before), _| {
            for page in 0..PAGES {
                let at = original.2 + page * PAGE;
                touch(host, original.0, at, Access::Write, 100 + page as u64).expect("alone");
            }
            // A clone whose end was refused is there still; nobody here holds its id.
            let snapshot = Snapshot::settled(host);
            if host.vmm.stats().spaces == 2 {
                before.assert_same(&snapshot);
            }
        },
    );
}

fn a_fill_that_is_refused_is_made_up_for(target: Target) {
    each_call_refused(
        target,
        |host| {
            let space = host.vmm.create_space().expect("a space");
            host.spaces.push(space);
            let options = RegionOptions::new(8).aligned(15).backed(Backing::OnDemand { around: 8 });
            (space, host.vmm.reserve(space, &options).expect("there is room"))
        },
        |host, (space, region)| write(host, *space, region.start().bits() + 3 * PAGE),
        |host, (space, region), done| {
            let info = host.vmm.region_info(*region).expect("it is there");
            assert_eq!((info.kind, info.rights), (Kind::Memory, Rights::READ_WRITE));
            let mapped = host.mappings(*space).len();
            assert!(if done { mapped == 8 || mapped == 1 } else { mapped == 0 }, "{mapped}");
        },
    );
}

/// A13: where memory is short one page may do; where the kernel refuses, none is mapped.
fn a_fill_that_is_refused_is_not_made_for_one_page(target: Target) {
    for nth in 1..=8 {
        let mut host = Fixture::small(target);
        let space = host.vmm.create_space().expect("a space");
        host.spaces.push(space);
        let options = RegionOptions::new(8).aligned(15).backed(Backing::OnDemand { around: 8 });
        let region = host.vmm.reserve(space, &options).expect("there is room");
        let address = region.start().bits() + 3 * PAGE;
        let error = KernelError::NotEnoughMemory;
        host.kernel().fail_nth_of(vmm_tests::model::CallKind::PageMap, nth, error);
        let refused = write(&mut host, space, address).expect_err("a page cannot be mapped");
        assert!(matches!(refused, vmm::Error::Kernel { .. }), "{refused:?}");
        assert_eq!(host.mappings(space).len(), 0, "page {nth} was refused");
        host.check();
        write(&mut host, space, address).expect("nothing is refused");
        assert_eq!(host.mappings(space).len(), 8);
    }
}

fn an_end_to_sharing_that_is_refused_is_made_up_for(target: Target) {
    each_call_refused(
        target,
        |host| {
            let pair = pair(host);
            host.vmm.destroy_space(pair.original.0).expect("nobody uses it");
            host.spaces.retain(|&space| space != pair.original.0);
            pair
        },
        |host, pair| host.vmm.restore_write_access(pair.clone.1),
        |host, pair, done| {
            let writable = host.mappings(pair.clone.0);
            let writable = writable.values().filter(|m| m.rights.contains(Rights::WRITE)).count();
            assert!(!done || writable == PAGES, "{writable}");
            for page in 0..PAGES {
                assert_eq!(host.read(pair.clone.0, pair.clone.2 + page * PAGE), 100 + page as u64);
            }
        },
    );
}
