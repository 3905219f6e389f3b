// SPDX-License-Identifier: BSD-2-Clause
//! The allocator as text for a person: its untypeds as a tree, and its slots.

use core::fmt;

use crate::allocator::Allocator;
use crate::state::Chunk;
use crate::state::{Block, BlockState};
use crate::types::{Blueprint, Mobility, ObjectState};

/// What a chunk's objects are, as people call them.
struct Name(Blueprint);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Blueprint::Untyped { size_bits } => write!(f, "untypeds of 2^{size_bits}"),
            Blueprint::Tcb => f.write_str("threads"),
            Blueprint::Endpoint => f.write_str("endpoints"),
            Blueprint::Notification => f.write_str("notifications"),
            Blueprint::CNode { radix_bits } => write!(f, "CNodes of 2^{radix_bits} slots"),
            Blueprint::Frame { size_bits } => write!(f, "frames of 2^{size_bits}"),
            Blueprint::Table { level: 0 } => f.write_str("VSpace roots"),
            Blueprint::Table { level } => write!(f, "page tables of level {level}"),
        }
    }
}

/// In how many blocks a block lies.
fn depth(block: &Block<'_>) -> usize {
    core::iter::successors(block.parent(), |parent| parent.parent()).count()
}

impl<'p> Allocator<'p> {
    /// Writes the tree of untypeds: each with its physical address and size in bytes, below it the
    /// untypeds that it was split into; and of each chunk how many objects are in use, how many are
    /// ready to be allocated, and how many of these are clear. Device memory that is not in use is
    /// counted only. O(untypeds).
    ///
    /// # Errors
    /// What `out` returns.
    pub fn dump_untypeds(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let blocks = &self.blocks;
        writeln!(
            out,
            "untypeds: {} of {} bytes of RAM in no object",
            blocks.free_bytes(),
            blocks.total_bytes()
        )?;
        let mut devices = 0;
        for leaf in blocks.leaves() {
            // There are dozens of these, and rarely one is used.
            if leaf.is_device() && leaf.parent().is_none() && leaf.state() == BlockState::Free {
                devices += 1;
                continue;
            }
            // A split block is told before the leaf that begins where it does.
            let mut level = 0;
            while let Some(above) = first_ancestor(leaf, level) {
                dump_block(above, out)?;
                level = depth(above) + 1;
            }
            dump_block(leaf, out)?;
        }
        writeln!(out, "  and {devices} untypeds of device memory that is not in use")
    }

    /// Writes the capability slots: those free, by window.
    ///
    /// # Errors
    /// What `out` returns.
    pub fn dump_slots(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let (free, capacity) = (self.slots.free_count(), self.slots.capacity());
        let unopened = self.cspace.unopened_slots();
        writeln!(out, "slots: {free} of {capacity} free, {unopened} more not looked at yet")?;
        for window in self.slots.iter() {
            let (base, free) = (window.base().bits(), window.free_count());
            let whose =
                if window.cnode().is_some() { "a CNode of ours" } else { "the initial CNode" };
            writeln!(out, "  {base:#010x}  {free} of {} free, in {whose}", window.capacity())?;
        }
        Ok(())
    }
}

/// The outermost block, at `level` or deeper, that was split and begins where `leaf` does.
fn first_ancestor<'p>(leaf: &'p Block<'p>, level: usize) -> Option<&'p Block<'p>> {
    let begins = |block: &&Block<'_>| block.paddr() == leaf.paddr();
    let ancestors = core::iter::successors(leaf.parent(), |block| block.parent());
    ancestors.take_while(|block| begins(block) && depth(block) >= level).last()
}

fn dump_block(block: &Block<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
    for _ in 0..=depth(block) {
        out.write_str("  ")?;
    }
    write!(out, "{:#010x} 2^{} ", block.paddr(), block.size_bits())?;
    match block.state() {
        BlockState::Free if block.is_device() => out.write_str("free")?,
        BlockState::Free if block.is_dirty() => out.write_str("free, to be cleared")?,
        BlockState::Free => out.write_str("free")?,
        BlockState::Clearing => out.write_str("being cleared")?,
        BlockState::Split { .. } => out.write_str("split")?,
        BlockState::Used(chunk) => dump_chunk(chunk, out)?,
    }
    writeln!(out, "{}", if block.is_device() { ", device" } else { "" })
}

fn dump_chunk(chunk: &Chunk<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
    let count = chunk.count();
    let zeroed = ObjectState::Ready { clean: true };
    let clear = (0..count).filter(|&index| chunk.state(index) == zeroed).count();
    let (live, ready, name) = (chunk.live(), chunk.ready(), Name(chunk.blueprint()));
    write!(out, "{live} of {count} {name} in use, {ready} ready, {clear} of them clear")?;
    match chunk.mobility() {
        Some(Mobility::Movable) => out.write_str(", movable"),
        Some(Mobility::Fixed) => Ok(()),
        None => out.write_str(", some movable"),
    }
}
