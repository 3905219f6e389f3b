// SPDX-License-Identifier: BSD-2-Clause
//! The targets on inputs from a small generator: no fuzzer is needed for these, so other tools
//! (Miri above all) can run them.

/// Deterministic bytes.
fn random(seed: u64) -> impl FnMut() -> u8 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    }
}

/// A deterministic input of `length` bytes.
fn input(seed: u64, length: usize) -> Vec<u8> {
    let mut next = random(seed);
    (0..length).map(|_| next()).collect()
}

/// A deterministic input of mostly heaps over the line between two page tables, as `decode.rs`
/// reads it: they grow and shrink in any order, a `trim` or any other request comes in between, and
/// now and then a kernel call fails.
fn heaps(seed: u64, length: usize) -> Vec<u8> {
    let mut next = random(seed);
    let mut bytes: Vec<u8> = (0..4).map(|_| next()).collect();
    while bytes.len() < length {
        // Any failure, the first space that there is, one of the requests, and what it is of.
        let failing = next() % 32;
        let kind = [50, 52, 52, 52, 54, 54, 54, 33, next()][usize::from(next() % 9)];
        bytes.extend(match failing {
            3 => vec![3, next(), next(), next(), next()],
            _ => vec![0],
        });
        bytes.extend([0, 0, kind]);
        bytes.extend(match kind {
            // How near, and how many pages a touch maps.
            50 => vec![next(), next()],
            // How many, of where, from which page on; by what, in which order, with what other
            // place.
            52 => vec![next(), 1, next(), next(), next(), next(), 0],
            54 => vec![next(), 1, next()],
            33 => vec![0],
            _ => (0..8).map(|_| next()).collect(),
        });
    }
    bytes
}

/// Runs a target on some inputs of so many bytes: fewer under Miri, which takes some thousand times
/// as long.
fn run(target: fn(&[u8]), most: (u64, usize), few: (u64, usize)) {
    run_on(input, target, most, few);
}

fn run_on(
    input: fn(u64, usize) -> Vec<u8>,
    target: fn(&[u8]),
    most: (u64, usize),
    few: (u64, usize),
) {
    let (inputs, length) = if cfg!(miri) { few } else { most };
    (0..inputs).for_each(|seed| target(&input(seed, length)));
}

#[test]
fn addresses() {
    run(crate::addresses::run, (1000, 400), (4, 200));
}

#[test]
fn alloc_ops() {
    run(crate::alloc_ops::run, (200, 300), (1, 30));
}

#[test]
fn slots_state() {
    run(crate::slots_state::run, (100, 300), (1, 40));
}

#[test]
fn state() {
    run(crate::state::run, (300, 400), (4, 120));
}

#[test]
fn vmm_ops() {
    run(crate::vmm_ops::run, (300, 300), (1, 100));
}

#[test]
fn vmm_ops_of_heaps() {
    run_on(heaps, crate::vmm_ops::run, (100, 400), (1, 100));
}

#[test]
fn service_ops() {
    run(crate::service_ops::run, (300, 500), (1, 100));
}

#[test]
fn objects_ops() {
    let target = |data: &[u8]| {
        crate::objects_ops::run(data);
    };
    run(target, (300, 500), (1, 100));
}
