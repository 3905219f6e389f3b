// SPDX-License-Identifier: BSD-2-Clause
//! Mapping: rules from `src/arch/x86/kernel/vspace.c`.
//!
//! A mapping is in two places: in an entry of a table, and in what the frame's capability
//! remembers. The kernel keeps them apart, and so does the model: a table unmapped takes entries
//! away that capabilities still remember, and a remap writes an entry wherever the capability
//! remembers to be, occupied by another frame or not.

use untyped_alloc::kernel::{CPtr, CachePolicy, KernelError, KernelResult, Rights};

use super::kernel::ModelKernel;
use super::state::arch::mask;
use super::state::cap::{Cap, Place, VmRights};
use super::state::tables::Entry;

impl ModelKernel<'_> {
    /// The VSpace root that `cap` stands for and its ASID, checked the way mapping calls do it:
    /// the right kind of capability, an ASID that names something, and names this VSpace.
    fn live_root(&self, cap: Cap) -> KernelResult<(usize, usize)> {
        let (root, asid) = Self::root_of(cap)?;
        self.must_name(asid, root)?;
        Ok((root, asid))
    }

    /// `isValidNativeRoot`.
    fn root_of(cap: Cap) -> KernelResult<(usize, usize)> {
        match cap {
            Cap::Table { base, level: 0, mapped: Some(place) } => Ok((base, place.asid)),
            _ => Err(KernelError::InvalidCapability),
        }
    }

    fn must_name(&self, asid: usize, root: usize) -> KernelResult {
        match self.asids.root(asid) {
            None => Err(KernelError::FailedLookup),
            Some(named) if named != root => Err(KernelError::InvalidCapability),
            Some(_) => Ok(()),
        }
    }

    /// `X86PageMap`.
    ///
    /// The end of the range is computed in a word and may wrap to 0, so that the last frame of the
    /// address space passes the check. Its entry then lies in the kernel's own table.
    pub(super) fn map_page(
        &mut self,
        frame: CPtr,
        vspace: CPtr,
        vaddr: usize,
        rights: Rights,
        cache: CachePolicy,
    ) -> KernelResult {
        let slot = self.invoked(frame);
        let vspace = self.invoked(vspace);
        let Cap::Frame { base, size_bits, rights: most, device, mapped } = self.cap_in(slot) else {
            return self.refuse_label(slot, 3);
        };
        if mapped.is_some() {
            return Err(KernelError::InvalidCapability);
        }
        let (root, asid) = self.live_root(self.cap_in(vspace))?;
        if vaddr.wrapping_add(1 << size_bits) & self.arch.word_mask() > self.arch.user_top {
            return Err(KernelError::InvalidArgument);
        }
        if vaddr & mask(size_bits) != 0 {
            return Err(KernelError::AlignmentError);
        }
        let level = self.arch.frame_level(size_bits);
        let (table, index) = self.entry_for(root, level, vaddr)?;
        if self.entry(level, table, index) != Entry::Empty {
            return Err(KernelError::DeleteFirst);
        }
        self.tables.set(table, index, self.page_entry(base, size_bits, (most, rights), cache));
        let mapped = Some(Place { asid, vaddr });
        self.slots.get_mut(slot).cap = Cap::Frame { base, size_bits, rights: most, device, mapped };
        Ok(())
    }

    /// `X86PageRemap`. It has no address: the frame stays where its capability remembers it.
    ///
    /// An entry of a last-level table is written whatever is in it. So a frame whose table was
    /// unmapped, and another mapped in its place, appears there at its remap. And the old
    /// translation is not flushed: see [`ModelKernel::stale_translations`].
    pub(super) fn remap_page(
        &mut self,
        frame: CPtr,
        vspace: CPtr,
        rights: Rights,
        cache: CachePolicy,
    ) -> KernelResult {
        let slot = self.invoked(frame);
        let vspace = self.invoked(vspace);
        let Cap::Frame { base, size_bits, rights: most, mapped, .. } = self.cap_in(slot) else {
            return self.refuse_label(slot, 2);
        };
        let place = mapped.ok_or(KernelError::IllegalOperation)?;
        let (root, asid) = Self::root_of(self.cap_in(vspace))?;
        if place.asid != asid {
            return Err(KernelError::InvalidCapability);
        }
        self.must_name(asid, root)?;
        let level = self.arch.frame_level(size_bits);
        let (table, index) = self.entry_for(root, level, place.vaddr)?;
        if matches!(self.entry(level, table, index), Entry::Table(_)) {
            return Err(KernelError::DeleteFirst);
        }
        let new = self.page_entry(base, size_bits, (most, rights), cache);
        self.note_stale(root, place.vaddr, new);
        self.tables.set(table, index, new);
        Ok(())
    }

    /// `X86PageUnmap`. The kernel leaves a call on a frame that is not mapped without a reply of
    /// its own: it succeeds, but the caller finds its own message tag where the answer should be.
    pub(super) fn unmap_page(&mut self, frame: CPtr) -> KernelResult {
        let slot = self.invoked(frame);
        let Cap::Frame { base, size_bits, rights, device, mapped } = self.cap_in(slot) else {
            return self.refuse_label(slot, 0);
        };
        if let Some(place) = mapped {
            self.unmap_frame(base, size_bits, place);
            self.slots.get_mut(slot).cap =
                Cap::Frame { base, size_bits, rights, device, mapped: None };
        }
        Ok(())
    }

    /// `X86PageGetAddress`.
    pub(super) fn page_address(&mut self, frame: CPtr) -> KernelResult<usize> {
        let slot = self.invoked(frame);
        match self.cap_in(slot) {
            Cap::Frame { base, .. } => Ok(base),
            _ => self.refuse_label(slot, 0).map(|()| 0),
        }
    }

    /// `X86PageTableMap` and, on x86_64, `X86PageDirectoryMap` and `X86PDPTMap`. Only the last
    /// level's checks that the ASID names the VSpace, and only after the address.
    pub(super) fn map_table(
        &mut self,
        table: CPtr,
        level: u8,
        vspace: CPtr,
        vaddr: usize,
    ) -> KernelResult {
        let slot = self.invoked(table);
        let vspace = self.invoked(vspace);
        let (base, mapped) = match self.cap_in(slot) {
            Cap::Table { base, level: l, mapped } if l == level && l > 0 => (base, mapped),
            _ => return self.refuse_label(slot, 2),
        };
        if mapped.is_some() {
            return Err(KernelError::InvalidCapability);
        }
        let above = usize::from(level) - 1;
        let vaddr = vaddr & !mask(self.arch.shifts[above]);
        let (root, asid) = Self::root_of(self.cap_in(vspace))?;
        if vaddr >= self.arch.user_top {
            return Err(KernelError::InvalidArgument);
        }
        if usize::from(level) == self.arch.leaf_level() {
            self.must_name(asid, root)?;
        }
        let (parent, index) = self.entry_for(root, above, vaddr)?;
        if self.entry(above, parent, index) != Entry::Empty {
            return Err(KernelError::DeleteFirst);
        }
        self.tables.set(parent, index, Entry::Table(base));
        self.slots.get_mut(slot).cap =
            Cap::Table { base, level, mapped: Some(Place { asid, vaddr }) };
        Ok(())
    }

    /// `X86PageTableUnmap` and its kin. The table is cleared, so what was mapped through it is no
    /// longer; the frames' capabilities go on remembering.
    pub(super) fn unmap_table_call(&mut self, table: CPtr, level: u8) -> KernelResult {
        let slot = self.invoked(table);
        let (base, mapped) = match self.cap_in(slot) {
            Cap::Table { base, level: l, mapped } if l == level && l > 0 => (base, mapped),
            _ => return self.refuse_label(slot, 0),
        };
        if !self.is_final(slot) {
            return Err(KernelError::RevokeFirst);
        }
        if let Some(place) = mapped {
            self.unmap_table(base, level, place);
            self.tables.clear(base);
        }
        self.slots.get_mut(slot).cap = Cap::Table { base, level, mapped: None };
        Ok(())
    }

    /// The entry for a frame whose capability has the rights `most`, mapped with those `asked`.
    /// Entries of 1 GiB pages have no bit for write combining; whether a page may be run is the
    /// mapping's alone.
    fn page_entry(
        &self,
        paddr: usize,
        size_bits: u8,
        (most, asked): (VmRights, Rights),
        cache: CachePolicy,
    ) -> Entry {
        let mut rights = most.masked(asked).rights();
        if self.arch.has_no_execute && rights.contains(Rights::READ) {
            rights |= asked & Rights::EXECUTE;
        }
        let no_pat = size_bits == 30 && cache == CachePolicy::WriteCombining;
        let cache = if no_pat { CachePolicy::WriteBack } else { cache };
        Entry::Page { paddr, rights, cache }
    }
}
