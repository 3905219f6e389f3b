// SPDX-License-Identifier: BSD-2-Clause
//! Queries, dump, statistics.

use vmm::{
    Access, Backing, Blueprint, Error, FaultClass, Kind, PageFault, Pages, Placement,
    RegionOptions, Rights, Source,
};
use vmm_tests::support::not_mapped;

use super::{FREE, tagged};
use crate::support::{Fixture, PAGE, Target, on_each};

on_each!(
    a_region_is_found_by_any_of_its_addresses,
    the_pages_of_a_region_are_those_between_its_guards,
    regions_come_in_order,
    a_mapping_is_what_the_hardware_has,
    what_may_be_run_is_told,
    a_physical_address_is_the_frame_s,
    a_dump_names_what_is_there,
    a_dump_shows_a_reservation_around_what_lies_in_it,
    a_dump_of_untypeds_adds_up_to_all_memory,
    a_dump_of_slots_counts_them,
    statistics_add_up,
    kernel_calls_are_counted,
    every_error_can_be_read,
);

fn a_region_is_found_by_any_of_its_addresses(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let options = RegionOptions::new(3).at(FREE).guarded(1, 2).named("a name of its own");
    let region = host.vmm.map(own, &options.ceiling(Rights::READ_WRITE)).expect("memory");
    for address in [FREE - PAGE, FREE, FREE + 3 * PAGE - 1, FREE + 5 * PAGE - 1] {
        let info = host.vmm.region_at(own, address).expect("a space").expect("a region");
        assert_eq!(info.id, region);
        assert_eq!((info.guard_below, info.guard_above, info.range.pages()), (1, 2, 6));
        assert_eq!((info.kind, info.name.as_str()), (Kind::Memory, "a name of its o"));
        assert_eq!((info.rights, info.ceiling), (Rights::READ_WRITE, Rights::READ_WRITE));
    }
    for address in [FREE - PAGE - 1, FREE + 5 * PAGE] {
        assert_eq!(host.vmm.region_at(own, address), Ok(None));
    }
}

fn the_pages_of_a_region_are_those_between_its_guards(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let region = host.vmm.map(own, &RegionOptions::new(3).at(FREE).guarded(1, 2)).expect("memory");
    let pages = host.vmm.pages_of(region).expect("a region");
    assert_eq!((pages.start().bits(), pages.pages()), (FREE, 3));
    assert_eq!(region.start().bits(), FREE - PAGE, "the guard below is the region's");
    host.vmm.release(region).expect("memory comes back");
    assert_eq!(host.vmm.pages_of(region), Err(Error::NoSuchRegion(region)));
}

/// I1.
fn regions_come_in_order(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let regions: Vec<_> =
        [5, 1, 9].map(|n| tagged(&mut host, FREE + n * PAGE, 2)).into_iter().collect();
    let mut found = Vec::new();
    let mut at = FREE;
    while let Some(info) = host.vmm.next_region(own, at).expect("a space") {
        found.push(info.id);
        at = info.range.end();
    }
    assert_eq!(found, [regions[1], regions[0], regions[2]]);
    assert_eq!(host.vmm.next_region(own, usize::MAX), Ok(None));
}

/// I4.
fn a_mapping_is_what_the_hardware_has(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    tagged(&mut host, FREE, 4);
    host.vmm.protect(own, Pages::at(FREE + PAGE), Rights::READ).expect("mapped");
    for (at, real) in host.mappings(own) {
        let told = host.vmm.mapping_at(own, at + 77).expect("a space").expect("mapped");
        assert_eq!((told.page, told.size_bits, told.rights), (at, 12, real.rights));
        assert_eq!(told.source, Source::Owned);
    }
    assert_eq!(host.vmm.mapping_at(own, FREE + 4 * PAGE), Ok(None));
}

