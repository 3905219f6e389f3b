// SPDX-License-Identifier: BSD-2-Clause
//! Memory objects: made, mapped, cloned, resized, lent, read and written in pieces, and what they
//! hold, of which every word is looked at.

use vmm_client::handles::{free_slot, Handle, Mapping, Object, Result};
use vmm_client::objects::{Rights, MAX_PAGES, PAGE_BYTES, PIECE_BYTES};
use vmm_clients::trials::{unless_short, word, Shown};

use crate::held::{revoked, Held, Hold};
use crate::life::{Life, HELD};

/// The most pages of one: more than one request maps, or gives back.
const MAX: u32 = 12;
const LARGE: u32 = MAX_PAGES + 8;

impl Life<'_> {
    /// Does something with one of the memory objects.
    pub fn memory(&mut self) -> Result {
        let place = self.random.below(HELD as u32) as usize;
        let Some(mut held) = self.held[place].take() else { return self.create(place) };
        assert_eq!(held.first_wrong(), None, "{}", self.place());
        match self.random.below(8) {
            0 => return held.end(),
            1 => held.unmap()?,
            2 => held = self.clone_of(held)?,
            3 => self.resize(&mut held)?,
            4 => held = self.lend(held)?,
            5 => self.pieces(&held)?,
            6 => held = self.reshape(held)?,
            _ => {
                if let Some(mapping) = &held.mapping {
                    unless_short(mapping.populate())?;
                }
            }
        }
        let fill = self.random.below(held.hold.pages + 1);
        held.map(self.program, &self.account, fill)?;
        assert_eq!(held.first_wrong(), None, "{}", self.place());
        self.held[place] = Some(held);
        Ok(())
    }

    /// Looks at what one holds, and ends it.
    pub fn destroy(&mut self, place: usize) -> Result {
        let Some(held) = self.held[place].take() else { return Ok(()) };
        assert_eq!(held.first_wrong(), None, "{}", self.place());
        held.end()
    }

    fn create(&mut self, place: usize) -> Result {
        let large = self.random.below(16) == 0;
        let pages = if large { LARGE } else { 1 + self.random.below(MAX) };
        let Some(memory) = unless_short(self.account.create_memory(pages))? else { return Ok(()) };
        let hold = Hold { pages, filled: 0, base: self.random.number() };
        let mut held = Held { memory, mapping: None, hold };
        let fill = self.random.below(MAX.min(pages) + 1);
        held.map(self.program, &self.account, fill)?;
        assert_eq!(held.first_wrong(), None, "{}", self.place());
        self.held[place] = Some(held);
        Ok(())
    }

    /// Another object that shows the same, in which other words are written: the one does not see
    /// what is written to the other.
    fn clone_of(&mut self, mut held: Held) -> Result<Held> {
        held.unmap()?;
        let Some(memory) = unless_short(held.memory.copy_on_write(&self.account))? else {
            return Ok(held);
        };
        self.done.clones += 1;
        let mut clone = Held { memory, mapping: None, hold: held.hold };
        clone.map(self.program, &self.account, 0)?;
        assert_eq!(clone.first_wrong(), None, "{}", self.place());
        let base = self.random.number();
        if let Some(shown) = clone.shown() {
            (0..clone.hold.filled).for_each(|page| shown.fill(base, page));
            clone.hold.base = base;
            assert_eq!(clone.first_wrong(), None, "{}", self.place());
        }
        held.map(self.program, &self.account, 0)?;
        assert_eq!(held.first_wrong(), None, "{}", self.place());
        // One of the two goes on.
        let (stays, goes) = if self.random.below(2) == 0 { (held, clone) } else { (clone, held) };
        goes.end()?;
        Ok(stays)
    }

    fn resize(&mut self, held: &mut Held) -> Result {
        held.unmap()?;
        let pages = 1 + self.random.below(MAX);
        if unless_short(held.memory.resize(pages, &self.account))?.is_some() {
            held.hold.pages = pages;
            held.hold.filled = held.hold.filled.min(pages);
        }
        Ok(())
    }

    /// Lends it to itself and takes it back: what was mapped by that is gone, as the capability.
    fn lend(&mut self, mut held: Held) -> Result<Held> {
        let rights = Rights::READ;
        let Some(lent) = unless_short(held.memory.restrict(rights, &self.account))? else {
            return Ok(held);
        };
        let mapped = self.program.space().map(&lent, rights, &self.account);
        let mapped = unless_short(mapped)?;
        if let Some(mapping) = &mapped {
            // SAFETY: its pages appear when they are touched; they are only read.
            let shown = unsafe { Shown::at(mapping.address()) };
            let hold = held.hold;
            let wrong =
                (0..hold.pages).find_map(|page| shown.first_wrong(hold.base_of(page), page));
            assert_eq!(wrong, None, "{}", self.place());
        }
        held.unmap()?;
        let (memory, done) = revoked(held.memory)?;
        match (done, mapped) {
            (true, _) => free_slot(lent.slot()),
            // The other capability stays in its slot until the object ends.
            (false, mapped) => mapped.map_or(Ok(()), Mapping::unmap)?,
        }
        self.done.revoked += u32::from(done);
        Ok(Held { memory, ..held })
    }

    /// Reads pieces, wherever they begin.
    fn pieces(&mut self, held: &Held) -> Result {
        let all = held.hold.pages as usize * PAGE_BYTES;
        let mut bytes = [0; PIECE_BYTES + 40];
        let at = self.random.below((all - bytes.len()) as u32) as usize;
        held.memory.read(at, &mut bytes)?;
        for (offset, &byte) in bytes.iter().enumerate() {
            let (page, at) = ((at + offset) / PAGE_BYTES, (at + offset) % PAGE_BYTES);
            let base = held.hold.base_of(page as u32);
            let right = base.map_or(0, |base| word(base, page as u32, at / 4)).to_le_bytes();
            assert_eq!(byte, right[at % 4], "{}", self.place());
        }
        Ok(())
    }

    /// Takes the right to write away and gives it back, moves pages, or unmaps some.
    fn reshape(&mut self, mut held: Held) -> Result<Held> {
        let Some(mut mapping) = held.mapping.take() else { return Ok(held) };
        match self.random.below(3) {
            0 => {
                let protected = unless_short(mapping.protect(Rights::READ))?;
                held.mapping = Some(mapping);
                assert_eq!(held.first_wrong(), None, "{}", self.place());
                let back = held.mapping.as_ref().map(|it| it.protect(Rights::READ_WRITE));
                // Where pages have different rights, they are mapped anew.
                if protected.is_none() || unless_short(back.unwrap_or(Ok(())))?.is_none() {
                    held.unmap()?;
                }
            }
            1 => {
                unless_short(mapping.move_to(0, Rights::READ_WRITE))?;
                held.mapping = Some(mapping);
            }
            _ => {
                let (lower, upper) = mapping.split(self.random.below(held.hold.pages + 1));
                for part in [upper, lower].into_iter().flatten() {
                    part.unmap()?;
                }
            }
        }
        Ok(held)
    }
}
