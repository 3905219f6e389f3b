// SPDX-License-Identifier: BSD-2-Clause
//! Starts programs that do not end by themselves, and ends them: once that is answered none of
//! their threads runs, and all that they had is back without a request. Some are suspended before.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use sel4::{cap, Word};
use vmm_client::handles::{
    empty_slot, free_slot, take_slot, Child, Handle, Memory, Object, Program, Result,
};
use vmm_client::objects::{Amounts, ProgramOptions, Rights, State, FIRST_FREE_SLOT};
use vmm_client::{program, tell};
use vmm_clients::{now, COUNTER_PRIORITY};

program!(main);

/// What a program may have that it starts, with what that starts.
const CHILD: Amounts = Amounts([400, 320, 1000, 120, 24, 240, 480, 0]);
/// The threads that count, and the words of the page at which they and others do.
const THREADS: usize = 8;
const WORDS: usize = THREADS + 1;
/// The most ticks until it is answered that a program has ended, and for each of its threads.
const MAX: u64 = 500_000;
const EACH: u64 = 2_000;
/// Ticks in which a thread would run that does: several slices.
const LONG: u64 = 60_000_000;

/// What one of them does: its arguments, at which words it and what it starts count, its threads.
type Run = (&'static str, &'static [usize], u64);
const RUNS: [Run; 5] = [
    ("count 8", &[0, 1, 2, 3, 4, 5, 6, 7], 8),
    ("tree 8", &[0, 1, 2, 8], 1),
    ("join 0", &[0], 2),
    ("wait 0", &[0], 1),
    ("touch 0", &[], 1),
];

fn main(program: &Program, rounds: usize) -> Result {
    // The file is in the first slot.
    assert_eq!(take_slot()?, FIRST_FREE_SLOT);
    let file = Memory::from_slot(FIRST_FREE_SLOT);
    let (account, space) = (program.account(), program.space());
    let before = account.amounts()?.used;
    let shared = account.create_memory(1)?;
    let mapping = space.map(&shared, Rights::READ_WRITE, &account)?;
    // SAFETY: the page is there when it is touched, and holds atomic words that all have.
    let words = unsafe { &*(mapping.address() as *const [AtomicU32; WORDS]) };
    let paged = account.create_paged(1, 1)?;
    let to_map = paged.to_map(Rights::READ, &account)?;
    let (notification, told) = account.create_notification()?;
    let with_nobody = account.amounts()?.used;
    let mut longest = 0;
    let runs = RUNS.into_iter().cycle().take(rounds * RUNS.len()).enumerate();
    for (round, (arguments, counted, threads)) in runs {
        words.iter().for_each(|word| word.store(0, Relaxed));
        let options = ProgramOptions::empty();
        let mut starting = account.begin_program("runner", &file, CHILD, options)?;
        starting.give("file", &file, Rights::READ)?;
        starting.give("shared", &shared, Rights::READ_WRITE)?;
        starting.give("paged", &to_map, Rights::READ)?;
        let (child, its_space, its_account) = starting.start(arguments, COUNTER_PRIORITY)?;
        child.tell_end(told)?;
        // All that are to count do, and who waits waits.
        while !counted.iter().all(|&nth| words[nth].load(Relaxed) > 1000) {
            sel4::r#yield();
        }
        if counted.is_empty() {
            while child.status()?.state != State::Waiting {
                sel4::r#yield();
            }
        }
        // Its own slice begins anew, so that no other has his in between.
        sel4::r#yield();
        let counting = arguments.starts_with("count");
        if counting {
            longest = longest.max(suspend(&child, told, (words, round))?);
            sel4::r#yield();
        }
        let begun = now();
        child.kill()?;
        let took = now() - begun;
        assert!(took <= MAX + EACH * threads, "{arguments}: {took}");
        longest = longest.max(took);
        stopped(&words[..if counting { THREADS } else { 0 }]);
        // Nobody asks for anything: that all is back is told.
        cap::Notification::from_bits(told as Word).wait();
        assert!(child.status()?.gone);
        stopped(words);
        child.remove(its_space, its_account)?;
        assert_eq!(account.amounts()?.used, with_nobody, "{arguments}");
    }
    tell!("{} programs ended, each within {longest} ticks", rounds * RUNS.len());
    empty_slot(told);
    notification.destroy()?;
    // With it goes the capability that was derived from it.
    paged.destroy()?;
    free_slot(to_map.slot());
    mapping.unmap()?;
    shared.destroy()?;
    assert_eq!(account.amounts()?.used, before);
    Ok(())
}

/// That nobody counts at these words.
fn stopped(words: &[AtomicU32]) {
    let (until, mut found) = (now() + LONG, [0; WORDS]);
    let seen = || words.iter().map(|word| word.load(Relaxed));
    found.iter_mut().zip(seen()).for_each(|(word, now)| *word = now);
    while now() < until {
        sel4::r#yield();
    }
    assert!(seen().zip(found).all(|(now, then)| now == then), "it runs on");
}

/// A250: suspends a program whose threads count, is told when all have stopped, and resumes it, or
/// leaves it so. Returns how long the longer answer took.
fn suspend(child: &Child, told: u32, (words, round): (&[AtomicU32; WORDS], usize)) -> Result<u64> {
    let counting = &words[..THREADS];
    let begun = now();
    child.suspend()?;
    let took = now() - begun;
    stopped(counting);
    cap::Notification::from_bits(told as Word).wait();
    assert_eq!(child.status()?.state, State::Suspended);
    if round % 2 == 0 {
        return Ok(took);
    }
    let before = counting.iter().map(|word| word.load(Relaxed)).sum::<u32>();
    let begun = now();
    child.resume()?;
    let took = took.max(now() - begun);
    assert!(took <= MAX, "{took}");
    while counting.iter().map(|word| word.load(Relaxed)).sum::<u32>() == before {
        sel4::r#yield();
    }
    // It goes on with all of them.
    let before: [u32; WORDS] = core::array::from_fn(|nth| words[nth].load(Relaxed));
    while counting.iter().zip(before).any(|(word, before)| word.load(Relaxed) == before) {
        sel4::r#yield();
    }
    sel4::r#yield();
    Ok(took)
}
