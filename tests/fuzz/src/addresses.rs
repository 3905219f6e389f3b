// SPDX-License-Identifier: BSD-2-Clause
//! Addresses and ranges against the same arithmetic in 128 bits, where nothing wraps.

use page_tables::{AddressError, Geometry, PageRange, Pages, VirtAddr};

use crate::bytes::Bytes;

/// A range as the reference sees it: start and end, in bytes.
type Span = (u128, u128);

fn span(range: PageRange) -> Span {
    let start = range.start().bits() as u128;
    (start, start + (range.pages() as u128) * 4096)
}

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut ranges: Vec<PageRange> = Vec::new();
    let geometry = bytes.pick(&[Geometry::IA32, Geometry::X86_64]);
    let user_end = geometry.user_end as u128;
    while !bytes.is_empty() {
        let (start, pages) = (near(&mut bytes, &geometry), count(&mut bytes));
        check_address(&geometry, start);
        if let Some(range) = check_range(&geometry, start, pages) {
            check_levels(&geometry, range);
            for &other in &ranges {
                check_pair(range, other);
            }
            let first = count(&mut bytes);
            check_part(range, first, count(&mut bytes), user_end);
            ranges.truncate(7);
            ranges.insert(0, range);
        }
    }
}

/// An address: in a dense window, at the end of user space, or anywhere.
fn near(bytes: &mut Bytes<'_>, geometry: &Geometry) -> usize {
    match bytes.below(4) {
        0 => 0x3f_0000 + (bytes.below(64) << 12),
        1 => (geometry.user_end - (8 << 12)).wrapping_add(bytes.below(16) << 12),
        2 => bytes.wild() & !0xfff,
        _ => bytes.wild(),
    }
}

fn count(bytes: &mut Bytes<'_>) -> usize {
    match bytes.below(3) {
        0 => bytes.below(32),
        1 => bytes.wild() >> 12,
        _ => bytes.wild(),
    }
}

fn check_address(geometry: &Geometry, at: usize) {
    let made = geometry.address(at);
    assert_eq!(made.is_ok(), at < geometry.user_end, "{at:#x}");
    let Ok(address) = made else { return };
    for bits in [0, 1, 12, 21, 22, 30, 39] {
        let down = address.align_down(bits).bits();
        assert_eq!(down as u128, at as u128 >> bits << bits, "{at:#x} aligned to {bits}");
        assert_eq!(address.is_aligned(bits), down == at);
    }
    let page = geometry.page_of(address);
    assert!(page.contains(address) && page.pages() == 1);
    for by in [0, 1, usize::MAX - at, usize::MAX] {
        let sum = address.checked_add(by).map(VirtAddr::bits);
        assert_eq!(sum.map(|sum| sum as u128), fits(at as u128 + by as u128));
    }
}

fn fits(value: u128) -> Option<u128> {
    (value <= usize::MAX as u128).then_some(value)
}

fn check_range(geometry: &Geometry, start: usize, pages: usize) -> Option<PageRange> {
    let end = start as u128 + pages as u128 * 4096;
    let made = geometry.range(Pages::at(start).count(pages));
    match made {
        Ok(range) => {
            assert!(start.is_multiple_of(4096) && pages != 0 && end <= geometry.user_end as u128);
            assert_eq!(span(range), (start as u128, end));
            assert_eq!((range.end() as u128, range.bytes() as u128), (end, end - start as u128));
        }
        Err(AddressError::Misaligned { address, bits }) => {
            assert!(address == start && !start.is_multiple_of(1 << bits));
        }
        Err(AddressError::Empty { address }) => assert!(address == start && pages == 0),
        Err(AddressError::Wraps { address, pages: asked }) => {
            assert!(fits(end).is_none() && (address, asked) == (start, pages));
        }
        Err(AddressError::OutsideUserSpace { address, end: user_end }) => {
            assert!(address as u128 == end && end > user_end as u128);
        }
    }
    made.ok()
}

/// Structures of each level cut a range into parts that tile it.
fn check_levels(geometry: &Geometry, range: PageRange) {
    for level in 0..geometry.levels.len() as u8 {
        let bits = geometry.levels[usize::from(level)].span_bits();
        let (at, at_bits) = (range.start(), range.start().bits() as u128);
        let base = if level == 0 { 0 } else { at_bits >> bits << bits };
        assert_eq!(geometry.table_base(level, at).bits() as u128, base);
        let end = if level == 0 { u128::MAX } else { base + (1 << bits) };
        let end = end.min(geometry.user_end as u128);
        assert_eq!(geometry.table_end(level, at) as u128, end);
        if level == 0 {
            continue;
        }
        let mut reached = range.start().bits();
        for part in geometry.parts(level, range).take(64) {
            assert_eq!(part.start().bits(), reached, "parts leave no gap");
            let last = part.end() - 1;
            assert_eq!(reached >> bits, last >> bits, "a part lies in one structure");
            assert!(
                part.end() == range.end() || part.end() % (1 << bits) == 0,
                "as large as can be"
            );
            reached = part.end();
        }
        assert!(reached <= range.end());
    }
    for bits in 0..64 {
        let level = geometry.level_of_frame(bits);
        let expected =
            geometry.levels.iter().position(|level| level.holds_frames && level.entry_bits == bits);
        assert_eq!(level.map(usize::from), expected);
        let larger = geometry.larger_frame(bits);
        assert!(
            larger.is_none_or(|larger| geometry.level_of_frame(larger).is_some() && larger > bits)
        );
    }
}

fn check_pair(a: PageRange, b: PageRange) {
    let ((a0, a1), (b0, b1)) = (span(a), span(b));
    let (start, end) = (a0.max(b0), a1.min(b1));
    assert_eq!(a.overlaps(b), start < end);
    assert_eq!(a.covers(b), a0 <= b0 && b1 <= a1);
    assert_eq!(a.contains(b.start()), a0 <= b0 && b0 < a1);
    assert_eq!(a.intersection(b).map(span), (start < end).then_some((start, end)));
}

fn check_part(range: PageRange, first: usize, pages: usize, user_end: u128) {
    let start = range.start().bits() as u128 + first as u128 * 4096;
    let end = start + pages as u128 * 4096;
    let inside = pages != 0 && end <= span(range).1;
    assert_eq!(range.part(first, pages).map(span), inside.then_some((start, end)));
    assert!(!inside || end <= user_end);
}
