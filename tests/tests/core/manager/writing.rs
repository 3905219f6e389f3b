// SPDX-License-Identifier: BSD-2-Clause
//! Writing into the memory of any space, and who sees it.

use vmm::{Error, PageSize, Pages, Placement, RegionOptions, Rights, ShareOptions, TlsImage};
use vmm_tests::support::{already_mapped, in_guard, not_mapped, outside_region};

use super::{FREE, tagged};
use crate::support::{Fixture, PAGE, Target, on_each};

on_each!(
    what_one_side_of_a_clone_is_written_does_not_show_in_the_other,
    variables_of_one_thread_are_no_other_s,
    what_is_shared_shows_what_is_written_everywhere,
    just_the_bytes_given_are_written,
    what_cannot_be_written_is_refused_before_any_of_it_is,
    what_is_zeroed_is_zero_and_nothing_else_changes,
    a_large_page_of_the_managers_own_is_written_and_zeroed_in_part,
    pages_are_mapped_with_their_contents,
    contents_that_cannot_be_mapped_are_refused_and_nothing_is_mapped,
);

/// A9: the clone's clone, too.
fn what_one_side_of_a_clone_is_written_does_not_show_in_the_other(target: Target) {
    for writer in 0..3 {
        let mut host = Fixture::roomy(target);
        let own = host.own();
        let (a, b) = (host.vmm.create_space(), host.vmm.create_space());
        let (a, b) = (a.expect("memory"), b.expect("memory"));
        host.spaces.extend([a, b]);
        let origin = tagged(&mut host, FREE, 3);
        let same_place = RegionOptions::new(3).at(FREE);
        let clone = host.vmm.clone_region(origin, a, same_place.placement()).expect("memory");
        host.vmm.clone_region(clone, b, same_place.placement()).expect("memory");
        let spaces = [own, a, b];
        // The end of one page and the begin of the next.
        host.vmm.write(spaces[writer], FREE + 2 * PAGE - 8, &[0xee; 16]).expect("memory");
        let written = u64::from_le_bytes([0xee; 8]);
        for (number, &space) in spaces.iter().enumerate() {
            let (second, third) =
                (host.words(space, FREE + PAGE), host.words(space, FREE + 2 * PAGE));
            let (last, first) = (second[PAGE / 8 - 1], third[0]);
            let expected = if number == writer { (written, written) } else { (2, 3) };
            assert_eq!((last, first), expected, "space {number}, written by {writer}");
            assert_eq!((second[0], third[PAGE / 8 - 1]), (2, 3), "all else is as it was");
            assert_eq!(host.read(space, FREE), 1);
        }
        host.check();
    }
}

/// A9, A35, A225: thread-local storage is a clone, whose thread pointer is written where the ABI
/// has it.
fn variables_of_one_thread_are_no_other_s(target: Target) {
    let mut host = Fixture::roomy(target);
    let word = target.word_bytes();
    for space in [host.own(), host.vmm.create_space().expect("memory")] {
        let image = TlsImage { init: b"variables", memory_bytes: 5000, align: 16, address: 0 };
        let original = host.vmm.allocate_tls(space, &image, "original").expect("memory");
        let mut all = vec![original];
        all.extend((0..3).map(|_| host.vmm.clone_tls(original).expect("memory")));
        let vspace = host.vmm.vspace(space).expect("a space");
        for tls in &all {
            let pointer = tls.thread_pointer();
            let mut found = vec![0; word];
            host.kernel().read(vspace, pointer, &mut found).expect("it is mapped");
            match target.tls_words() {
                None => assert_eq!(found, pointer.to_le_bytes()[..word], "it points to itself"),
                Some(0) => assert_eq!(found, b"variable", "the first variable"),
                Some(_) => assert_eq!(found, [0; 8], "the ABI's own word"),
            }
        }
        // What the manager writes for one of them is its alone.
        let variables = if target.tls_words().is_none() { -16 } else { 32 };
        let at = |number: usize| all[number].thread_pointer().wrapping_add_signed(variables);
        host.vmm.write(space, at(2), b"third").expect("memory");
        for number in 0..all.len() {
            let mut found = [0; 5];
            host.kernel().read(vspace, at(number), &mut found).expect("it is mapped");
            assert_eq!(&found == b"third", number == 2, "thread {number}");
        }
    }
    host.check();
}

