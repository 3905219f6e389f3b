// SPDX-License-Identifier: BSD-2-Clause
//! The layout of the CSpace against a walk from CNode to CNode, as the kernel resolves a CPtr.

use std::collections::BTreeSet;
use std::vec::Vec;

use super::std;
use crate::state::{CSpace, Growth, WINDOW_SLOTS};
use crate::types::{CPtr, CSpaceInfo, CapPath, Object};

const ROOT: CPtr = CPtr::new(2);
const GUARDED: CPtr = CPtr::new(77);

/// Word sizes and radixes of the initial CNode: smaller than a window, just one, and larger.
const SHAPES: [(u8, u8); 6] = [(32, 9), (32, 12), (32, 16), (64, 11), (64, 12), (64, 19)];

/// Those whose words this host has.
fn shapes() -> impl Iterator<Item = (u8, u8)> {
    SHAPES.into_iter().filter(|&(word_bits, _)| u32::from(word_bits) <= usize::BITS)
}

fn cspace(word_bits: u8, radix_bits: u8, first_free: usize, end_free: usize) -> CSpace {
    let (tcb, vspace) = (CPtr::new(1), CPtr::new(3));
    let info = CSpaceInfo { root: ROOT, radix_bits, first_free, end_free, tcb, vspace };
    CSpace::new(info, word_bits)
}

/// Pages of memory, some 2.3 GiB.
const PAGES: usize = 600_000;

/// One that has grown, for so many pages of memory.
fn grown_for(pages: usize, word_bits: u8, radix_bits: u8) -> (CSpace, Growth) {
    let mut cspace = cspace(word_bits, radix_bits, 100, 1 << radix_bits);
    cspace.fit_root(pages);
    let growth = Growth { object: Object::new(CPtr::new(70), 1), guarded: GUARDED };
    cspace.set_growth(growth);
    (cspace, growth)
}

fn grown(word_bits: u8, radix_bits: u8) -> (CSpace, Growth) {
    grown_for(PAGES, word_bits, radix_bits)
}

/// Logarithm of the root's slots: four slots for each page are 586 CNodes.
fn root_radix(word_bits: u8) -> u8 {
    match word_bits {
        64 => 10,
        _ => 8,
    }
}

#[test]
#[cfg_attr(miri, ignore = "numbers alone")]
fn a_root_fits_the_memory_that_there_was_when_it_was_made() {
    let mib = |mib: usize| mib << 8;
    let all = [(0, 8), (mib(16), 8), (mib(1000), 8), (mib(3000), 10), (mib(16_000), 12)];
    // The initial CNode has a place, too.
    let edges = [(mib(1024) - 1024, 8), (mib(1024), 9), (mib(900_000), 12), (usize::MAX, 12)];
    for (pages, wide) in all.into_iter().chain(edges) {
        for (word_bits, radix, most) in [(32, 8, 8), (64, wide, 12)] {
            if u32::from(word_bits) > usize::BITS {
                continue;
            }
            let (mut cspace, growth) = grown_for(pages, word_bits, 12);
            assert_eq!(cspace.root_radix(), radix, "{pages} pages");
            // That there is more changes the next one.
            cspace.fit_root(usize::MAX);
            assert_eq!(cspace.root_radix(), radix);
            cspace.remove_growth();
            assert_eq!(cspace.root_radix(), most);
            cspace.set_growth(growth);
            assert_eq!(cspace.root_radix(), most);
        }
    }
}

/// Takes `bits` bits off the top of an address of which `left` are still to be resolved.
fn resolve(address: usize, left: &mut u8, bits: u8) -> usize {
    *left -= bits;
    (address >> *left) & ((1 << bits) - 1)
}

/// Where a CPtr leads in the grown CSpace: slot of the root, and slot of the CNode there.
fn walk(cspace: &CSpace, cptr: CPtr, word_bits: u8, radix_bits: u8) -> (usize, usize) {
    let (address, mut left) = (cptr.bits(), word_bits);
    assert_eq!(resolve(address, &mut left, cspace.root_guard_bits()), 0, "the root's guard");
    let mount = resolve(address, &mut left, root_radix(word_bits));
    let (guard_bits, radix) = match mount {
        0 => (cspace.initial_guard_bits(), radix_bits),
        _ => (cspace.node_guard_bits(), 12),
    };
    assert_eq!(resolve(address, &mut left, guard_bits), 0, "the guard at {mount}");
    let slot = resolve(address, &mut left, radix);
    assert_eq!(left, 0, "every bit is resolved");
    (mount, slot)
}

