// SPDX-License-Identifier: BSD-2-Clause
//! Programs that touch memory of accounts that wait, while others take all that there is and give
//! some of it back.

use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, AccountOptions, Amounts, Answer, Kind, MemoryOptions, Refusal, Request, Resource,
    Rights, SPACE_SLOT,
};

use super::world::{Known, SLOTS, World};
use crate::bytes::Bytes;

/// The slots of the account, and of memory that it pays for.
const PATIENT: u32 = SLOTS - 6;
const MEMORY: u32 = SLOTS - 7;
/// Its pages.
const PAGES: u32 = 12;
/// What the account may use.
const LIMITS: Amounts = Amounts([20, 4, 60, 1, 1, 4, 12, 0]);

impl World<'_> {
    /// A program touches memory while there is none, as far as it can. Returns whether it lives.
    pub fn starve(&mut self, known: &mut Known, bytes: &mut Bytes<'_>) -> bool {
        let _ = self.try_starve(known, bytes);
        self.lives(known.id)
    }

    fn try_starve(&mut self, known: &mut Known, bytes: &mut Bytes<'_>) -> Result<(), Refusal> {
        if self.badge(known, PATIENT).is_none() {
            let options = AccountOptions::OVERCOMMIT | AccountOptions::WAIT;
            let create = Request::CreateAccount { amounts: LIMITS, options, slot: PATIENT };
            self.ask(known, (create, &[ACCOUNT_SLOT]), bytes)?;
            self.learn_kind(known, PATIENT, Kind::Account);
        }
        if self.badge(known, MEMORY).is_none() {
            let options = MemoryOptions::WRITABLE;
            let create = Request::CreateMemory { pages: PAGES, options, slot: MEMORY };
            self.ask(known, (create, &[PATIENT]), bytes)?;
            self.learn_kind(known, MEMORY, Kind::Memory);
        }
        if let Some(&slot) = self.slots_of_others(known).first() {
            let amount = bytes.pick(&[0, 1, 30]);
            let tell = Request::TellAccount { resource: Resource::Pages, amount };
            self.ask(known, (tell, &[PATIENT, slot]), bytes)?;
        }
        let (address, first, pages, rights) = (0, 0, PAGES, Rights::READ_WRITE);
        let map = Request::Map { address, first, pages, rights };
        let mapped = self.ask(known, (map, &[SPACE_SLOT, MEMORY, ACCOUNT_SLOT]), bytes)?;
        // Another request may have put memory of a device there, which is taken in pieces.
        let Answer::Mapped { address } = mapped else { return Ok(()) };
        known.mapped.push((address, PAGES));
        // What follows is of this mapping.
        let others = core::mem::replace(&mut known.mapped, vec![(address, PAGES)]);
        if !self.ample {
            for pages in [300, 30, 3, 1] {
                while self.take_memory(pages) {}
            }
        }
        for _ in 0..2 + bytes.below(4) {
            self.touch(known, bytes);
            self.check();
        }
        let given = if bytes.one_in(2) { self.regions.len() } else { bytes.below(3) };
        for _ in 0..given {
            if let Some(region) = self.regions.pop()
                && self.host.vmm.release(region).is_err()
            {
                self.regions.push(region);
                break;
            }
            self.take_answers();
        }
        self.touch(known, bytes);
        known.mapped = others;
        Ok(())
    }

    fn learn_kind(&mut self, known: &Known, slot: u32, kind: Kind) {
        if let Some(badge) = self.badge(known, slot) {
            self.kinds.insert(badge, kind);
        }
    }
}
