// SPDX-License-Identifier: BSD-2-Clause
//! Programs that have memory of large pages, whole and in parts.

use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, Answer, Kind, MemoryOptions, Piece, Refusal, Request, Rights, SPACE_SLOT,
};
use vmm_tests::support::PAGE;

use super::world::{BULK, Known, LARGE, World};
use crate::bytes::Bytes;

impl World<'_> {
    /// A program does something with large pages, as far as it can. Returns whether it lives.
    pub fn bulk(&mut self, known: &mut Known, bytes: &mut Bytes<'_>) -> bool {
        let _ = self.try_bulk(known, bytes);
        self.lives(known.id)
    }

    fn try_bulk(&mut self, known: &mut Known, bytes: &mut Bytes<'_>) -> Result<(), Refusal> {
        let unit = self.unit();
        if self.badge(known, BULK).is_none() {
            let pages = unit * (1 + bytes.below(LARGE as usize) as u32);
            let options = MemoryOptions::LARGE | MemoryOptions::WRITABLE;
            let create = Request::CreateMemory { pages, options, slot: BULK };
            self.ask(known, (create, &[ACCOUNT_SLOT]), bytes)?;
            self.note_kind(known, BULK, Kind::Memory);
        }
        let (rights, first) = (bytes.pick(&[Rights::READ, Rights::READ_WRITE]), 0);
        let (address, pages) = (bytes.pick(&[0, 0, 0x4000_0000, 0x4040_0000]), unit);
        let map = Request::Map { address, first, pages, rights };
        let mapped = self.ask(known, (map, &[SPACE_SLOT, BULK, ACCOUNT_SLOT]), bytes)?;
        // Another request may have put memory of a device there, which is taken in pieces.
        let Answer::Mapped { address } = mapped else { return Ok(()) };
        known.mapped.push((address, pages));
        for _ in 0..1 + bytes.below(6) {
            self.touch(known, bytes);
            let pages = bytes.pick(&[unit, unit, unit, 1]);
            let at = address + bytes.pick(&[0, 0, 0, PAGE]);
            let to = bytes.pick(&[0, 0x4000_0000, 0x4000_0000 + PAGE]);
            let rights = bytes.pick(&[Rights::READ, Rights::READ_WRITE]);
            let offset = bytes.below(unit as usize * PAGE);
            let (space, memory): (&[u32], &[u32]) = (&[SPACE_SLOT], &[BULK]);
            let (request, slots) = match bytes.below(9) {
                0 => (Request::Populate { address: at, pages }, space),
                1 => (Request::Protect { address: at, pages, rights }, space),
                2 => (Request::Move { address: at, pages, to, rights }, space),
                3 => (Request::UnmapPart { address: at, pages }, space),
                4 => (Request::Unmap { address }, space),
                5 => (Request::Write { offset, piece: Piece::of(&[0xb1; 9]) }, memory),
                6 => (Request::Read { offset, bytes: 9 }, memory),
                7 => (Request::Destroy {}, memory),
                _ => (Request::Info {}, memory),
            };
            // It may be refused, for what is mapped there no more.
            let _ = self.ask(known, (request, slots), bytes);
            self.take_answers();
        }
        Ok(())
    }
}
