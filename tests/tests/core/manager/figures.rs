//! Statistics, figure by figure, and the dump of a space line by line. What is right is counted by
//! hand, or read from the model kernel.
//!
//! Checks A29, I8 and I9 of `MODEL.md`.

use std::cell::Cell;

use untyped_alloc::KernelError;
use vmm::{Blueprint, RegionOptions, Rights, SpaceId};
use vmm_tests::model::CallKind;

use super::{FREE, tagged};
use crate::support::{Fixture, Machine, PAGE, Target, on_each};

on_each!(
    each_figure_of_a_space_is_counted,
    each_figure_of_the_manager_is_counted,
    each_figure_of_memory_is_counted,
    book_keeping_is_no_memory_that_is_lost,
    nodes_of_every_kind_are_bytes_in_use,
    what_would_not_go_is_counted_until_it_goes,
    copies_that_would_not_go_are_counted_until_they_go,
    book_keeping_takes_of_the_last_untyped_as_many_pages_as_there_are,
    a_dump_of_untypeds_tells_a_split_block_once_before_its_first_part,
    a_dump_of_a_space_has_a_line_for_each_region_and_each_hole,
    a_refused_map_leaves_no_page_table,
    mapping_over_the_ends_of_tables_never_lacks_a_node,
);

fn space(host: &mut Fixture<'_>) -> SpaceId {
    let space = host.vmm.create_space().expect("memory");
    host.spaces.push(space);
    space
}

