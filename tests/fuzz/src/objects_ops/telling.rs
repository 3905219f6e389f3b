// SPDX-License-Identifier: BSD-2-Clause
//! Programs that have notifications of their own, bind them, are told by them, and pass them on;
//! and what is rarely right by chance: others ended, waits limited, sleep, addresses told.

use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, FaultPolicy, Kind, PROGRAM_SLOT, Refusal, Request,
};

use super::world::{CHILD, FIRST, Known, NOTICE, PAGED, SIGNAL, SLOTS, THREAD, World};
use crate::bytes::Bytes;

impl World<'_> {
    /// A program makes a notification, if it has none, and does something with it. Returns whether
    /// it lives.
    pub fn tell(&mut self, known: &Known, bytes: &mut Bytes<'_>) -> bool {
        let _ = self.try_tell(known, bytes);
        self.lives(known.id)
    }

    fn try_tell(&mut self, known: &Known, bytes: &mut Bytes<'_>) -> Result<(), Refusal> {
        if !self.slots_of_others(known).contains(&SIGNAL) {
            if self.badge(known, NOTICE).is_some() {
                // Somebody has taken the capability to it.
                self.ask(known, (Request::Destroy {}, &[NOTICE]), bytes)?;
            }
            let create = Request::CreateNotification { object: NOTICE, slot: SIGNAL };
            self.ask(known, (create, &[ACCOUNT_SLOT]), bytes)?;
            self.note_kind(known, NOTICE, Kind::Notification);
        }
        for _ in 0..1 + bytes.below(5) {
            let child = self.child_of(known, bytes);
            let memory = self.slots_of(known, Some(Kind::Memory));
            let memory = memory.get(bytes.below(memory.len())).copied().unwrap_or(PAGED);
            let told = bytes.pick(&[THREAD, FIRST, child, child]);
            let ms = bytes.pick(&[0, 1, 3, 1000]);
            let slot = 8 + bytes.below(SLOTS as usize - 8) as u32;
            let (request, slots): (Request, &[u32]) = match bytes.below(14) {
                0 => (Request::Bind {}, &[SIGNAL]),
                1 => (Request::Unbind {}, &[]),
                2 => (Request::BindThread {}, &[THREAD, SIGNAL]),
                3 => (Request::UnbindThread {}, &[THREAD]),
                4 | 5 => (Request::TellEnd {}, &[told, SIGNAL]),
                6 => (Request::TellFaults {}, &[PAGED, SIGNAL]),
                7 => (Request::NextFault { wait: 0 }, &[PAGED]),
                8 => (Request::GrantKernel { slot }, &[child, SIGNAL]),
                9 => (Request::Locate { page: bytes.below(3) as u32 }, &[memory, ACCOUNT_SLOT]),
                10 => (Request::LimitWaits { ms }, &[child]),
                11 => (Request::Sleep { ms }, &[]),
                12 => {
                    let policy = bytes.pick(&FaultPolicy::ALL);
                    (Request::FirstThread { policy, slot }, &[child, ACCOUNT_SLOT])
                }
                _ => (Request::Kill {}, &[child]),
            };
            let done = self.ask(known, (request, slots), bytes);
            if let (Request::FirstThread { .. }, Ok(_)) = (request, done) {
                self.note_kind(known, slot, Kind::Thread);
            }
            self.take_answers();
        }
        Ok(())
    }

    /// The slot of another program that this one holds, if it holds one.
    pub fn child_of(&self, known: &Known, bytes: &mut Bytes<'_>) -> u32 {
        let mut all = self.slots_of(known, Some(Kind::Program));
        all.retain(|&slot| slot != PROGRAM_SLOT);
        all.get(bytes.below(all.len())).copied().unwrap_or(CHILD)
    }
}
