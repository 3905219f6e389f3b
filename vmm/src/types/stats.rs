// SPDX-License-Identifier: BSD-2-Clause
//! Statistics: what the manager and one space have.

use core::fmt;

use untyped_alloc::{CallCounts, Invocation};

/// A snapshot of the manager.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stats {
    /// The allocator: RAM, slots, objects.
    pub allocator: untyped_alloc::Stats,
    /// Kernel calls made so far, by kind.
    pub calls: CallCounts,
    /// Address spaces.
    pub spaces: usize,
    /// Bytes of all book-keeping nodes, of the allocator's too, used and spare.
    pub bookkeeping_bytes: usize,
    /// Bytes of those that are used.
    pub bookkeeping_bytes_used: usize,
    /// Pages of RAM that were mapped for book-keeping, beyond the pool given at boot.
    pub bookkeeping_pages: usize,
    /// Frames of RAM that were taken for that: the mapped ones and a few more.
    pub bookkeeping_frames: usize,
    /// Regions and copies that the kernel would not let go when they were freed, and
    /// frames left behind with them: tried again by [`crate::Vmm::trim`].
    pub quarantined: usize,
    /// Pages that were moved to other frames so far, so that memory became one piece.
    pub moved_pages: u64,
    /// Pages of memory on demand that held nothing but zeros, in large pages that were given up
    /// under pressure, so far.
    pub reclaimed_pages: u64,
    /// Frames that are mapped a second time, in the direct map.
    pub direct_map_frames: usize,
    /// Page tables of the direct map; 0 without one.
    pub direct_map_tables: usize,
    /// Page tables that are mapped but empty, kept to be used again.
    pub kept_tables: usize,
    /// Logarithm of the smallest page's bytes, which is a page table's size too.
    pub page_bits: u8,
}

impl Stats {
    /// Bytes of RAM that nobody uses: in free untypeds, objects that are ready to be handed out,
    /// page tables that are kept empty, what is held back, and what was mapped for book-keeping,
    /// which serves again.
    /// How much of it can be had in pieces of one size, [`crate::Vmm::obtainable`] says.
    pub fn free_bytes(&self) -> usize {
        self.allocator.free_bytes()
            + self.allocator.held_bytes
            + ((self.kept_tables + self.bookkeeping_frames) << self.page_bits)
    }
}

/// For a person, a line for each thing; `READING.md` explains them.
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (memory, live) = (&self.allocator, &self.allocator.live);
        writeln!(f, "memory: {} of {} bytes free", self.free_bytes(), memory.total_bytes)?;
        writeln!(
            f,
            "  in untypeds {}, in objects that are ready {}, in page tables held back {}, in {} \
             empty page tables and {} frames for book-keeping",
            memory.untyped_bytes,
            memory.ready_bytes,
            memory.held_bytes,
            self.kept_tables,
            self.bookkeeping_frames
        )?;
        write!(f, "  free untypeds:")?;
        let mut sizes = memory.free_by_size.iter().enumerate().filter(|(_, &count)| count != 0);
        sizes.try_for_each(|(bits, count)| write!(f, " {count}x2^{bits}"))?;
        let (whole, thousandths) = (memory.largest_free_bytes, memory.fragmentation_permille());
        writeln!(f, "; the largest has {whole} bytes, fragmentation {thousandths}/1000")?;
        writeln!(
            f,
            "  clean {}, being cleared {}; {} of the ready objects' bytes are dirty",
            memory.clean_bytes, memory.clearing_bytes, memory.dirty_ready_bytes
        )?;
        write!(
            f,
            "  {} bytes cleared by retyping, at the most; {} bytes of device memory",
            memory.cleared_bytes, memory.device_bytes
        )?;
        match memory.left_out_bytes {
            0 => writeln!(f)?,
            bytes => writeln!(f, ", and {bytes} that are left out: not aligned to their size")?,
        }
        let frames = live.frames;
        writeln!(
            f,
            "in use: frames {}+{}+{}, page tables {}, VSpaces {}, CNodes {}, threads {}, \
             endpoints {}, notifications {}, untypeds {}",
            frames[0],
            frames[1],
            frames[2],
            live.tables,
            live.vspaces,
            live.cnodes,
            live.tcbs,
            live.endpoints,
            live.notifications,
            live.untypeds
        )?;
        writeln!(f, "spaces: {}; slots: {} free", self.spaces, memory.free_slots)?;
        writeln!(
            f,
            "book-keeping: {} of {} bytes of nodes in use, {} pages mapped for them",
            self.bookkeeping_bytes_used, self.bookkeeping_bytes, self.bookkeeping_pages
        )?;
        if self.direct_map_tables != 0 {
            let (frames, tables) = (self.direct_map_frames, self.direct_map_tables);
            writeln!(f, "direct map: {frames} frames, {tables} page tables")?;
        }
        let quarantined = self.quarantined + memory.quarantined;
        writeln!(f, "quarantine: {quarantined}")?;
        write!(f, "kernel calls: {}:", self.calls.total())?;
        let made = Invocation::ALL.iter().map(|&kind| (kind, self.calls.of(kind)));
        let mut made = made.filter(|&(_, count)| count != 0);
        made.try_for_each(|(kind, count)| write!(f, " {kind:?} {count}"))?;
        writeln!(f)
    }
}

/// A snapshot of one space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpaceStats {
    /// Pages of the smallest size that are mapped.
    pub mapped_pages: usize,
    /// Regions and edges of reservations, the null page included.
    pub regions: usize,
    /// Extents of frames.
    pub extents: usize,
    /// Paging structures below the root, empty ones included.
    pub tables: usize,
    /// Empty ones.
    pub empty_tables: usize,
    /// Pages of the largest hole.
    pub largest_hole: usize,
}

/// The figures of an address space that are known without counting.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SpaceSummary {
    /// Pages of the smallest size that are mapped.
    pub mapped_pages: usize,
    /// Regions and edges of reservations, the null page included.
    pub regions: usize,
    /// Paging structures below the root, empty ones included.
    pub tables: usize,
    /// Pages of the largest hole.
    pub largest_hole: usize,
}