/// A29, I8.
fn each_figure_of_a_space_is_counted(target: Target) {
    let mut host = Fixture::small(target);
    let space = space(&mut host);
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
    host.vmm.protect(space, FREE + PAGE, 2, Rights::READ).expect("mapped");
    figures(&host, [5, 2, 3, levels, 0, hole]);
    host.vmm.unmap(space, FREE + PAGE, 1).expect("mapped");
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
    let (one, other) = (space(&mut host), space(&mut host));
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
    assert_eq!(host.vmm.stats().allocator.ready_bytes, 31 << 4);
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

/// A29: pages that were mapped for nodes, and frames that will be, serve again; and what is not
/// mapped, kept or free is nothing.
fn book_keeping_is_no_memory_that_is_lost(target: Target) {
    let mut host = Fixture::new(Machine::roomy(target).pool(16));
    let own = host.own();
    let before = host.vmm.stats();
    let boot = host.mappings(own).len();
    let (mut grown, mut regions) = (0, 0);
    while grown < 3 {
        host.vmm.map(own, &RegionOptions::new(1).at(FREE + regions * 2 * PAGE)).expect("memory");
        regions += 1;
        let stats = host.vmm.stats();
        grown = stats.bookkeeping_pages;
        let mapped = host.mappings(own).len() - boot;
        assert_eq!(mapped, regions + grown, "pages of callers' and of the manager's");
        assert!(stats.bookkeeping_frames >= grown, "what is mapped was taken");
        let tables = host.vmm.space_stats(own).expect("a space").tables;
        let had = tables - host.kernel().facts().image_tables.len();
        let used = before.free_bytes() - stats.free_bytes();
        assert_eq!(used, (regions + had) * PAGE, "{stats:?}");
        assert!(regions < 10_000, "there is no end");
    }
    // All pages of nodes are counted, and hold as many nodes as go into a page.
    let pages = 16 + grown;
    let bytes = host.vmm.stats().bookkeeping_bytes;
    assert!(bytes <= pages * PAGE && bytes > (pages - 1) * PAGE, "{bytes} of {pages} pages");
    assert_eq!(bytes % size_of::<usize>(), 0, "nodes are aligned");
    assert_eq!(host.vmm.stats().allocator.bookkeeping_bytes % size_of::<usize>(), 0);
    host.check();
}

/// A29: by how much the figure rises when nodes of one kind more are taken.
fn nodes_of_every_kind_are_bytes_in_use(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let last = Cell::new(0);
    let rise = |host: &Fixture<'_>| {
        let stats = host.vmm.stats();
        let used = stats.bookkeeping_bytes_used;
        assert_eq!(used, host.vmm.bookkeeping_bytes_used());
        assert!(used < stats.bookkeeping_bytes, "all are used bytes of nodes");
        used as isize - last.replace(used) as isize
    };
    let region = host.vmm.map(own, &RegionOptions::new(64).at(FREE)).expect("memory");
    for page in (0..64).filter(|page| page % 4 != 0) {
        host.vmm.unmap(own, FREE + page * PAGE, 1).expect("mapped");
    }
    let lazy = host.vmm.reserve(own, &RegionOptions::new(64)).expect("room").start().bits();
    host.vmm.populate(own, lazy + 60 * PAGE, 1).expect("memory");
    // Page tables that are ready take no nodes of the allocator's.
    let space = host.vmm.create_space().expect("memory");
    host.vmm.map(space, &RegionOptions::new(1).at(FREE)).expect("memory");
    host.vmm.destroy_space(space).expect("nobody uses it");
    let next_span = FREE + (1 << target.large_bits());
    host.vmm.reserve(own, &RegionOptions::new(1).at(next_span)).expect("room");
    let endpoint = host.vmm.allocate(Blueprint::Endpoint).expect("memory").slot();
    let tcb = host.vmm.allocate(Blueprint::Tcb).expect("memory").slot();
    rise(&host);
    let spare = host.vmm.reserve(own, &RegionOptions::new(1)).expect("room");
    let of_region = rise(&host);
    assert!(of_region > 0, "a region: {of_region}");
    host.vmm.release(spare).expect("a region");
    assert_eq!(rise(&host), -of_region);
    host.vmm.populate(own, FREE + 2 * PAGE, 1).expect("memory");
    let of_extent = rise(&host);
    assert!(of_extent > 0, "an extent: {of_extent}");
    host.vmm.populate(own, lazy + 10 * PAGE, 1).expect("memory");
    assert_eq!(rise(&host), of_extent);
    let into = host.vmm.region_at(own, lazy).expect("a space").expect("a region").id;
    host.vmm.share_into(own, FREE, 1, into, 20).expect("room");
    let of_first_copy = rise(&host);
    host.vmm.share_into(own, FREE, 1, into, 30).expect("room");
    let of_copy = rise(&host);
    assert!(of_first_copy > of_copy, "a group of counts: {of_first_copy}");
    assert!(of_copy > of_extent, "a record of copies: {of_copy}");
    let thread = host.vmm.register_thread(own, tcb, endpoint, "thread").expect("memory");
    let of_thread = rise(&host);
    assert!(of_thread > 0, "a thread: {of_thread}");
    host.vmm.unregister_thread(thread).expect("registered");
    assert_eq!(rise(&host), -of_thread);
    host.vmm.populate(own, next_span, 1).expect("memory");
    let of_first_page = rise(&host);
    assert!(of_first_page > of_extent, "a page table: {of_first_page}");
    // Roots take nodes of the allocator's now and then.
    let root = Blueprint::Table { level: 0 };
    let mut of_root = isize::MAX;
    let mut of_space = isize::MAX;
    for _ in 0..8 {
        host.vmm.allocate(root).expect("memory");
        of_root = of_root.min(rise(&host));
        host.vmm.create_space().expect("memory");
        of_space = of_space.min(rise(&host));
    }
    assert!(of_space > of_root + of_region, "a space has a root and a region: {of_space}");
    host.vmm.release(region).expect("a region");
    host.check();
}

