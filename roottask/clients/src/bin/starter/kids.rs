// SPDX-License-Identifier: BSD-2-Clause
//! Programs that it has started: given memory, looked at when they fault, ended in all the ways
//! there are.

use sel4::Word;
use vmm_client::handles::{free_slot, Account, Child, Handle, Memory, Object, Result, Space};
use vmm_client::objects::{Amounts, ProgramOptions, Resource, Rights, State, PAGE_BYTES};
use vmm_clients::trials::{unless_short, Shown, Words, SHORT};

use crate::held::{revoked, write_new};
use crate::kid::{amounts, span, Kid, KIDS, SHARED};
use crate::life::{Life, BESIDE, CAME, GAP};

/// The most rounds of one.
const ROUNDS: u32 = 48;

impl Life<'_> {
    /// One that it has started comes to its end, or another is started.
    pub fn kid(&mut self) -> Result {
        let place = self.random.below(KIDS as u32) as usize;
        match self.kids[place] {
            Some(_) => self.end_kid(place),
            None => {
                let kid = self.start(place)?;
                self.kids[place] = kid;
                Ok(())
            }
        }
    }

    /// Starts one that may have memory of this program's, and a fault.
    fn start(&mut self, place: usize) -> Result<Option<Kid>> {
        let base = self.random.number();
        let own = &self.account;
        let memory = match self.random.below(2) {
            0 => write_new(own, base, SHARED)?,
            _ => None,
        };
        let lent = match &memory {
            Some(memory) => unless_short(memory.restrict(Rights::READ | Rights::USE, own))?,
            None => None,
        };
        let shared = match (memory, lent) {
            (Some(memory), Some(lent)) => Some((memory, lent)),
            (memory, _) => {
                memory.map_or(Ok(()), Object::destroy)?;
                None
            }
        };
        let depth = self.task.depth - 1;
        let rounds = 1 + self.random.below(ROUNDS);
        let faults = self.random.below(4) == 0;
        let fault = if faults { 1 + self.random.below(rounds) } else { 0 };
        let priority = self.task.priority - 2 - place as u8 * span(depth);
        let tells = 1 + self.random.below(rounds);
        let seed = self.random.number();
        let numbers = [seed, rounds, depth, priority.into(), fault, tells, base];
        let options =
            if faults { ProgramOptions::SUSPEND_AT_FAULT } else { ProgramOptions::empty() };
        let given = shared.as_ref().map(|(_, lent)| lent);
        let started = self.start_with((&self.account, depth), given, &numbers, (place, options));
        match unless_short(started)? {
            Some((child, space, account)) => {
                self.seen &= !(1 << place);
                child.tell_end(self.bits[place])?;
                self.done.started += 1;
                let bereft = false;
                Ok(Some(Kid { child, space, account, shared, base, faults, bereft }))
            }
            None => {
                end_shared(shared)?;
                Ok(None)
            }
        }
    }

    /// Puts one together, which `payer` pays for.
    fn start_with(
        &self,
        (payer, depth): (&Account, u32),
        shared: Option<&Memory>,
        numbers: &[u32],
        (_, options): (usize, ProgramOptions),
    ) -> Result<(Child, Space, Account)> {
        let mut starting = payer.begin_program("kid", &self.file, amounts(depth), options)?;
        let mut give = || {
            starting.give("file", &self.file, Rights::READ)?;
            if let Some(shared) = shared {
                starting.give("shared", shared, Rights::READ | Rights::USE)?;
            }
            starting.give_kernel("came", self.bits[KIDS])?;
            starting.give_console()
        };
        let given = give();
        let priority = numbers.get(3).copied().unwrap_or(0) as u8;
        match given {
            Ok(()) => starting.start(Words::of(numbers).text(), priority),
            // It is ended where it is started with more than there is room for.
            Err(error) => {
                let too_long = core::str::from_utf8(&[b'0'; 2049]).unwrap_or("");
                let _ = starting.start(too_long, priority);
                Err(error)
            }
        }
    }

    /// Ends one, if there is one: now, where it is in the midst of something, or as it ends itself.
    pub fn end_kid(&mut self, place: usize) -> Result {
        let Some(mut kid) = self.kids[place].take() else { return Ok(()) };
        match self.random.below(6) {
            // It ends itself.
            0..=1 => {
                self.wait_for_end(&mut kid, place)?;
            }
            2 => kid.child.kill()?,
            3 => {
                // In the midst of something, unless it ends before.
                self.wait_for(CAME | 1 << place);
                self.seen &= !CAME;
                self.kill(&kid)?;
            }
            4 => {
                // Its memory is taken away while it runs.
                if let Some((memory, lent)) = kid.shared.take() {
                    let (memory, done) = revoked(memory)?;
                    kid.bereft = true;
                    self.done.revoked += u32::from(done);
                    self.wait_for_end(&mut kid, place)?;
                    memory.destroy()?;
                    free_slot(lent.slot());
                }
            }
            // With its object it ends.
            _ => {}
        }
        let Kid { child, space, account, shared, .. } = kid;
        self.done.killed += u32::from(!child.status()?.gone);
        child.remove(space, account)?;
        end_shared(shared)
    }

    /// Ends one that may have ended.
    fn kill(&mut self, kid: &Kid) -> Result {
        match kid.child.status()?.state.is_end() {
            true => Ok(()),
            false => kid.child.kill(),
        }
    }

    /// Waits until one has ended, and sees that it did as it should.
    fn wait_for_end(&mut self, kid: &mut Kid, place: usize) -> Result {
        let mut page = None;
        let status = loop {
            self.wait_for(1 << place);
            self.seen &= !(1 << place);
            let status = kid.child.status()?;
            if status.gone {
                break status;
            }
            if !status.state.is_suspended() {
                continue;
            }
            let expected = kid.faults && page.is_none() && status.address == GAP;
            page = if expected { self.look_at(kid, status.instruction)? } else { page };
            match expected && page.is_some() {
                true => kid.child.resume()?,
                false => {
                    self.short |= !kid.bereft;
                    kid.child.kill()?;
                }
            }
        };
        match status.state {
            State::Exited if status.code == SHORT => self.short = true,
            State::Exited => assert_eq!(status.code, 0, "{}", self.place()),
            // For its memory, or for want of some.
            State::Crashed => self.short |= !kid.bereft,
            state => assert_eq!(state, State::Killed, "{}", self.place()),
        }
        page.map_or(Ok(()), Object::destroy)
    }

    /// Maps a page where one has touched what was not there. Returns it, unless memory was short.
    fn look_at(&mut self, kid: &Kid, instruction: usize) -> Result<Option<Memory>> {
        let registers = kid.child.registers()?;
        assert_eq!(registers.pc(), instruction, "{}", self.place());
        kid.child.set_registers(registers)?;
        self.done.looked_at += 1;
        let Some(page) = write_new(&self.account, kid.base, 1)? else { return Ok(None) };
        let at = (GAP, Rights::READ);
        let mapped = kid.space.map_part(&page, (0, 1), at, &self.account);
        match unless_short(mapped)? {
            Some(_) => Ok(Some(page)),
            None => page.destroy().map(|()| None),
        }
    }

    /// An account that pays for memory which is mapped, and for a program: it ends with all that.
    pub fn account_with_all(&mut self) -> Result {
        let amounts = amounts(0);
        let all = core::array::from_fn(|nth| BESIDE.0[nth] + amounts.0[nth] + 8);
        let all = Amounts(all).with(Resource::LargePages, 0);
        let Some(child) = unless_short(self.account.split(all))? else { return Ok(()) };
        let priority = self.task.priority - 2 - span(self.task.depth - 1);
        let base = self.random.number();
        let pages = 1 + self.random.below(BESIDE.0[0] / 2);
        let mut slots = [0; 4];
        if let Some(memory) = unless_short(child.create_memory(pages))? {
            slots[0] = memory.slot();
            let space = self.program.space();
            if let Some(mapping) = unless_short(space.map(&memory, Rights::READ_WRITE, &child))? {
                if unless_short(mapping.populate())?.is_some() {
                    // SAFETY: the pages are there, and nobody else's.
                    let shown = unsafe { Shown::at(mapping.address()) };
                    (0..pages).for_each(|page| shown.fill(base, page));
                    let wrong = (0..pages).find_map(|page| shown.first_wrong(Some(base), page));
                    assert_eq!(wrong, None, "{}", self.place());
                }
            }
        }
        let rounds = 1 + self.random.below(ROUNDS);
        let tells = 1 + self.random.below(rounds);
        let numbers = [self.random.number(), rounds, 0, priority.into(), 0, tells, base];
        let place = (0, ProgramOptions::empty());
        // Where the other place is taken, its priority is.
        if self.kids[1].is_none() {
            let started = self.start_with((&child, 0), None, &numbers, place);
            if let Some((child, space, account)) = unless_short(started)? {
                self.done.started += 1;
                slots[1..].copy_from_slice(&[child.slot(), space.slot(), account.slot()]);
                if self.random.below(2) == 0 {
                    self.seen &= !(1 << 1);
                    child.tell_end(self.bits[1])?;
                    self.wait_for(CAME | 1 << 1 as Word);
                    self.seen &= !CAME;
                }
            }
        }
        child.destroy()?;
        slots.into_iter().filter(|&slot| slot != 0).for_each(free_slot);
        Ok(())
    }
}

/// Ends memory that a program was given, which is there no more.
fn end_shared(shared: Option<(Memory, Memory)>) -> Result {
    let Some((memory, lent)) = shared else { return Ok(()) };
    // With it goes what was derived from it.
    memory.destroy()?;
    free_slot(lent.slot());
    Ok(())
}

const _: () = assert!(SHARED as usize * PAGE_BYTES < GAP);
