// SPDX-License-Identifier: BSD-2-Clause
//! Fragmentation on purpose: every second block is freed, then big ones are asked for.

use alloc::vec::Vec;
use roottask::arch::LARGE_BITS;

use roottask::Outcome;
use vmm::{Blueprint, Object, PageSize, RegionOptions};

use crate::engine::Stress;
use crate::measure::Kind;

/// The most blocks.
const MAX_BLOCKS: usize = 256;

/// Blocks of one size, half of them freed, big ones between.
pub fn run(stress: &mut Stress) -> Outcome {
    let size_bits = stress.random.within(12, 17) as u8;
    let mut blocks = allocate(stress, size_bits)?;
    for kept in [2, 4] {
        let mut rest = Vec::new();
        for (index, block) in blocks.into_iter().enumerate() {
            match index % 2 {
                0 => stress.must(Kind::Free, |vmm| vmm.free(block))?,
                _ => rest.push(block),
            }
        }
        blocks = rest;
        ask_for_big_ones(stress, size_bits + kept)?;
    }
    while !blocks.is_empty() {
        let index = stress.random.below(blocks.len());
        let block = blocks.swap_remove(index);
        stress.must(Kind::Free, |vmm| vmm.free(block))?;
    }
    Ok(())
}

fn allocate(stress: &mut Stress, size_bits: u8) -> Outcome<Vec<Object>> {
    let mut blocks = Vec::new();
    let kinds = [Blueprint::Untyped { size_bits }, Blueprint::CNode { radix_bits: size_bits - 4 }];
    let blueprint = kinds[stress.random.below(2)];
    for _ in 0..stress.random.within(8, MAX_BLOCKS) {
        if stress.is_over() {
            break;
        }
        match stress.attempt(Kind::Allocate, |vmm| vmm.allocate(blueprint))? {
            Some(block) => blocks.push(block),
            None => break,
        }
    }
    Ok(blocks)
}

/// Untypeds larger than the holes, and a large page.
fn ask_for_big_ones(stress: &mut Stress, size_bits: u8) -> Outcome {
    let own = stress.expected.own();
    let mut bigs = Vec::new();
    for _ in 0..4 {
        let blueprint = Blueprint::Untyped { size_bits };
        bigs.extend(stress.attempt(Kind::Allocate, |vmm| vmm.allocate(blueprint))?);
    }
    let large = RegionOptions::new(1 << (LARGE_BITS - 12))
        .aligned(LARGE_BITS)
        .page_size(PageSize::Large { bits: LARGE_BITS });
    if let Some(id) = stress.attempt(Kind::MapLarge, |vmm| vmm.map(own, &large))? {
        stress.must(Kind::Release, |vmm| vmm.release(id))?;
    }
    for big in bigs {
        stress.must(Kind::Free, |vmm| vmm.free(big))?;
    }
    Ok(())
}