/// A29, I9: regions, copies, frames at temporary slots (`stuck.rs`), objects.
fn what_would_not_go_is_counted_until_it_goes(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let refuse = |host: &Fixture<'_>, kind: CallKind| {
        let picks = move |made: CallKind| made == kind;
        host.kernel().fail_when(picks, KernelError::RevokeFirst);
    };
    let quarantined = |host: &Fixture<'_>| {
        let stats = host.vmm.stats();
        (stats.quarantined, stats.allocator.quarantined)
    };
    assert_eq!(quarantined(&host), (0, 0));
    tagged(&mut host, FREE, 4);
    // A new region of which one page is mapped and the next is refused, as is undoing it.
    let seen = std::sync::atomic::AtomicUsize::new(0);
    let picks = move |made: CallKind| match made {
        CallKind::PageMap => seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 1,
        CallKind::PageUnmap => true,
        _ => false,
    };
    host.kernel().fail_when(picks, KernelError::RevokeFirst);
    host.vmm.map(own, &RegionOptions::new(6)).expect_err("refused");
    assert_eq!(quarantined(&host), (1, 0));
    host.kernel().disarm();
    host.check();
    host.vmm.trim().expect("no call is refused");
    assert_eq!(quarantined(&host), (0, 0));
    // A root that gets no identifier and cannot be destroyed.
    let picks = |made: CallKind| {
        matches!(made, CallKind::AsidPoolAssign | CallKind::CNodeDelete | CallKind::CNodeRevoke)
    };
    host.kernel().fail_when(picks, KernelError::IllegalOperation);
    host.vmm.create_space().expect_err("refused");
    host.kernel().disarm();
    assert_eq!(quarantined(&host), (0, 1));
    host.check();
    host.vmm.trim().expect("no call is refused");
    assert_eq!(quarantined(&host), (0, 0));
    // An object whose caller gives it back.
    let objects = host.vmm.allocate_many(Blueprint::Endpoint, 3).expect("memory");
    refuse(&host, CallKind::CNodeDelete);
    let freed = host.vmm.free(objects.get(1).expect("three"));
    host.kernel().disarm();
    let counted = quarantined(&host);
    assert_eq!(freed.is_err(), counted.1 == 0, "it is in use still, or counted: {counted:?}");
    host.vmm.free_many(objects).ok();
    host.vmm.trim().expect("no call is refused");
    assert_eq!(quarantined(&host), (0, 0));
    host.check();
}

/// I9: the copies of a share that was refused, and could not be deleted.
fn copies_that_would_not_go_are_counted_until_they_go(target: Target) {
    let mut host = Fixture::small(target);
    let (own, other) = (host.own(), space(&mut host));
    tagged(&mut host, FREE, 4);
    let one = RegionOptions::new(4);
    for times in 1..4 {
        let picks = |made: CallKind| matches!(made, CallKind::PageMap | CallKind::CNodeDelete);
        host.kernel().fail_when(picks, KernelError::RevokeFirst);
        host.vmm.share(own, FREE, 4, other, &one).expect_err("refused");
        host.kernel().disarm();
        assert_eq!(host.vmm.stats().quarantined, times);
        host.check();
    }
    host.vmm.trim().expect("no call is refused");
    assert_eq!(host.vmm.stats().quarantined, 0);
    host.vmm.share(own, FREE, 4, other, &one).expect("nothing is refused");
    host.check();
}

/// A71: half as many as are taken at a time, a quarter, where there is no more.
fn book_keeping_takes_of_the_last_untyped_as_many_pages_as_there_are(target: Target) {
    for (left_bits, pages) in [(12, 1), (13, 2), (14, 4), (15, 8)] {
        let mut host = Fixture::new(Machine::with_ram(target, vec![(0x100_0000, 20)]).pool(16));
        let own = host.own();
        let left = host.vmm.allocate(Blueprint::Untyped { size_bits: left_bits }).expect("memory");
        // The boot's nodes are used up, and so are those that come first, with their page table.
        while host.vmm.stats().bookkeeping_pages != 8 {
            host.vmm.reserve(own, &RegionOptions::new(1)).expect("a node");
        }
        for size_bits in (4..20).rev() {
            while host.vmm.allocate(Blueprint::Untyped { size_bits }).is_ok() {}
        }
        let before = host.vmm.stats();
        assert_eq!(before.allocator.untyped_bytes, 0, "nothing is left");
        host.vmm.free(left).expect("an object");
        let frames = before.bookkeeping_frames;
        while host.vmm.stats().bookkeeping_frames == frames {
            host.vmm.reserve(own, &RegionOptions::new(1)).expect("a node");
        }
        let now = host.vmm.stats();
        assert_eq!(now.bookkeeping_frames, frames + pages, "all that there is, up to eight");
        assert_eq!(now.allocator.untyped_bytes, 0);
        // Each of them is used before there is none.
        while host.vmm.reserve(own, &RegionOptions::new(1)).is_ok() {}
        assert_eq!(host.vmm.stats().bookkeeping_pages, frames + pages);
        host.check();
    }
}

