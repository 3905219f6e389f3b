// SPDX-License-Identifier: BSD-2-Clause
//! Addresses and ranges at the ends of the word and of user space.
//!
//! Checks A11 of `MODEL.md` where numbers become addresses. `fuzz/src/addresses.rs` compares all
//! of it with arithmetic in 128 bits.

use page_tables::{AddressError, Geometry, VirtAddr};
use vmm::Pages;

use crate::support::{PAGE, Target, on_each};

on_each!(
    an_address_is_aligned_to_any_power_of_two,
    an_address_does_not_wrap,
    a_range_ends_where_user_space_ends,
    parts_of_a_range_lie_in_it,
    tables_end_with_user_space,
);

fn geometry(target: Target) -> Geometry {
    target.architecture().geometry
}

/// A11: 64 and more are the word and more, on any host.
fn an_address_is_aligned_to_any_power_of_two(target: Target) {
    let geometry = geometry(target);
    let last = geometry.user_end - 1;
    for number in [0, 1, PAGE, PAGE + 1, 0x4000_0000, last] {
        let address = geometry.address(number).expect("user space");
        for bits in 0..=u8::MAX {
            // A number is a multiple of what is larger than it only if it is 0.
            let unit = 1u128.checked_shl(u32::from(bits)).unwrap_or(u128::MAX);
            let down = (number as u128 / unit * unit) as usize;
            assert_eq!(address.align_down(bits).bits(), down, "{number:#x} by {bits}");
            assert_eq!(address.is_aligned(bits), down == number, "{number:#x} by {bits}");
        }
    }
    // Also what is not in user space.
    let top = VirtAddr::default().checked_add(usize::MAX).expect("it does not wrap");
    for bits in 0..usize::BITS as u8 {
        assert_eq!(top.align_down(bits).bits(), usize::MAX << bits);
        assert_eq!(top.is_aligned(bits), bits == 0);
    }
    for bits in [usize::BITS as u8, 64, 65, 128, u8::MAX] {
        assert_eq!((top.align_down(bits).bits(), top.is_aligned(bits)), (0, false));
        assert!(VirtAddr::default().is_aligned(bits), "0 is a multiple of everything");
    }
}

fn an_address_does_not_wrap(target: Target) {
    let last = geometry(target).address(geometry(target).user_end - 1).expect("the last one");
    let room = usize::MAX - last.bits();
    let sum = |bytes| last.checked_add(bytes).map(VirtAddr::bits);
    assert_eq!(sum(0), Some(last.bits()));
    assert_eq!(sum(room), Some(usize::MAX), "it may lie outside user space");
    assert_eq!((sum(room + 1), sum(usize::MAX)), (None, None));
}

fn a_range_ends_where_user_space_ends(target: Target) {
    let geometry = geometry(target);
    let (end, bits) = (geometry.user_end, geometry.page_bits);
    let outside = |address| Err(AddressError::OutsideUserSpace { address, end });
    assert_eq!(geometry.address(end).map(|_| ()), outside(end));
    assert_eq!(geometry.address(usize::MAX).map(|_| ()), outside(usize::MAX));
    let all = geometry.range(Pages::at(0).count(end / PAGE)).expect("all of it");
    assert_eq!((all.start().bits(), all.end(), all.bytes()), (0, end, end));
    assert_eq!(geometry.range(Pages::at(end - PAGE)).map(|last| last.end()), Ok(end));
    assert_eq!(geometry.range(Pages::at(end - PAGE).count(2)).map(|_| ()), outside(end + PAGE));
    assert_eq!(geometry.range(Pages::at(end)).map(|_| ()), outside(end + PAGE));
    for start in [1, PAGE - 1, PAGE + 1, usize::MAX] {
        let misaligned = Err(AddressError::Misaligned { address: start, bits });
        assert_eq!(geometry.range(Pages::at(start)).map(|_| ()), misaligned);
    }
    let empty = Err(AddressError::Empty { address: PAGE });
    assert_eq!(geometry.range(Pages::at(PAGE).count(0)).map(|_| ()), empty);
    let last = !(PAGE - 1);
    for (start, pages) in [(last, 1), (PAGE, usize::MAX >> bits), (0, usize::MAX), (last, 2)] {
        let wraps = Err(AddressError::Wraps { address: start, pages });
        assert_eq!(
            geometry.range(Pages::at(start).count(pages)).map(|_| ()),
            wraps,
            "{pages} from {start:#x}"
        );
    }
}