/// A8.
fn what_is_shared_shows_what_is_written_everywhere(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let space = host.vmm.create_space().expect("memory");
    host.spaces.push(space);
    tagged(&mut host, FREE, 2);
    let read = ShareOptions::new().at(FREE).rights(Rights::READ);
    host.vmm.share(own, Pages::at(FREE).count(2), space, &read).expect("room");
    // By the one who may not write, too: rights are threads'.
    host.vmm.write(space, FREE + PAGE, &[0x77; 8]).expect("it is mapped");
    let word = u64::from_le_bytes([0x77; 8]);
    for space in [own, space] {
        assert_eq!(host.words(space, FREE + PAGE)[..2], [word, 2]);
    }
    host.check();
}

fn just_the_bytes_given_are_written(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let space = host.vmm.create_space().expect("memory");
    host.spaces.push(space);
    host.vmm.map(space, &RegionOptions::new(3).at(FREE)).expect("memory");
    let vspace = host.vmm.vspace(space).expect("a space");
    let mut all = vec![0; 3 * PAGE];
    for (at, bytes) in [(0, 1), (5, 3), (PAGE - 1, 2), (PAGE, PAGE), (PAGE + 7, 2 * PAGE - 7)] {
        let data: Vec<u8> = (0..bytes).map(|byte| (byte + at) as u8 | 1).collect();
        host.vmm.write(space, FREE + at, &data).expect("it is mapped");
        all[at..at + bytes].copy_from_slice(&data);
        let mut found = vec![0; 3 * PAGE];
        host.kernel().read(vspace, FREE, &mut found).expect("it is mapped");
        assert!(found == all, "{bytes} bytes at {at}");
    }
    let calls = host.vmm.kernel_calls();
    host.vmm.write(space, 0, &[]).expect("nothing is written");
    assert_eq!(host.vmm.kernel_calls().since(&calls).total(), 0);
    assert_eq!(host.mappings(own).len(), 0, "nothing is left in the manager's own space");
    host.check();
}

/// A11.
fn what_cannot_be_written_is_refused_before_any_of_it_is(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    tagged(&mut host, FREE, 2);
    host.vmm.reserve(own, &RegionOptions::new(2).at(FREE + 3 * PAGE)).expect("room");
    host.vmm.populate(own, Pages::at(FREE + 3 * PAGE)).expect("memory");
    let hole = not_mapped(FREE + 4 * PAGE);
    host.refuses(hole, |vmm| vmm.write(own, FREE + 4 * PAGE - 1, &[1, 1]));
    let last = outside_region(usize::MAX);
    host.refuses(last, |vmm| vmm.write(own, usize::MAX, &[1]));
    let outside = host.vmm.write(own, FREE + 2 * PAGE - 1, &[1, 1]).expect_err("it is too long");
    assert!(matches!(outside, Error::OutsideRegion { .. }), "{outside:?}");
    assert_eq!((host.read(own, FREE + PAGE), host.read(own, FREE + 3 * PAGE)), (2, 0));
    host.check();
}

