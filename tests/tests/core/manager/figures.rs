// SPDX-License-Identifier: BSD-2-Clause
//! Statistics, figure by figure. What is right is counted by hand, or read from the model kernel.
//!
//! Checks A29 and I8 of `MODEL.md`.

use vmm::{Blueprint, Pages, RegionOptions, Rights};
use vmm_tests::model::CallKind;

use super::{FREE, new_space};
use crate::support::{Fixture, PAGE, Target, on_each};

on_each!(
    each_figure_of_a_space_is_counted,
    each_figure_of_the_manager_is_counted,
    each_figure_of_memory_is_counted,
);

/// A29, I8.
fn each_figure_of_a_space_is_counted(target: Target) {
    let mut host = Fixture::small(target);
    let space = new_space(&mut host);
    let (all, free) = (target.user_end() / PAGE, FREE / PAGE);
    let levels = target.levels_below_root();
    let figures = |host: &Fixture<'_>, expected: [usize; 6]| {
        let stats = host.vmm.space_stats(space).expect("a space");
        let found = [stats.mapped_pages, stats.regions, stats.extents, stats.tables];
        assert_eq!(found[..], expected[..4], "pages, regions, extents, tables");
        assert_eq!([stats.empty_tables, stats.largest_hole], expected[4..], "empty tables, hole");
        let short = host.vmm.space_summary(space).expect("a space");
        let found = [short.mapped_pages, short.regions, short.tables, short.largest_hole];
        assert_eq!(found, [expected[0], expected[1], expected[3], expected[5]]);
        assert_eq!(host.mappings(space).len(), expected[0]);
    };
    // The page of the null pointer.
    figures(&host, [0, 1, 0, 0, 0, all - 1]);
    let region = host.vmm.map(space, &RegionOptions::new(5).at(FREE)).expect("memory");
    let hole = (all - free - 5).max(free - 1);
    figures(&host, [5, 2, 1, levels, 0, hole]);
    host.vmm.protect(space, Pages::at(FREE + PAGE).count(2), Rights::READ).expect("mapped");
    figures(&host, [5, 2, 3, levels, 0, hole]);
    host.vmm.unmap(space, Pages::at(FREE + PAGE)).expect("mapped");
    figures(&host, [4, 2, 3, levels, 0, hole]);
    // Each end of a reservation counts.
    let others = RegionOptions::new(4).at(FREE + 5 * PAGE);
    let others = host.vmm.create_reservation(space, &others).expect("room");
    let hole = (all - free - 9).max(free - 1);
    figures(&host, [4, 4, 3, levels, 0, hole]);
    host.vmm.release(others).expect("it is empty");
    host.vmm.release(region).expect("a region");
    let stats = host.vmm.space_stats(space).expect("a space");
    assert_eq!((stats.mapped_pages, stats.regions, stats.extents), (0, 1, 0));
    assert_eq!(stats.empty_tables, 1, "the deepest is kept for the next page");
    host.vmm.trim().expect("no call is refused");
    figures(&host, [0, 1, 0, 0, 0, all - 1]);
}

/// A29.
fn each_figure_of_the_manager_is_counted(target: Target) {
    let mut host = Fixture::small(target);
    let first = host.vmm.stats();
    assert_eq!((first.spaces, first.kept_tables, first.quarantined), (1, 0, 0));
    assert_eq!((first.bookkeeping_pages, first.bookkeeping_frames, first.page_bits), (0, 0, 12));
    let (one, other) = (new_space(&mut host), new_space(&mut host));
    assert_eq!(host.vmm.stats().spaces, 3);
    for space in [one, other] {
        let region = host.vmm.map(space, &RegionOptions::new(1).at(FREE)).expect("memory");
        host.vmm.release(region).expect("a region");
    }
    assert_eq!(host.vmm.stats().kept_tables, 2, "one of each space");
    for space in [one, other] {
        host.vmm.destroy_space(space).expect("it is empty");
    }
    host.spaces.truncate(1);
    assert_eq!((host.vmm.stats().spaces, host.vmm.stats().kept_tables), (1, 0));
    // Every invocation of the kernel's, by its kind.
    let made = host.vmm.stats().calls;
    assert_eq!(made.total(), host.kernel().total_calls());
    let kinds = [
        (untyped_alloc::Invocation::PageMap, CallKind::PageMap),
        (untyped_alloc::Invocation::UntypedRetype, CallKind::UntypedRetype),
        (untyped_alloc::Invocation::AsidPoolAssign, CallKind::AsidPoolAssign),
    ];
    for (invocation, kind) in kinds {
        assert_eq!(made.of(invocation), host.kernel().calls(kind), "{kind:?}");
    }
}