/// A29.
fn a_dump_of_untypeds_tells_a_split_block_once_before_its_first_part(target: Target) {
    let mut host = Fixture::small(target);
    for size_bits in [14, 12] {
        host.vmm.allocate(Blueprint::Untyped { size_bits }).expect("the boot's");
    }
    for _ in 0..2 {
        host.vmm.allocate(Blueprint::Untyped { size_bits: 14 }).expect("memory");
    }
    host.vmm.allocate(Blueprint::Untyped { size_bits: 12 }).expect("memory");
    let mut text = String::new();
    host.vmm.allocator().dump_untypeds(&mut text).expect("a string takes it");
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let at = usize::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
        let size = words.next()?.strip_prefix("2^")?.parse::<u8>().ok()?;
        let (at, state) = (at.checked_sub(0x100_0000)?, words.next()?);
        (at < 0x10_0000).then_some((at, size, state))
    });
    let splits: Vec<_> = lines.clone().filter(|line| line.2 == "split").collect();
    assert_eq!(
        splits.iter().map(|&(at, size, _)| (at, size)).collect::<Vec<_>>(),
        [(0, 20), (0, 18), (0, 16), (0x8000, 14)],
        "{text}"
    );
    // What was split has its first part, or a part of it, behind it.
    let all: Vec<_> = lines.collect();
    for pair in all.windows(2).filter(|pair| pair[0].2 == "split") {
        assert_eq!(pair[0].0, pair[1].0, "{text}");
        assert!(pair[0].1 > pair[1].1, "{text}");
    }
}

/// All of what is written of a space that has a bit of everything.
fn a_dump_of_a_space_has_a_line_for_each_region_and_each_hole(target: Target) {
    let mut host = Fixture::small(target);
    let space = space(&mut host);
    let heap = RegionOptions::new(3).at(FREE).guarded(1, 2).named("heap");
    host.vmm.map(space, &heap).expect("memory");
    let text = RegionOptions::new(2).at(FREE + 5 * PAGE).rights(Rights::READ).named("text");
    host.vmm.reserve(space, &text).expect("room");
    let others = RegionOptions::new(0x100).at(FREE + 0x10_0000).named("others");
    let others = host.vmm.create_reservation(space, &others).expect("room");
    let none = RegionOptions::new(1).at(FREE + 0x10_0000 + PAGE).rights(Rights::empty());
    host.vmm.reserve(space, &none.inside(others).named("none")).expect("room");
    let mut written = String::new();
    host.vmm.dump(space, &mut written).expect("a string takes it");
    let tables = target.levels_below_root();
    // Two pages before the region's first are the null page and its guard.
    let below = FREE / PAGE - 2;
    let above = target.user_end() / PAGE - (FREE + 0x20_0000) / PAGE;
    let expected = format!(
        "{space:?}: 3 pages mapped, {tables} page tables\n\
         \x20 0x00000000  --    1 pages, 0 mapped, guards 1+0  Boot \"null page\"\n\
         \x20 0x00001000  … {below} pages free\n\
         \x20 0x3ffff000  rw    6 pages, 3 mapped, guards 1+2  Memory \"heap\"\n\
         \x20 0x40005000  r-    2 pages, 0 mapped  Memory \"text\"\n\
         \x20 0x40007000  … 249 pages free\n\
         \x20 0x40100000  [   256 pages reserved  \"others\"\n\
         \x20 0x40100000  … 1 pages free\n\
         \x20 0x40101000  --    1 pages, 0 mapped  Memory \"none\"\n\
         \x20 0x40102000  … 254 pages free\n\
         \x20 0x40200000  ]  end of \"others\"\n\
         \x20 0x40200000  … {above} pages free\n"
    );
    assert_eq!(written, expected);
    host.vmm.destroy_space(space).expect("nobody uses it");
    host.spaces.pop();
    let mut written = String::new();
    host.vmm.dump(space, &mut written).expect("a string takes it");
    assert_eq!(written, format!("{space:?}: no such space\n"));
}