/// A288: in another space and in a store, over the ends of pages; of a clone, one side alone.
fn what_is_zeroed_is_zero_and_nothing_else_changes(target: Target) {
    for is_store in [false, true] {
        let mut host = Fixture::small(target);
        let space = match is_store {
            true => host.vmm.create_store(),
            false => host.vmm.create_space(),
        };
        let space = space.expect("memory");
        host.spaces.push(space);
        host.vmm.map(space, &RegionOptions::new(3).at(FREE)).expect("memory");
        let mut all = vec![7; 3 * PAGE];
        host.vmm.write(space, FREE, &all).expect("it is mapped");
        for (at, bytes) in [(1, 1), (5, 3), (PAGE - 1, 2), (PAGE + 7, PAGE), (3 * PAGE - 1, 1)] {
            host.vmm.zero(space, FREE + at, bytes).expect("it is mapped");
            all[at..at + bytes].fill(0);
            let mut found = vec![1; 3 * PAGE];
            host.vmm.read(space, FREE, &mut found).expect("it is mapped");
            assert!(found == all, "{bytes} bytes at {at}");
        }
        host.vmm.zero(space, 0, 0).expect("nothing is zeroed");
        let beyond = host.vmm.zero(space, FREE + 3 * PAGE - 1, 2).expect_err("it is too long");
        assert!(matches!(beyond, Error::OutsideRegion { .. }), "{beyond:?}");
        let wraps = host.vmm.zero(space, usize::MAX, 2).expect_err("it is too long");
        assert!(matches!(wraps, Error::OutsideRegion { .. }), "{wraps:?}");
        host.check();
    }
    // The other side of a clone keeps what it had.
    let mut host = Fixture::roomy(target);
    let (own, other) = (host.own(), host.vmm.create_space().expect("memory"));
    host.spaces.push(other);
    let origin = tagged(&mut host, FREE, 2);
    host.vmm.clone_region(origin, other, Placement::at(FREE)).expect("memory");
    host.vmm.zero(own, FREE, 2 * PAGE).expect("memory");
    assert_eq!((host.words(own, FREE)[0], host.words(other, FREE)[0]), (0, 1));
    assert_eq!((host.words(own, FREE + PAGE)[0], host.words(other, FREE + PAGE)[0]), (0, 2));
    host.check();
}

/// A288: without a kernel call; not in another space, nor what can be read alone, nor beyond it.
fn a_large_page_of_the_managers_own_is_written_and_zeroed_in_part(target: Target) {
    let mut host = Fixture::roomy(target);
    let geometry = *host.vmm.geometry();
    let Some(bits) = geometry.larger_frame(geometry.page_bits) else { return };
    let (own, other) = (host.own(), host.vmm.create_space().expect("memory"));
    host.spaces.push(other);
    let bytes = 1 << bits;
    let options = RegionOptions::new(2 * bytes / PAGE).page_size(PageSize::Large { bits });
    let start = host.vmm.map(own, &options).expect("memory").start().bits();
    let vspace = host.vmm.vspace(own).expect("a space");
    let see = |host: &Fixture<'_>, at: usize| {
        let mut found = [1; 4];
        host.kernel().read(vspace, at, &mut found).expect("it is mapped");
        found
    };
    let calls = host.vmm.kernel_calls();
    host.vmm.write(own, start + bytes - 4, &[5; 4]).expect("it can be written");
    host.vmm.write(own, start + bytes, &[6; 4]).expect("it can be written");
    host.vmm.write(own, start + 3 * PAGE - 2, &[7; 4]).expect("it can be written");
    host.vmm.zero(own, start + bytes - 3, 2).expect("it can be written");
    host.vmm.zero(own, start + 3 * PAGE, bytes / 2).expect("it can be written");
    assert_eq!(host.vmm.kernel_calls().since(&calls).total(), 0);
    assert_eq!(see(&host, start + bytes - 4), [5, 0, 0, 5]);
    assert_eq!(see(&host, start + bytes), [6; 4]);
    assert_eq!(see(&host, start + 3 * PAGE - 2), [7, 7, 0, 0]);
    let pages = Pages::at(start).count(bytes / PAGE);
    let aligned = ShareOptions::new().aligned(bits);
    let shared = host.vmm.share(own, pages, other, &aligned).expect("memory");
    let theirs = shared.start().bits();
    let refused = [
        // Over the line between two of them.
        (own, start + bytes - 1),
        (other, theirs),
    ];
    for (space, at) in refused {
        for zero in [false, true] {
            let done = match zero {
                true => host.vmm.zero(space, at, 2),
                false => host.vmm.write(space, at, &[9; 2]),
            };
            assert!(matches!(done, Err(Error::LargePage { .. })), "{done:?}");
        }
    }
    host.vmm.protect(own, pages, Rights::READ).expect("it is mapped");
    let done = host.vmm.zero(own, start, 2);
    assert!(matches!(done, Err(Error::LargePage { .. })), "{done:?}");
    host.check();
}

