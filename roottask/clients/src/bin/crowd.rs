// SPDX-License-Identifier: BSD-2-Clause
//! Starts programs of this one file whose threads send all at once, whatever they may, and ends
//! what they send by, or them: with what they sent and was not received yet. Who serves them must
//! hold nobody: of a program that sends without waiting any thread is held, whatever that called.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use sel4::{cap, MessageInfo, MessageInfoBuilder, Word};
use vmm_client::handles::{
    empty_slot, free_slot, take_slot, Handle, Memory, Object, Program, Result,
};
use vmm_client::objects::first_page::Given;
use vmm_client::objects::{
    Amounts, ProgramOptions, Resource, Rights, FIRST_FREE_SLOT, PAGE_BYTES, PROGRAM_SLOT,
};
use vmm_client::{program, tell};
use vmm_clients::{now, COUNTER_PRIORITY};

program!(main);

/// What a program may have that it starts.
const CHILD: Amounts = Amounts([120, 220, 300, 24, 6, 60, 120, 0]);
const LARGE: Resource = Resource::LargePages;
/// Threads of such a program that send again and again.
const SENDERS: usize = 5;
/// Pages of memory that is touched.
const PAGES: u32 = 8;
/// The slot of the fault endpoint of a first thread, in the root of its CSpace, which has 2^4.
const FAULTS: Word = 1 << (Word::BITS - 4);
/// The label of a page fault's message.
const PAGE_FAULT: Word = 5;
/// How often each of them goes on before anything is ended.
const TURNS: u32 = 2;
/// How often one does something that ends by itself, and the exit code of that.
const TIMES: usize = 20;
const DONE: u32 = 9;

/// How each of such programs ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    /// What one of its threads sends by is revoked first.
    Revoked,
    Killed,
    /// Its account ends, and it with that.
    WithAccount,
    /// By itself, beside threads that send.
    Exits,
}

const ENDINGS: [Ending; 4] = [Ending::Revoked, Ending::Killed, Ending::WithAccount, Ending::Exits];

/// How often each thread has begun to send, and has gone on.
struct Figures {
    begun: [AtomicU32; SENDERS],
    done: [AtomicU32; SENDERS],
}

impl Figures {
    fn count(&self, nth: usize, send: impl FnOnce()) {
        self.begun[nth].fetch_add(1, Relaxed);
        send();
        self.done[nth].fetch_add(1, Relaxed);
    }

    /// How many of them have sent something and not gone on.
    fn queued(&self) -> u32 {
        let pairs = self.begun.iter().zip(&self.done);
        pairs.map(|(begun, done)| u32::from(begun.load(Relaxed) != done.load(Relaxed))).sum()
    }
}

fn main(program: &Program, argument: usize) -> Result {
    match program.given(argument) {
        Some(given) => send_all(program, &given),
        None => crowd(program, argument),
    }
}

/// Who starts and ends the others, `rounds` times.
fn crowd(program: &Program, rounds: usize) -> Result {
    assert_eq!(take_slot()?, FIRST_FREE_SLOT);
    let file = Memory::from_slot(FIRST_FREE_SLOT);
    let (account, space) = (program.account(), program.space());
    let before = account.amounts()?.used;
    let page = account.create_memory(1)?;
    let shown = space.map(&page, Rights::READ_WRITE, &account)?;
    // SAFETY: the page is there when it is touched, and holds atomic words that all have.
    let figures = unsafe { &*(shown.address() as *const Figures) };
    let (notification, told) = account.create_notification()?;
    let used = account.amounts()?.used;
    let mut queued = [0; ENDINGS.len()];
    for ending in ENDINGS.into_iter().cycle().take(rounds) {
        figures.begun.iter().chain(&figures.done).for_each(|figure| figure.store(0, Relaxed));
        let mut lent = account.create_memory(1)?;
        let options = ProgramOptions::empty();
        // What makes a program takes a little beside.
        let payer = account.split(Amounts(CHILD.0.map(|amount| amount + 16)).with(LARGE, 0))?;
        let mut starting = payer.begin_program("sends", &file, CHILD, options)?;
        starting.give("figures", &page, Rights::READ_WRITE)?;
        starting.give("lent", &lent, Rights::READ)?;
        starting.give_console()?;
        let what = if ending == Ending::Exits { "ends" } else { "" };
        let (child, its_space, its_account) = starting.start(what, COUNTER_PRIORITY)?;
        child.tell_end(told)?;
        // Not by yielding: the server may be held until nobody runs.
        while figures.done.iter().any(|done| done.load(Relaxed) < TURNS) {
            if child.status()?.state.is_end() {
                assert!(ending == Ending::Exits, "{ending:?}");
                break;
            }
        }
        queued[ending as usize] += figures.queued();
        match ending {
            Ending::Revoked => {
                lent = lent.revoke()?;
                // It goes on with all else.
                (0..TURNS).try_for_each(|_| child.status().map(|_| ()))?;
                child.kill()?;
            }
            Ending::Killed => child.kill()?,
            Ending::WithAccount | Ending::Exits => {}
        }
        if ending == Ending::WithAccount {
            payer.destroy()?;
            // It is told, though its record is gone with who paid for it.
            cap::Notification::from_bits(told as Word).wait();
            assert!(child.status().is_err());
            [child.slot(), its_space.slot(), its_account.slot()].into_iter().for_each(free_slot);
        } else {
            let status = child.wait(told)?;
            assert_eq!(status.code, if ending == Ending::Exits { DONE } else { 0 }, "{ending:?}");
            child.remove(its_space, its_account)?;
            payer.destroy()?;
        }
        lent.destroy()?;
        assert_eq!(account.amounts()?.used, used, "{ending:?}");
    }
    assert!(queued.iter().all(|&queued| queued != 0), "{queued:?}");
    tell!("{rounds} programs ended, with {queued:?} messages that waited");
    empty_slot(told);
    notification.destroy()?;
    shown.unmap()?;
    page.destroy()?;
    assert_eq!(account.amounts()?.used, before);
    Ok(())
}