#[test]
#[cfg_attr(miri, ignore = "numbers alone")]
fn every_pointer_leads_to_its_slot_in_the_grown_cspace() {
    for (word_bits, radix_bits) in shapes() {
        let (cspace, growth) = grown(word_bits, radix_bits);
        let last = (1 << radix_bits) - 1;
        for slot in [0, 1, 255, 256, last] {
            // A pointer of before.
            let at = CPtr::new(slot);
            assert_eq!(walk(&cspace, at, word_bits, radix_bits), (0, slot));
            let root = CapPath { root: ROOT, index: slot, depth: word_bits };
            assert_eq!(cspace.path(at), root, "the old root is the shorter way");
            assert_eq!(cspace.node(at), (CapPath { root: ROOT, index: 0, depth: 0 }, slot));
        }
        let most = (1 << root_radix(word_bits)) - 1;
        for mount in [1, 2, 127, 255, most] {
            for slot in [0, 1, 2048, 4095] {
                let at = cspace.mount_base(mount).offset(slot);
                assert_eq!(walk(&cspace, at, word_bits, radix_bits), (mount, slot));
                assert_eq!(cspace.mount_of(at), mount);
                let whole = CapPath { root: GUARDED, index: at.bits(), depth: word_bits };
                assert_eq!(cspace.path(at), whole);
                let (node, offset) = cspace.node(at);
                // As far as the CNode's capability lies in the root, and no further.
                let depth = cspace.root_guard_bits() + root_radix(word_bits);
                assert_eq!((node, offset), (CapPath { root: GUARDED, index: mount, depth }, slot));
                assert_eq!(cspace.mount_path(growth, mount), node);
            }
        }
        assert_eq!(cspace.root(), GUARDED);
    }
}

#[test]
#[cfg_attr(miri, ignore = "numbers alone")]
fn before_it_has_grown_the_initial_cnode_is_named() {
    for (word_bits, radix_bits) in shapes() {
        let cspace = cspace(word_bits, radix_bits, 100, 200);
        let at = CPtr::new((1 << radix_bits) - 1);
        assert_eq!(cspace.path(at), CapPath { root: ROOT, index: at.bits(), depth: word_bits });
        assert_eq!(cspace.node(at), (CapPath { root: ROOT, index: 0, depth: 0 }, at.bits()));
        assert!(cspace.root() == ROOT && cspace.growth().is_none());
    }
}

#[test]
#[cfg_attr(miri, ignore = "numbers alone")]
fn windows_of_the_initial_cnode_tile_its_free_slots() {
    let ends = [1, 100, 4095, 4096, 4097, 8191, 8192, 12_000, 16_384];
    for first in [0, 1, 99, 4095, 4096, 4097, 9000] {
        for end in ends.into_iter().filter(|&end| end >= first) {
            let (mut cspace, mut opened) = (cspace(32, 14, first, end), Vec::new());
            while let Some(window) = cspace.unopened_window() {
                assert_eq!(cspace.unopened_slots(), end - first - opened.len());
                assert!(window.from < window.to && window.base % WINDOW_SLOTS == 0);
                assert!(window.base <= window.from && window.to <= window.base + WINDOW_SLOTS);
                opened.extend(window.from..window.to);
                cspace.set_opened(window.to);
            }
            assert!(opened.into_iter().eq(first..end), "{first}..{end}");
            assert_eq!(cspace.unopened_slots(), 0);
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "numbers alone")]
fn mounts_agree_with_the_set_of_taken_ones() {
    for (word_bits, steps) in [(32, 2000), (64, 20_000)] {
        if u32::from(word_bits) <= usize::BITS {
            check_mounts(word_bits, steps);
        }
    }
}

fn check_mounts(word_bits: u8, steps: usize) {
    let (mut cspace, _) = grown(word_bits, 12);
    let all = 1 << root_radix(word_bits);
    let (mut taken, mut seed, mut most) = (BTreeSet::from([0]), 1u32, 0);
    for _ in 0..steps {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let lowest = (0..all).find(|mount| !taken.contains(mount));
        most = most.max(taken.len());
        assert_eq!(cspace.free_mount(), lowest);
        assert_eq!(cspace.free_mounts(), all - taken.len());
        match lowest.filter(|_| seed >> 30 != 0) {
            Some(mount) => {
                cspace.insert_mount(mount);
                taken.insert(mount);
            }
            None => {
                let mount = 1 + (seed >> 8) as usize % (all - 1);
                cspace.remove_mount(mount);
                taken.remove(&mount);
            }
        }
    }
    assert_eq!(most, all, "all were taken at a time");
}