/// A106: on fresh frames and on used ones, whole pages and parts, at three calls a page.
fn pages_are_mapped_with_their_contents(target: Target) {
    let mut host = Fixture::roomy(target);
    let (own, space) = (host.own(), host.vmm.create_space().expect("memory"));
    host.spaces.push(space);
    // A page keeps the tables of both spaces in use, and all frames of a batch become dirty.
    for space in [own, space] {
        let beside = RegionOptions::new(1).at(FREE + 32 * PAGE);
        host.vmm.map(space, &beside).expect("memory");
    }
    let text: Vec<u8> = (0..3 * PAGE).map(|byte| 1 + (byte % 251) as u8).collect();
    for _ in 0..3 {
        for (space, skipped, count) in
            [(own, 0, 3 * PAGE), (space, 1, 2 * PAGE), (own, PAGE - 1, 2), (space, 40, 1)]
        {
            let options = RegionOptions::new(4).at(FREE).rights(Rights::READ);
            let region = host.vmm.reserve(space, &options).expect("room");
            let pages = (skipped + count).div_ceil(PAGE);
            let taken = host.vmm.stats().allocator;
            let before = host.vmm.kernel_calls();
            host.vmm.populate_from(space, FREE + skipped, &text[..count]).expect("memory");
            let calls = host.vmm.kernel_calls().since(&before);
            if taken.ready_bytes >= pages * PAGE {
                assert_eq!(calls.total(), 3 * pages as u64, "{skipped} and {count}");
            }
            let vspace = host.vmm.vspace(space).expect("a space");
            let mut there = vec![9; pages * PAGE];
            host.kernel().read(vspace, FREE, &mut there).expect("they are mapped");
            assert!(there[..skipped].iter().all(|&byte| byte == 0));
            assert_eq!(there[skipped..skipped + count], text[..count]);
            assert!(there[skipped + count..].iter().all(|&byte| byte == 0));
            assert_eq!(host.mappings(space).len(), 1 + pages, "no page besides");
            assert!(host.kernel().write(vspace, FREE, b"a").is_err(), "it may be read alone");
            host.check();
            host.vmm.release(region).expect("a region");
        }
        // All of what comes next was used.
        let used = host.vmm.map(own, &RegionOptions::new(16).at(FREE)).expect("memory");
        let vspace = host.vmm.vspace(own).expect("a space");
        host.kernel().write(vspace, FREE, &[0xee; 16 * PAGE]).expect("memory");
        host.vmm.release(used).expect("a region");
    }
    // Without bytes nothing is mapped, and nothing asked of the kernel.
    let before = host.vmm.kernel_calls();
    host.vmm.populate_from(own, FREE, &[]).expect("nothing");
    assert_eq!(host.vmm.kernel_calls().since(&before).total(), 0);
}

/// A106.
fn contents_that_cannot_be_mapped_are_refused_and_nothing_is_mapped(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let options = RegionOptions::new(4).at(FREE).guarded(1, 1);
    host.vmm.reserve(own, &options).expect("room");
    host.vmm.populate(own, Pages::at(FREE + 2 * PAGE)).expect("memory");
    let mut refused = |error: Error, start: usize, bytes: usize| {
        host.refuses(error, |vmm| vmm.populate_from(own, start, &vec![1; bytes]));
    };
    let mapped = already_mapped(FREE + 2 * PAGE);
    refused(mapped, FREE + PAGE, PAGE + 1);
    refused(mapped, FREE + 2 * PAGE + 7, 1);
    refused(in_guard(FREE - PAGE), FREE - 1, 2);
    refused(in_guard(FREE + 4 * PAGE), FREE + 4 * PAGE - 1, 2);
    refused(outside_region(FREE + 64 * PAGE), FREE + 64 * PAGE + 5, 1);
    refused(outside_region(usize::MAX - 1), usize::MAX - 1, 3);
    let gone = host.vmm.create_space().expect("memory");
    host.vmm.destroy_space(gone).expect("a space");
    host.refuses(Error::NoSuchSpace(gone), |vmm| vmm.populate_from(gone, FREE, &[]));
    host.check();
}
