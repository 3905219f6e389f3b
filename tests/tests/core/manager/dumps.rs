// SPDX-License-Identifier: BSD-2-Clause
//! The dumps of a space and of memory, line by line.
//!
//! Checks A29 of `MODEL.md`.

use vmm::{Blueprint, RegionOptions, Rights};

use super::{FREE, new_space};
use crate::support::{Fixture, PAGE, Target, on_each};

on_each!(
    a_dump_of_untypeds_tells_a_split_block_once_before_its_first_part,
    a_dump_of_a_space_has_a_line_for_each_region_and_each_hole,
);

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
    let space = new_space(&mut host);
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
         \x20 0x00000000  ---    1 pages, 0 mapped, guards 1+0  Boot \"null page\"\n\
         \x20 0x00001000  … {below} pages free\n\
         \x20 0x3ffff000  rw-    6 pages, 3 mapped, guards 1+2  Memory \"heap\"\n\
         \x20 0x40005000  r--    2 pages, 0 mapped  Memory \"text\"\n\
         \x20 0x40007000  … 249 pages free\n\
         \x20 0x40100000  [   256 pages reserved  \"others\"\n\
         \x20 0x40100000  … 1 pages free\n\
         \x20 0x40101000  ---    1 pages, 0 mapped  Memory \"none\"\n\
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
