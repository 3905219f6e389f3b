// SPDX-License-Identifier: BSD-2-Clause
//! A memory object that it has, and what that holds.

use vmm_client::handles::{Account, Handle, Mapping, Memory, Object, Program, Result};
use vmm_client::objects::{Rights, PAGE_BYTES};
use vmm_clients::trials::{unless_short, word, Shown};

/// A memory object, where it is mapped, and what its first pages hold: the rest is zero.
pub struct Held {
    pub memory: Memory,
    pub mapping: Option<Mapping>,
    pub hold: Hold,
}

/// Pages, of which the first are filled, with this base.
#[derive(Clone, Copy)]
pub struct Hold {
    pub pages: u32,
    pub filled: u32,
    pub base: u32,
}

impl Hold {
    /// The base of a page, if it is filled.
    pub fn base_of(&self, page: u32) -> Option<u32> {
        (page < self.filled).then_some(self.base)
    }
}

/// Maps memory of another's to be read, and says where its pages are.
pub fn show(program: &Program, memory: &Memory) -> Result<Shown> {
    let mapping = program.space().map(memory, Rights::READ, &program.account())?;
    // SAFETY: its pages appear when they are touched; where it is taken away, that is a fault.
    Ok(unsafe { Shown::at(mapping.address()) })
}

/// Makes memory that is mapped nowhere, and writes all its pages, piece by piece; none if memory is
/// short, which it may be at each page: the account's amounts are more than there is.
pub fn write_new(account: &Account, base: u32, pages: u32) -> Result<Option<Memory>> {
    let Some(memory) = unless_short(account.create_memory(pages))? else { return Ok(None) };
    match unless_short(write_all(&memory, base, pages))? {
        Some(()) => Ok(Some(memory)),
        None => memory.destroy().map(|()| None),
    }
}

fn write_all(memory: &Memory, base: u32, pages: u32) -> Result {
    for page in 0..pages {
        let mut bytes = [0; PAGE_BYTES];
        for (at, place) in bytes.chunks_exact_mut(4).enumerate() {
            place.copy_from_slice(&word(base, page, at).to_le_bytes());
        }
        memory.write(page as usize * PAGE_BYTES, &bytes)?;
    }
    Ok(())
}

/// Memory of which all other capabilities are taken away; and whether they were.
pub fn revoked(memory: Memory) -> Result<(Memory, bool)> {
    let slot = memory.slot();
    match unless_short(memory.revoke())? {
        Some(memory) => Ok((memory, true)),
        None => Ok((Memory::from_slot(slot), false)),
    }
}

impl Held {
    /// Where its pages are, if they are mapped.
    pub fn shown(&self) -> Option<Shown> {
        let mapping = self.mapping.as_ref()?;
        // SAFETY: its pages appear when they are touched, and nobody else writes them.
        Some(unsafe { Shown::at(mapping.address()) })
    }

    /// The first word that is wrong, with its page.
    pub fn first_wrong(&self) -> Option<(u32, usize)> {
        let shown = self.shown()?;
        let hold = self.hold;
        (0..hold.pages).find_map(|page| Some((page, shown.first_wrong(hold.base_of(page), page)?)))
    }

    /// Ends it.
    pub fn end(self) -> Result {
        if let Some(mapping) = self.mapping {
            mapping.unmap()?;
        }
        self.memory.destroy()
    }

    /// Maps it, if it is not, and fills pages of one in which nothing is.
    pub fn map(&mut self, program: &Program, account: &Account, fill: u32) -> Result {
        if self.mapping.is_none() {
            let mapped = program.space().map(&self.memory, Rights::READ_WRITE, account);
            self.mapping = unless_short(mapped)?;
        }
        let Some(shown) = self.shown() else { return Ok(()) };
        if self.hold.filled == 0 {
            self.hold.filled = fill.min(self.hold.pages);
            (0..self.hold.filled).for_each(|page| shown.fill(self.hold.base, page));
        }
        Ok(())
    }

    pub fn unmap(&mut self) -> Result {
        self.mapping.take().map_or(Ok(()), Mapping::unmap)
    }
}
