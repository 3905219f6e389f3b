//! Writing the allocator for a person: its untypeds as a tree, and its slots.

use core::fmt;

use crate::allocator::Allocator;
use crate::block::{Block, State};
use crate::chunk::Chunk;
use crate::types::Blueprint;

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
    core::iter::successors(block.parent.get(), |parent| parent.parent.get()).count()
}

impl<'p> Allocator<'p> {
    /// Writes the tree of untypeds: each with its physical address and size in bytes, below it what
    /// it was split into; and of each batch of objects how many are in use, how many are ready to be
    /// handed out, and how many of these are clear. Device memory that is not in use is counted only.
    /// O(untypeds).
    ///
    /// # Errors
    /// What `out` returns.
    pub fn dump_untypeds(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let blocks = &self.blocks;
        writeln!(
            out,
            "untypeds: {} of {} bytes of RAM in no object",
            blocks.free_bytes, blocks.total_bytes
        )?;
        let mut devices = 0;
        for leaf in blocks.leaves() {
            // There are dozens of these, and rarely one is used.
            if leaf.device.get() && leaf.parent.get().is_none() && leaf.state.get() == State::Free {
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
        let (free, capacity) = (self.slots.free, self.slots.capacity);
        let virgin = self.cspace.virgin_slots();
        writeln!(out, "slots: {free} of {capacity} free, {virgin} more not looked at yet")?;
        for window in self.slots.iter() {
            let (base, free) = (window.base.get().bits(), window.free.get());
            let whose =
                if window.cnode.get().is_some() { "a CNode of ours" } else { "the initial CNode" };
            writeln!(out, "  {base:#010x}  {free} of {} free, in {whose}", window.capacity.get())?;
        }
        Ok(())
    }
}

/// The outermost block, at `level` or deeper, that was split and begins where `leaf` does.
fn first_ancestor<'p>(leaf: &'p Block<'p>, level: usize) -> Option<&'p Block<'p>> {
    let begins = |block: &&Block<'_>| block.paddr.get() == leaf.paddr.get();
    let ancestors = core::iter::successors(leaf.parent.get(), |block| block.parent.get());
    ancestors.take_while(|block| begins(block) && depth(block) >= level).last()
}

fn dump_block(block: &Block<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
    for _ in 0..=depth(block) {
        out.write_str("  ")?;
    }
    write!(out, "{:#010x} 2^{} ", block.paddr.get(), block.size_bits.get())?;
    match block.state.get() {
        State::Free if block.device.get() => out.write_str("free")?,
        State::Free if block.dirty.get() => out.write_str("free, to be cleared")?,
        State::Free => out.write_str("free")?,
        State::Split { .. } => out.write_str("split")?,
        State::Used(chunk) => dump_chunk(chunk, out)?,
    }
    writeln!(out, "{}", if block.device.get() { ", device" } else { "" })
}

fn dump_chunk(chunk: &Chunk<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
    let count = usize::from(chunk.count.get());
    let ready = (0..count).filter(|&index| chunk.free.get(index));
    let clear = ready.clone().filter(|&index| chunk.flag.get(index)).count();
    let (live, ready, name) = (chunk.live.get(), ready.count(), Name(chunk.blueprint()));
    write!(out, "{live} of {count} {name} in use, {ready} ready, {clear} of them clear")
}