fn parts_of_a_range_lie_in_it(target: Target) {
    let geometry = geometry(target);
    let end = geometry.user_end;
    let range = geometry.range(Pages::at(end - 4 * PAGE).count(4)).expect("the last four");
    for (first, pages) in [(0, 0), (4, 1), (0, 5), (usize::MAX, 1), (1, usize::MAX), (2, 3)] {
        assert_eq!(range.part(first, pages), None, "{pages} from {first}");
    }
    assert_eq!(
        range.part(1, 3).map(|part| (part.start().bits(), part.end())),
        Some((end - 3 * PAGE, end))
    );
    let pages = |part: Option<page_tables::PageRange>| part.map(|part| part.pages());
    for (address, left) in [
        (0, Some(4)),
        (end - 4 * PAGE, Some(4)),
        (end - PAGE, Some(1)),
        (end, None),
        (end + PAGE, None),
        (!(PAGE - 1), None),
    ] {
        assert_eq!(pages(range.from(address)), left, "from {address:#x}");
    }
    let other =
        geometry.range(Pages::at(end - 6 * PAGE).count(3)).expect("three, of which one is in it");
    let before = geometry.range(Pages::at(end - 6 * PAGE).count(2)).expect("two just before it");
    assert_eq!(
        (pages(range.intersection(other)), pages(other.intersection(range))),
        (Some(1), Some(1))
    );
    assert_eq!(
        (pages(range.intersection(before)), pages(before.intersection(range))),
        (None, None)
    );
    assert_eq!((range.overlaps(other), other.overlaps(range)), (true, true));
    assert_eq!((range.overlaps(before), before.overlaps(range)), (false, false));
    assert!(range.covers(range) && range.covers(range.part(1, 3).expect("three of four")));
    assert!(!range.covers(other) && !other.covers(range) && !before.covers(other));
    for (address, inside) in [(end - 4 * PAGE, true), (end - 1, true), (end - 4 * PAGE - 1, false)]
    {
        assert_eq!(range.contains(geometry.address(address).expect("user space")), inside);
    }
    assert_eq!(
        format!("{range} {range:?}"),
        format!("{0:#x}..{end:#x} {0:#x}..{end:#x}", end - 4 * PAGE)
    );
}

fn tables_end_with_user_space(target: Target) {
    let geometry = geometry(target);
    let (end, span) = (geometry.user_end, 1 << target.large_bits());
    let deepest = geometry.levels.len() as u8 - 1;
    let last = geometry.address(end - 1).expect("the last one");
    assert_eq!((geometry.table_base(0, last).bits(), geometry.table_end(0, last)), (0, end));
    assert_eq!(geometry.table_end(deepest, last), end);
    let first = geometry.address(span - 1).expect("in the first table");
    assert_eq!(
        (geometry.table_base(deepest, first).bits(), geometry.table_end(deepest, first)),
        (0, span)
    );
    let second = geometry.address(span).expect("in the second table");
    assert_eq!(geometry.table_base(deepest, second).bits(), span);
    let page = geometry.page_of(last);
    assert_eq!((page.start().bits(), page.end()), (end - PAGE, end));
    let range =
        geometry.range(Pages::at(span - 2 * PAGE).count(5 + span / PAGE)).expect("over two ends");
    let parts: Vec<_> =
        geometry.parts(deepest, range).map(|part| (part.start().bits(), part.pages())).collect();
    assert_eq!(parts, [(span - 2 * PAGE, 2), (span, span / PAGE), (2 * span, 3)]);
    let frames: Vec<_> =
        (0..=u8::MAX).filter(|&bits| geometry.level_of_frame(bits).is_some()).collect();
    let sizes = target.architecture().sizes.frame_bits;
    assert!(frames.iter().all(|bits| sizes.contains(bits)), "{frames:?}");
    for pair in frames.windows(2) {
        assert_eq!(geometry.larger_frame(pair[0]), Some(pair[1]));
    }
    assert_eq!(geometry.larger_frame(*frames.last().expect("there is one")), None);
    assert_eq!((frames[0], frames[1]), (12, target.large_bits()));
}