/// A13: by whatever way pages are mapped. A table that no page came to is not kept.
fn a_refused_map_leaves_no_page_table(target: Target) {
    let mut host = Fixture::roomy(target);
    let own = host.own();
    let (space, from) = (space(&mut host), space(&mut host));
    let region = host.vmm.map(from, &RegionOptions::new(3).at(FREE)).expect("memory");
    let span = 1 << target.large_bits();
    let far = 0x5000_0000;
    let place = |pages: usize| RegionOptions::new(pages).at(far + span - PAGE);
    host.vmm.reserve(own, &place(3)).expect("room");
    let paged = RegionOptions::new(2).at(far + 8 * span);
    let paged = paged.backed(vmm::Backing::Pager { token: 1 });
    host.vmm.reserve(space, &paged).expect("room");
    let tables = |host: &Fixture<'_>| {
        [own, space, from].map(|space| host.vmm.space_stats(space).expect("a space").tables)
    };
    let before = tables(&host);
    type Request<'a> = Box<dyn Fn(&mut Fixture<'_>) -> vmm::Result + 'a>;
    // The last one is not undone.
    let requests: Vec<(&str, Request<'_>)> = vec![
        ("one page", Box::new(|host| host.vmm.map(space, &place(1)).map(drop))),
        ("pages", Box::new(|host| host.vmm.map(space, &place(3)).map(drop))),
        ("committed", Box::new(|host| host.vmm.populate(own, far + span, 1))),
        ("more committed", Box::new(|host| host.vmm.populate(own, far + span - PAGE, 3))),
        ("shared", Box::new(|host| host.vmm.share(from, FREE, 3, space, &place(3)).map(drop))),
        ("cloned", Box::new(|host| host.vmm.clone_region(region, space, &place(3)).map(drop))),
        (
            "an IPC buffer",
            Box::new(|host| {
                let buffer = host.vmm.allocate_ipc_buffer(space)?;
                host.vmm.release_ipc_buffer(buffer)
            }),
        ),
        (
            "supplied",
            Box::new(|host| {
                let give = vmm::Supply::Transfer;
                host.vmm.supply_page(space, far + 8 * span, from, FREE, give)
            }),
        ),
    ];
    for (what, request) in requests {
        for allowed in [0, 1, 2] {
            let seen = std::sync::atomic::AtomicUsize::new(0);
            let picks = move |made: CallKind| {
                let order = std::sync::atomic::Ordering::Relaxed;
                made == CallKind::PageMap && seen.fetch_add(1, order) == allowed
            };
            host.kernel().fail_when(picks, KernelError::RevokeFirst);
            let refused = request(&mut host).is_err();
            host.kernel().disarm();
            host.check();
            if !refused {
                // It maps fewer pages than that. What it did is not undone here.
                assert_ne!(allowed, 0, "{what}");
                break;
            }
            assert_eq!(tables(&host), before, "{what}, refused after {allowed}");
        }
        // What was not refused is undone.
        host.vmm.unmap(own, far + span, 1).ok();
        for place in [far + span - PAGE, far + span] {
            let there = host.vmm.region_at(space, place).expect("a space");
            there.into_iter().for_each(|there| host.vmm.release(there.id).expect("a region"));
        }
        host.vmm.trim().expect("no call is refused");
    }
}

/// A15: 256 pages over the ends of page tables of all levels, wherever in a page of nodes the last
/// request ended.
fn mapping_over_the_ends_of_tables_never_lacks_a_node(target: Target) {
    let mut host = Fixture::new(Machine::roomy(target).pool(16));
    let own = host.own();
    // The ends of what an entry of the root covers.
    let bits = target.architecture().geometry.levels[0].entry_bits;
    let ends = if matches!(target, Target::Ia32) { 260..420 } else { 1..61 };
    for round in ends {
        let at = (round << bits) - 4 * PAGE;
        let mapped = host.vmm.map(own, &RegionOptions::new(8).at(at));
        assert!(mapped.is_ok(), "round {round}: {mapped:?}");
    }
    assert!(host.vmm.stats().bookkeeping_pages > 0, "the case is about nodes that run low");
    host.check();
}