/// One that was started: all its threads send.
fn send_all(program: &Program, given: &Given<'_>) -> Result {
    let account = program.account();
    let slot = |name| given.slot(name).unwrap_or_else(|| program.exit(0));
    let (page, lent) = (Memory::from_slot(slot("figures")), slot("lent"));
    let shown = program.space().map(&page, Rights::READ_WRITE, &account)?.address();
    // SAFETY: the page is there when it is touched, and holds atomic words that all have.
    let figures: &'static Figures = unsafe { &*(shown as *const Figures) };
    let at = |slot: u32| cap::Endpoint::from_bits(slot as Word);
    for (nth, to) in [(0, at(lent)), (1, at(lent)), (2, at(PROGRAM_SLOT))] {
        // Who has nothing more to send by ends.
        let _sends = program.spawn(1, COUNTER_PRIORITY, move || loop {
            figures.count(nth, || to.send(nothing()));
            if Memory::from_slot(lent).info().is_err() {
                figures.done[nth].fetch_add(TURNS, Relaxed);
                break;
            }
        })?;
    }
    let forges = cap::Endpoint::from_bits(FAULTS);
    let _forges = program.spawn(1, COUNTER_PRIORITY, move || loop {
        figures.count(3, || forges.send(forged()));
        let _ = Memory::from_slot(lent).info();
    })?;
    let mut times = 0;
    loop {
        // A thread that touches pages, and ends by itself or is ended beside that.
        let memory = account.create_memory(PAGES)?;
        let mapping = program.space().map(&memory, Rights::READ_WRITE, &account)?;
        let (to, touched) = (mapping.address(), times % 2 == 0);
        let touches = program.spawn(1, COUNTER_PRIORITY, move || {
            for page in 0..PAGES as usize {
                let word = (to + page * PAGE_BYTES) as *mut usize;
                // SAFETY: it is mapped until this thread has ended, and nobody else's.
                figures.count(4, || unsafe { word.write_volatile(page) });
            }
        })?;
        if touched {
            touches.join()?;
        } else {
            program.account().amounts()?;
            let ended = touches.thread().end(0);
            assert!(ended.is_ok() || touches.thread().status()?.state.is_end());
            touches.join()?;
            figures.done[4].store(figures.begun[4].load(Relaxed), Relaxed);
        }
        mapping.unmap()?;
        memory.destroy()?;
        times += 1;
        if given.arguments() == "ends" && times >= TIMES {
            program.exit(DONE)
        }
    }
}

/// A message that is none of the protocol.
fn nothing() -> MessageInfo {
    MessageInfoBuilder::default().build()
}

/// A fault of the first thread that there was not: a write to the page in which this is.
fn forged() -> MessageInfo {
    let here = [0u8; 1];
    let words = [now() as Word, here.as_ptr() as Word, 0, 0b111];
    sel4::with_ipc_buffer_mut(|buffer| {
        buffer.msg_regs_mut()[..words.len()].copy_from_slice(&words)
    });
    MessageInfoBuilder::default().label(PAGE_FAULT).length(words.len()).build()
}