/// A29: 1 MiB, 16 KiB and 4 KiB of RAM.
fn each_figure_of_memory_is_counted(target: Target) {
    let mut host = Fixture::small(target);
    let by_size = |host: &Fixture<'_>| {
        let sizes = host.vmm.stats().allocator.free_by_size;
        let counted = sizes.iter().enumerate().filter(|&(_, &count)| count != 0);
        counted.map(|(bits, &count)| (bits, count)).collect::<Vec<_>>()
    };
    let memory = host.vmm.stats().allocator;
    let all = (1 << 20) + (1 << 14) + (1 << 12);
    assert_eq!((memory.total_bytes, memory.untyped_bytes, memory.ready_bytes), (all, all, 0));
    assert_eq!((memory.largest_free_bytes, memory.device_bytes), (1 << 20, 1 << 16));
    assert_eq!((memory.quarantined, memory.cleared_bytes), (0, 0));
    assert_eq!(memory.live, Default::default());
    assert_eq!(by_size(&host), [(12, 1), (14, 1), (20, 1)]);
    let untyped = |size_bits| Blueprint::Untyped { size_bits };
    // The smallest that is large enough is taken as it is, once. Its split has two bits at a time.
    let whole = host.vmm.allocate(untyped(12)).expect("memory");
    assert_eq!(by_size(&host), [(14, 1), (20, 1)]);
    assert_eq!(host.vmm.stats().allocator.cleared_bytes, 1 << 12, "it was the boot's");
    let quarter = host.vmm.allocate(untyped(12)).expect("memory");
    assert_eq!(by_size(&host), [(12, 3), (20, 1)]);
    // The three that are left of the split are clear, what the boot left is not.
    let mut text = String::new();
    host.vmm.allocator().dump_untypeds(&mut text).expect("a string takes it");
    let ends = |end: &str| text.lines().filter(|line| line.ends_with(end)).count();
    assert_eq!((ends(" free"), ends(" free, to be cleared")), (3, 1), "{text}");
    let large = host.vmm.allocate(untyped(20)).expect("memory");
    let now = host.vmm.stats().allocator;
    assert_eq!((now.largest_free_bytes, now.untyped_bytes), (1 << 12, 3 << 12));
    assert_eq!(now.live.untypeds, 3);
    assert_eq!(now.cleared_bytes, (1 << 12) + (1 << 14) + (1 << 20));
    assert_eq!(host.kernel().bytes_cleared(), now.cleared_bytes);
    for object in [whole, quarter, large] {
        host.vmm.free(object).expect("an object");
    }
    assert_eq!(host.vmm.stats().allocator.live.untypeds, 0);
    // One figure for each type.
    let kinds = [
        (Blueprint::Tcb, 1),
        (Blueprint::Endpoint, 2),
        (Blueprint::Notification, 3),
        (Blueprint::CNode { radix_bits: 4 }, 4),
        (Blueprint::Frame { size_bits: 12 }, 5),
        (Blueprint::Table { level: 0 }, 6),
        (Blueprint::Table { level: 1 }, 7),
    ];
    let before = host.vmm.stats().allocator.live;
    let one = host.vmm.allocate(Blueprint::Endpoint).expect("memory");
    // As `a_dump_of_untypeds_adds_up_to_all_memory` has it: 32 come at once.
    assert_eq!(host.vmm.stats().allocator.ready_bytes, 0, "31 are for endpoints alone");
    host.vmm.free(one).expect("an object");
    assert_eq!(host.vmm.stats().allocator.ready_bytes, 32 << 4, "unused, it goes back as a whole");
    let objects = kinds.map(|(kind, count)| host.vmm.allocate_many(kind, count).expect("memory"));
    let live = host.vmm.stats().allocator.live;
    let found = [live.tcbs, live.endpoints, live.notifications, live.cnodes, live.frames[0]];
    assert_eq!(found, [1, 2, 3, 4 + before.cnodes, 5]);
    assert_eq!((live.vspaces, live.tables), (6, 7));
    // What they take is not free.
    let now = host.vmm.stats().allocator;
    let sizes = target.architecture().sizes;
    let taken: usize = kinds
        .iter()
        .map(|&(kind, count)| count << sizes.size_bits(kind).expect("there is such an object"))
        .sum();
    assert!(now.free_bytes() + taken <= all, "{now:?}");
    objects.into_iter().for_each(|many| host.vmm.free_many(many).expect("objects"));
    assert_eq!(host.vmm.stats().allocator.live, before);
    host.vmm.trim().expect("no call is refused");
    let end = host.vmm.stats().allocator;
    assert_eq!((end.untyped_bytes, end.ready_bytes), (all, 0));
    assert_eq!(by_size(&host), [(12, 1), (14, 1), (20, 1)]);
}