fn a_physical_address_is_the_frame_s(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    tagged(&mut host, FREE, 4);
    for (at, real) in host.mappings(own) {
        assert_eq!(host.vmm.physical_address(own, at + 9), Ok(real.paddr + 9));
    }
    let error = not_mapped(FREE + 4 * PAGE);
    host.refuses(error, |vmm| vmm.physical_address(own, FREE + 4 * PAGE));
}

fn a_dump_names_what_is_there(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let options = RegionOptions::new(3).at(FREE).guarded(1, 1).named("heap");
    host.vmm.map(own, &options).expect("memory");
    let mut text = String::new();
    host.vmm.dump(own, &mut text).expect("a string takes it");
    for part in ["heap", "image", "null page", "pages free", "0x3ffff000", "3 mapped"] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

fn a_dump_shows_a_reservation_around_what_lies_in_it(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let reserved = RegionOptions::new(8).at(FREE).named("others");
    let reservation = host.vmm.create_reservation(own, &reserved).expect("room");
    let inside = RegionOptions::new(2).at(FREE + 3 * PAGE).inside(reservation).named("one");
    host.vmm.map(own, &inside).expect("room inside");
    let mut text = String::new();
    host.vmm.dump(own, &mut text).expect("a string takes it");
    let from = text.find("  0x40000000  [").expect("its start");
    let lines: Vec<&str> = text[from..].lines().take(5).collect();
    assert_eq!(
        lines,
        [
            "  0x40000000  [     8 pages reserved  \"others\"",
            "  0x40000000  … 3 pages free",
            "  0x40003000  rw-    2 pages, 2 mapped  Memory \"one\"",
            "  0x40005000  … 3 pages free",
            "  0x40008000  ]  end of \"others\"",
        ]
    );
}

/// I10: leaves add up to all memory, and the free ones to what is free.
fn a_dump_of_untypeds_adds_up_to_all_memory(target: Target) {
    let mut host = Fixture::small(target);
    tagged(&mut host, FREE, 5);
    host.vmm.allocate(Blueprint::Endpoint).expect("memory");
    let mut text = String::new();
    host.vmm.allocator().dump_untypeds(&mut text).expect("a string takes it");
    let (mut all, mut free) = (0, 0);
    for line in text.lines().filter(|line| line.contains(" 2^") && !line.ends_with("split")) {
        let bits = line.split("2^").nth(1).and_then(|rest| rest.split(' ').next());
        let bytes = 1usize << bits.and_then(|bits| bits.parse::<u32>().ok()).expect("a size");
        all += bytes;
        free += if line.contains(" free") { bytes } else { 0 };
    }
    let stats = host.vmm.stats().allocator;
    assert_eq!((all, free), (stats.total_bytes, stats.untyped_bytes), "{text}");
    for part in ["split", "5 of ", " frames of 2^12 in use", "1 of 32 endpoints in use, 31 ready"] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert!(text.ends_with("  and 1 untypeds of device memory that is not in use\n"), "{text}");
}

/// I13: what is not free is taken.
fn a_dump_of_slots_counts_them(target: Target) {
    let mut host = Fixture::small(target);
    host.vmm.alloc_slots(7).expect("slots");
    let mut text = String::new();
    host.vmm.allocator().dump_slots(&mut text).expect("a string takes it");
    let numbers: Vec<usize> = text
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
        .take(3)
        .collect();
    let [free, capacity, virgin] = numbers[..] else { panic!("three numbers in {text}") };
    assert_eq!(free + virgin, host.vmm.stats().allocator.free_slots);
    assert_eq!(capacity - free, 7, "{text}");
}

/// A29, I8.
fn statistics_add_up(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let all = host.vmm.stats();
    assert_eq!(all.free_bytes(), host.machine.ram_bytes());
    tagged(&mut host, FREE, 5);
    host.vmm.allocate(Blueprint::Table { level: 0 }).expect("memory");
    let stats = host.vmm.stats();
    let space = host.vmm.space_stats(own).expect("a space");
    let boot = host.kernel().facts().image_tables.len();
    let tables = space.tables - boot;
    let root = 1 << target.architecture().sizes.root_table_bits;
    assert_eq!(all.free_bytes() - stats.free_bytes(), (5 + tables) * PAGE + root);
    assert_eq!((space.mapped_pages, space.extents), (5, 1));
    assert_eq!(stats.spaces, 1);
    assert!(stats.bookkeeping_bytes_used <= stats.bookkeeping_bytes);
    let text = stats.to_string();
    let free = format!("memory: {} of {} bytes free", stats.free_bytes(), all.free_bytes());
    for part in [&free, "frames 5+0+0,", "VSpaces 1,", "spaces: 1;", "quarantine: 0", "PageMap 5"] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    host.check();
}

fn kernel_calls_are_counted(target: Target) {
    let mut host = Fixture::small(target);
    tagged(&mut host, FREE, 5);
    assert_eq!(host.vmm.kernel_calls().total(), host.kernel().total_calls());
}

fn every_error_can_be_read(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let error = host.vmm.map(own, &RegionOptions::new(1).at(0)).expect_err("the null page");
    assert_eq!(error.to_string(), r#"0x0 belongs to the region "null page" at 0x0"#);
    let error = host.vmm.map(own, &RegionOptions::new(1).at(8)).expect_err("misaligned");
    assert_eq!(error.to_string(), "0x8 is not aligned to 2^12 bytes");
}

/// A107: the request is accepted everywhere; whether it is enforced is told, and decides what
/// becomes of a thread that runs what it may not.
fn what_may_be_run_is_told(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let has_no_execute = target.architecture().geometry.has_no_execute;
    let vspace = host.vmm.vspace(own).expect("a space");
    let plain = RegionOptions::new(2);
    for (index, (options, asked)) in [
        (plain, false),
        (plain.rights(Rights::READ), false),
        (plain.rights(Rights::EXECUTE), true),
        (plain.rights(Rights::READ_WRITE_EXECUTE), true),
    ]
    .into_iter()
    .enumerate()
    {
        let at = FREE + index * 16 * PAGE;
        let lazy = options.at(at).backed(Backing::OnDemand { around: 1 });
        host.vmm.reserve(own, &lazy).expect("room");
        host.vmm.populate(own, Pages::at(at)).expect("memory");
        let mapping = host.vmm.mapping_at(own, at).expect("a space").expect("it is mapped");
        assert_eq!(mapping.rights.contains(Rights::EXECUTE), asked);
        assert_eq!(mapping.executable, asked || !has_no_execute, "{mapping:?}");
        let found = host.kernel().mapping(vspace, at).expect("it is mapped").rights;
        assert_eq!(found.contains(Rights::EXECUTE), asked && has_no_execute);
        // The next page is not there yet.
        let address = at + PAGE + 4;
        let fault = PageFault { address, access: Access::Execute, present: false, ip: address };
        let class = host.vmm.classify_fault(own, &fault).expect("a space");
        let expected = match mapping.executable {
            true => FaultClass::DemandZero { around: 1 },
            false => FaultClass::BeyondRights,
        };
        assert_eq!(class, expected, "{mapping:?}");
    }
    // Protecting takes it away, and copies of the page keep it.
    let code = FREE + 3 * 16 * PAGE;
    let space = host.vmm.create_space().expect("memory");
    host.spaces.push(space);
    let rights = |host: &Fixture<'_>, space, at| {
        host.vmm.mapping_at(space, at).expect("a space").expect("it is mapped").rights
    };
    let region = host.vmm.region_at(own, code).expect("a space").expect("a region").id;
    let clone = host.vmm.clone_region(region, space, Placement::at(FREE)).expect("memory");
    assert_eq!(rights(&host, space, clone.start().bits()), Rights::READ_WRITE_EXECUTE);
    host.vmm.protect(own, Pages::at(code), Rights::READ_WRITE).expect("mapped");
    assert_eq!(rights(&host, own, code), Rights::READ_WRITE);
    host.check();
}
