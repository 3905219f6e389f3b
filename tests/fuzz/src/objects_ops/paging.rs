// SPDX-License-Identifier: BSD-2-Clause
//! Programs that supply pages of memory of their own making, to themselves and to whom they pass
//! the capability.

use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, Answer, Kind, MemoryOptions, Refusal, Request, Rights, SPACE_SLOT, Supply,
};

use super::decode::wait;
use super::world::{Known, PAGED, SIGNAL, SOURCE, World};
use crate::bytes::Bytes;

/// The pages of paged memory, and of what its pages come from.
const PAGES: u32 = 4;

impl World<'_> {
    /// A program does something that a pager does, as far as it can. Returns whether it lives.
    pub fn page(&mut self, known: &mut Known, bytes: &mut Bytes<'_>) -> bool {
        let _ = self.try_page(known, bytes);
        self.lives(known.id)
    }

    fn try_page(&mut self, known: &mut Known, bytes: &mut Bytes<'_>) -> Result<(), Refusal> {
        let payer = [ACCOUNT_SLOT];
        if self.badge(known, PAGED).is_none() {
            let most = bytes.pick(&[1, 2, 4]);
            let create = Request::CreatePaged { pages: PAGES, most, slot: PAGED };
            self.ask(known, (create, &payer), bytes)?;
            self.note_kind(known, PAGED, Kind::Memory);
        }
        if self.badge(known, SOURCE).is_none() {
            let options = MemoryOptions::WRITABLE;
            let create = Request::CreateMemory { pages: PAGES, options, slot: SOURCE };
            self.ask(known, (create, &payer), bytes)?;
            self.note_kind(known, SOURCE, Kind::Memory);
        }
        let rights = bytes.pick(&[Rights::READ, Rights::READ_WRITE]);
        let (address, first, pages) = (0, 0, PAGES);
        let map = match bytes.one_in(3) {
            true => Request::MapPrivate { address, first, pages, rights },
            false => Request::Map { address, first, pages, rights },
        };
        let memory = bytes.pick(&[PAGED, PAGED, SOURCE]);
        let mapped = self.ask(known, (map, &[SPACE_SLOT, memory, ACCOUNT_SLOT]), bytes)?;
        // Another request may have put memory of a device there, which is taken in pieces.
        let Answer::Mapped { address } = mapped else { return Ok(()) };
        known.mapped.push((address, PAGES));
        for _ in 0..1 + bytes.below(6) {
            self.touch(known, bytes);
            let first = bytes.below(PAGES as usize) as u32;
            let (pages, other) = (bytes.pick(&[1, 1, 2]), bytes.below(PAGES as usize) as u32);
            let wait = wait(bytes);
            let both: &[u32] = &[PAGED, SOURCE];
            let (request, slots): (Request, &[u32]) = match bytes.below(9) {
                0..=2 => {
                    let (how, write) = (bytes.pick(&Supply::ALL), bytes.one_in(2));
                    (Request::Supply { first, pages, from: other, how, write, wait }, both)
                }
                3 => (Request::TakeBack { first, pages, into: other }, both),
                4 => (Request::AllowWrite { first, pages, wait }, &both[..1]),
                5 => (Request::Decommit { first, pages }, &both[..1]),
                6 => (Request::NextFault { wait }, &both[..1]),
                7 => (Request::TellFaults {}, &[PAGED, SIGNAL]),
                _ => (Request::Refuse { page: first, wait }, &both[..1]),
            };
            let answer = self.ask(known, (request, slots), bytes);
            if let Ok(Answer::Wanted { done, .. } | Answer::Taken { pages: done, .. }) = answer {
                self.tally.supplied += done as usize;
            }
            self.take_answers();
        }
        Ok(())
    }
}
