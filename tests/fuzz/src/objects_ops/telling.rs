// SPDX-License-Identifier: BSD-2-Clause
//! Programs that have notifications of their own, bind them, are told by them, and pass them on;
//! and what is rarely right by chance: others ended, waits limited, sleep, addresses told.

use vmm_service::objects::protocol::{
    ACCOUNT_SLOT, AccountOptions, Amounts, FaultPolicy, Kind, MemoryOptions, PROGRAM_SLOT, Refusal,
    Request, Resource,
};

use super::world::{CHILD, FIRST, Known, NOTICE, PAGED, SIGNAL, SLOTS, THREAD, World};
use crate::bytes::Bytes;

/// Accounts of a program's own: a small guarantee, and limits that nothing is behind.
const ACCOUNTS: [(Amounts, AccountOptions); 3] = [
    (Amounts([2, 1, 4, 1, 1, 2, 4, 0]), AccountOptions::empty()),
    (Amounts::MAX, AccountOptions::OVERCOMMIT),
    (Amounts::MAX, AccountOptions::OVERCOMMIT.union(AccountOptions::WAIT)),
];

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
            let mut inner = self.slots_of(known, Some(Kind::Account));
            inner.retain(|&slot| slot != ACCOUNT_SLOT);
            let inner = inner.get(bytes.below(inner.len())).copied();
            let told = bytes.pick(&[THREAD, FIRST, child, child]);
            let ms = bytes.pick(&[0, 1, 3, 1000]);
            let slot = 8 + bytes.below(SLOTS as usize - 8) as u32;
            let own = [ACCOUNT_SLOT];
            let by_inner = inner.map(|inner| ([memory, inner], [ACCOUNT_SLOT, inner]));
            let (request, slots): (Request, &[u32]) = match bytes.below(16) {
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
                13 => (Request::Kill {}, &[child]),
                _ => match &by_inner {
                    None => {
                        let (amounts, options) = bytes.pick(&ACCOUNTS);
                        (Request::CreateAccount { amounts, options, slot }, &own)
                    }
                    Some((sizing, _)) if bytes.one_in(3) => {
                        (Request::Resize { pages: 1 + bytes.below(9) as u32 }, sizing)
                    }
                    // More than anybody has: what is above the account has not as much.
                    Some((_, [_, inner])) if bytes.one_in(4) => {
                        let (pages, options) = (1000, MemoryOptions::WRITABLE);
                        let create = Request::CreateMemory { pages, options, slot };
                        (create, core::slice::from_ref(inner))
                    }
                    Some((_, giving)) => {
                        let (resource, back) = (bytes.pick(&Resource::ALL), bytes.one_in(2));
                        let amounts = Amounts::NONE.with(resource, 1);
                        (Request::Give { amounts, back }, giving)
                    }
                },
            };
            let done = self.ask(known, (request, slots), bytes);
            match (request, done) {
                (Request::FirstThread { .. }, Ok(_)) => self.note_kind(known, slot, Kind::Thread),
                (Request::CreateAccount { .. }, Ok(_)) => {
                    self.note_kind(known, slot, Kind::Account);
                }
                _ => {}
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