/// A228: the same for words of 32 bits: Arm's short descriptors (a first-level table of 16 KiB with
/// VA[31:20], second-level ones of 1 KiB with [19:12]), and Sv32 (VPN[1], VPN[0]).
#[test]
fn architectures_of_32_bits_are_described_as_their_manuals_do() {
    use vmm::{Architecture, TlsVariant};
    let arm = (Architecture::AARCH32, [(20, 12), (12, 8)], 0xe000_0000, [14, 10], 2);
    let riscv = (Architecture::RISCV32_SV32, [(22, 10), (12, 10)], 0x8000_0000, [12, 12], 0);
    for (architecture, levels, end, tables, words) in [arm, riscv] {
        let Architecture { sizes, geometry, tls } = architecture;
        let found: Vec<_> =
            geometry.levels.iter().map(|level| (level.entry_bits, level.index_bits)).collect();
        assert_eq!(found, levels);
        assert_eq!((geometry.user_end, geometry.fault_end), (end, end));
        assert_eq!([sizes.root_table_bits, sizes.table_bits], tables);
        // Entries have four bytes.
        assert_eq!(levels.map(|(_, index_bits)| index_bits + 2), tables);
        // A large page is what an entry of the root spans.
        assert_eq!(sizes.frame_bits, [12, levels[0].0, 0]);
        assert_eq!(geometry.larger_frame(12), Some(levels[0].0));
        assert!(geometry.has_no_execute && geometry.tells_all_faults());
        assert_eq!((sizes.word_bits, sizes.ipc_buffer_bytes()), (32, 512));
        assert_eq!(tls, TlsVariant::Above { words });
    }
}

/// A228: what is described of aarch64 and riscv64 is what their manuals and the kernel's headers
/// say: which bits of an address each level looks at, root first; where user space ends; the bits
/// of a root's bytes.
#[cfg(target_pointer_width = "64")]
#[test]
fn architectures_without_a_kernel_here_are_described_as_their_manuals_do() {
    use vmm::{Architecture, TlsVariant};
    let all = [
        // VA[47:39], [38:30], [29:21], [20:12] (Arm, 4 KiB granule); seL4_UserTop.
        (Architecture::AARCH64, &[(39, 9), (30, 9), (21, 9), (12, 9)][..], 0x8000_0000_0000, 12),
        (
            Architecture::AARCH64_HYPERVISOR_44,
            &[(39, 9), (30, 9), (21, 9), (12, 9)][..],
            0x1000_0000_0000,
            12,
        ),
        // Two concatenated tables at the first level looked at: IPA[39:30].
        (
            Architecture::AARCH64_HYPERVISOR_40,
            &[(30, 10), (21, 9), (12, 9)][..],
            0x100_0000_0000,
            13,
        ),
        // VPN[2], VPN[1], VPN[0].
        (Architecture::RISCV64_SV39, &[(30, 9), (21, 9), (12, 9)][..], 0x3f_ffff_f000, 12),
    ];
    for (architecture, levels, end, root) in all {
        let Architecture { sizes, geometry, tls } = architecture;
        let found: Vec<_> =
            geometry.levels.iter().map(|level| (level.entry_bits, level.index_bits)).collect();
        assert_eq!(found, levels);
        assert_eq!((geometry.user_end, geometry.fault_end), (end, end));
        assert_eq!((sizes.root_table_bits, usize::from(sizes.table_levels)), (root, levels.len()));
        // Blocks and pages of 1 GiB, 2 MiB and 4 KiB, none of 512 GiB; each can be told not to be
        // run.
        assert_eq!(sizes.frame_bits, [12, 21, 30]);
        assert!(geometry.level_of_frame(30).is_some() && geometry.level_of_frame(39).is_none());
        assert!(geometry.has_no_execute && geometry.tells_all_faults());
        assert_eq!(sizes.ipc_buffer_bytes(), 1024);
        assert_ne!(tls, TlsVariant::Below);
    }
}
