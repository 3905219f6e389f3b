// SPDX-License-Identifier: BSD-2-Clause
//! Starts programs of its own kind, which do so too, and ends them; makes, shares and changes
//! memory beside: all at random, and for stress runs. Every byte that it reads is looked at. It may
//! be ended in the midst of anything, and with it all that it has started.
//!
//! ```text
//!   held.rs     a memory object, and what it holds
//!   kid.rs      a program that it has started
//!   life.rs     what it was told, and what it has
//!   memory.rs   memory objects: made, changed, looked at
//!   kids.rs     programs: started, and how they end
//! ```
//!
//! Who starts one has a higher priority, so that nothing depends on time: see [`kid::span`].
#![no_std]
#![no_main]

mod held;
mod kid;
mod kids;
mod life;
mod memory;

use sel4::{cap, Word};
use vmm_client::handles::{
    empty_slot, mint_bit, Handle, Memory, Notification, Object, Program, Result,
};
use vmm_client::objects::Amounts;
use vmm_client::{program, tell};
use vmm_clients::trials::{unless_short, Numbers, Shown, SHORT};
use vmm_clients::Random;

use kid::KIDS;
use life::{Done, Life, Place, Task, BESIDE, GAP, HELD};

program!(main);

/// Pages of a thread's stack.
const STACK: u32 = 2;

/// Its page tells it the file that it is made of, `file`; memory of its starter's, `shared`; a
/// notification, `came`. The numbers: seed, rounds, generations below it, priority, the round in
/// which it has a fault, in which it tells its starter, and what the shared memory holds.
fn main(program: &Program, argument: usize) -> Result {
    let given = program.given(argument).expect("its starter gives it a page");
    let numbers = Numbers::of(given.arguments());
    let task = Task {
        rounds: numbers.at(1),
        depth: numbers.at(2),
        priority: numbers.at(3) as u8,
        faults: numbers.at(4),
        tells: numbers.at(5),
        base: numbers.at(6),
    };
    let file = Memory::from_slot(given.slot("file").expect("its own file is among it"));
    let account = program.account();
    let shared = match given.slot("shared").map(Memory::from_slot) {
        // It may be taken away already.
        Some(memory) => held::show(program, &memory).ok().map(|shown| (memory, shown)),
        None => None,
    };
    let had_shared = shared.is_some();
    let before = account.amounts()?.used;
    let Some((notification, told)) = unless_short(account.create_notification())? else {
        program.exit(SHORT)
    };
    let mut bits = [0; KIDS + 1];
    for (place, bit) in bits.iter_mut().enumerate() {
        *bit = mint_bit(told, 1 << place)?;
    }
    let mut life = Life {
        program,
        account,
        random: Random::new(numbers.at(0) | 1),
        task,
        file,
        shared,
        came: given.slot("came"),
        told,
        bits,
        seen: 0,
        kids: [const { None }; KIDS],
        held: [const { None }; HELD],
        round: 0,
        short: false,
        left: false,
        done: Done::default(),
    };
    let place = life.place();
    for round in 1..=life.task.rounds {
        life.round = round;
        life.do_round()?;
    }
    (0..KIDS).try_for_each(|place| life.end_kid(place))?;
    (0..HELD).try_for_each(|place| life.destroy(place))?;
    life.end(notification)?;
    let after = life.account.amounts()?.used;
    // What was taken away is paid for no more.
    let bereft = had_shared && life.shared.is_none_or(|(memory, _)| memory.info().is_err());
    if after != before && !bereft && !life.left {
        tell!("{:?} used, and were {:?} when it began", after.0, before.0);
        let place = Place { round: life.round, ..place };
        panic!("not all is back {place}");
    }
    let Done { started, killed, looked_at, clones, revoked, threads } = life.done;
    tell!("counts {started} {killed} {looked_at} {clones} {revoked} {threads}");
    program.exit(if life.short { SHORT } else { 0 })
}

impl Life<'_> {
    fn end(&mut self, notification: Notification) -> Result {
        self.bits.into_iter().for_each(empty_slot);
        empty_slot(self.told);
        notification.destroy()
    }

    fn do_round(&mut self) -> Result {
        if self.round == self.task.faults {
            self.fault();
        }
        if let Some(came) = self.came.filter(|_| self.round == self.task.tells) {
            cap::Notification::from_bits(came as Word).signal();
        }
        match self.random.below(16) {
            0..=2 if self.task.depth > 0 => self.kid(),
            3 if self.task.depth > 0 => self.account_with_all(),
            4 => self.threads(),
            5 => self.amounts(),
            6 => self.look_at_shared(),
            _ => self.memory(),
        }
    }

    /// Touches what is not there: its starter looks at it, and maps a page.
    fn fault(&mut self) {
        // SAFETY: nothing is mapped there but by its starter, who writes it before.
        let page = unsafe { Shown::at(GAP) };
        let wrong = page.first_wrong(Some(self.task.base), 0);
        assert_eq!(wrong, None, "{}", self.place());
    }

    /// Every byte of its starter's memory is as it was, until that is taken away.
    fn look_at_shared(&mut self) -> Result {
        let shared = self.shared.take();
        // Where it was mapped, something else may be when it was taken away.
        if let Some((memory, shown)) = shared.filter(|(memory, _)| memory.info().is_ok()) {
            for page in 0..kid::SHARED {
                let wrong = shown.first_wrong(Some(self.task.base), page);
                assert_eq!(wrong, None, "{}", self.place());
            }
            self.shared = Some((memory, shown));
        }
        Ok(())
    }

    /// Threads that look at memory, are suspended, and ended.
    fn threads(&mut self) -> Result {
        let priority = self.task.priority - 1;
        let held = self.held.iter().flatten().find_map(|held| Some((held.shown()?, held.hold)));
        let looks = move || {
            held.is_none_or(|(shown, hold)| {
                (0..hold.pages).all(|page| shown.first_wrong(hold.base_of(page), page).is_none())
            })
        };
        let Some(thread) = unless_short(self.program.spawn(STACK, priority, looks))? else {
            return Ok(());
        };
        self.done.threads += 1;
        let fate = self.random.below(4);
        if fate == 0 {
            thread.thread().suspend()?;
            thread.thread().resume()?;
        }
        if fate == 1 {
            // It may have had no instruction yet, or have ended.
            thread.thread().end(1)?;
        }
        match unless_short(thread.join())? {
            Some(Some(right)) => assert!(right, "{}", self.place()),
            Some(None) => self.short |= fate != 1,
            // Who joins needs a notification; without one the thread stays, and what it has.
            None => (self.short, self.left) = (true, true),
        }
        Ok(())
    }

    /// An account gets more, and gives it back.
    fn amounts(&mut self) -> Result {
        let Some(child) = unless_short(self.account.split(BESIDE))? else { return Ok(()) };
        let more = Amounts([1 + self.random.below(8), 1, 2, 0, 0, 0, 1, 0]);
        if unless_short(self.account.give(&child, more))?.is_some() {
            let info = child.amounts()?;
            let all = BESIDE.plus(more).expect("they are small");
            assert_eq!(info.limits, all, "{}", self.place());
            self.account.take_back(&child, more)?;
        }
        child.destroy()
    }
}
