// SPDX-License-Identifier: BSD-2-Clause
//! Floods the service with requests of one kind, or computes and watches what it gets of the
//! processor beside others that do.
#![no_std]
#![no_main]

use sel4::{cap, MessageInfo, MessageInfoBuilder, Word};
use vmm_client::handles::{
    take_slot, AccountInfo, Child, Handle, JoinHandle, Mapping, Memory, Object, PagedMemory,
    Program, Result,
};
use vmm_client::objects::{
    Amounts, FaultPolicy, ProgramOptions, Resource, Rights, State, Supply, ACCOUNT_SLOT,
    FIRST_FREE_SLOT, MAX_SUPPLY, PAGE_BYTES, PROGRAM_SLOT,
};
use vmm_client::{program, tell};
use vmm_clients::{load, now, Flood, COUNTER_PRIORITY, NAP_MS, OWN_GAP};

program!(main);

/// Pages that are touched one by one.
const TOUCHED: u32 = 32;
/// Pages of a large request: as many as the account has.
const MANY: u32 = 200;
/// Pages of memory of which it makes a clone.
const HALF: u32 = MANY / 2;
/// What a program may have that it starts.
const STARTED: Amounts = Amounts([60, 40, 150, 10, 3, 16, 32, 0]);
/// Ticks of a millisecond, where instructions are counted.
const TICKS_PER_MS: u64 = 1_000_000;
/// Ticks of a time slice there.
const SLICE: u64 = 10 * TICKS_PER_MS;
/// Threads that sleep beside the first.
const SLEEPERS: usize = 6;
/// Where nothing is.
const NOWHERE: usize = 0x10;
/// The slot of the fault endpoint, in the root of its CSpace, which has 2^4 slots.
const FAULTS: Word = 1 << (Word::BITS - 4);
/// That of its second thread.
const FURTHER_FAULTS: Word = 2 << (Word::BITS - 4);
/// The label of a page fault's message, and its words: where, of what address, whether of an
/// instruction, and the processor's code: a write to a page that is there.
const PAGE_FAULT: Word = 5;
const WRITES: Word = 0b111;
/// The same, of a page that is read and is not there.
const READS: Word = 0b100;

/// `argument` says what, and for how many millions of ticks: 0 for ever. Exits with how often it
/// did that; one that computes with what it got, as [`Flood::watched`] reads.
fn main(program: &Program, argument: usize) -> Result {
    let (flood, ticks) = Flood::of(argument);
    let until = if ticks == 0 { u64::MAX } else { now() + ticks };
    if flood == Flood::Compute {
        program.exit(compute(until))
    }
    if flood == Flood::Nap {
        program.exit(nap(program, until)?)
    }
    if flood == Flood::Start {
        // The file of what is started is in the first slot.
        assert_eq!(take_slot()?, FIRST_FREE_SLOT);
    }
    let memory = program.account().create_memory(1)?;
    let awaited = match flood {
        Flood::ForgedWaiting => wait_beside(program)?,
        _ => 0,
    };
    let mut times = 0;
    if flood as u8 >= Flood::Suspend as u8 {
        let kept = Kept::new(program, flood)?;
        while now() < until {
            kept.once(flood)?;
            times += 1;
        }
        program.exit(times)
    }
    while now() < until {
        match awaited {
            0 => once(program, &memory, flood)?,
            page => cap::Endpoint::from_bits(FURTHER_FAULTS).send(fault_at(page, READS)),
        }
        times += 1;
    }
    program.exit(times)
}

/// Sleeps and measures that, as long as it is told; by how many ticks one was too long at the most.
fn nap(program: &Program, until: u64) -> Result<u32> {
    let least = u64::from(NAP_MS) * TICKS_PER_MS;
    let mut longest = 0;
    while now() < until {
        let begun = now();
        program.sleep(NAP_MS)?;
        let slept = now() - begun;
        assert!(slept >= least, "{slept} of {least}");
        longest = longest.max(slept - least);
    }
    // In kibiticks, so that it is no exit code of a panic.
    Ok((longest >> 10).min(u64::from(u32::MAX >> 10)) as u32 + Flood::MIN_NAP)
}

/// What it has for floods about threads, pages and time.
struct Kept {
    /// A thread that never runs beside it, and one that a fault has suspended.
    endless: JoinHandle<()>,
    faulted: JoinHandle<usize>,
    told: u32,
    /// Memory whose pages it supplies, where it is mapped, and pages for that.
    paged: PagedMemory,
    shown: Mapping,
    store: Memory,
    /// A program that never runs, where it has a file for one.
    child: Option<Child>,
}

impl Kept {
    fn new(program: &Program, flood: Flood) -> Result<Kept> {
        let account = program.account();
        if flood == Flood::Sleep {
            for _ in 0..SLEEPERS {
                let _for_ever = program.spawn(1, COUNTER_PRIORITY, || loop {
                    let _ = Program::THIS.sleep(1);
                })?;
            }
        }
        let endless = program.spawn(1, 1, || loop {
            sel4::r#yield();
        })?;
        let (_notification, told) = account.create_notification()?;
        let policy = FaultPolicy::Suspend;
        let faulted = program.spawn_with(1, COUNTER_PRIORITY, policy, || load(NOWHERE))?;
        assert_eq!(faulted.thread().wait(told)?.state, State::Faulted);
        let paged = account.create_paged(MAX_SUPPLY, MAX_SUPPLY)?;
        let memory = paged.to_map(Rights::READ_WRITE, &account)?;
        let shown = program.space().map(&memory, Rights::READ_WRITE, &account)?;
        let store = account.create_memory(MAX_SUPPLY)?;
        let child = match flood {
            Flood::Limit => {
                let options = ProgramOptions::empty();
                Some(account.create_program("limited", STARTED, options)?.0)
            }
            _ => None,
        };
        Ok(Kept { endless, faulted, told, paged, shown, store, child })
    }

    fn once(&self, flood: Flood) -> Result {
        match flood {
            Flood::Suspend => {
                self.endless.thread().suspend()?;
                self.endless.thread().resume()?;
            }
            Flood::Registers => {
                let registers = self.faulted.thread().registers()?;
                self.faulted.thread().set_registers(registers)?;
            }
            Flood::Bind => {
                self.endless.thread().bind(self.told)?;
                self.endless.thread().unbind()?;
            }
            Flood::Pages => self.page()?,
            Flood::Sleep => Program::THIS.sleep(1)?,
            Flood::Bulk => {
                let (account, space) = (Program::THIS.account(), Program::THIS.space());
                let memory = account.create_large_memory(1)?;
                let mapping = space.map(&memory, Rights::READ_WRITE, &account)?;
                // SAFETY: it is mapped, and nobody else's.
                unsafe { (mapping.address() as *mut usize).write_volatile(1) };
                mapping.unmap()?;
                memory.destroy()?;
            }
            _ => {
                self.child.iter().try_for_each(|child| child.limit_waits(1000))?;
            }
        }
        Ok(())
    }

    /// Supplies all pages, writes to each, and takes them back.
    fn page(&self) -> Result {
        let all = (0, MAX_SUPPLY);
        let _ = self.paged.supply(all, (&self.store, 0), Supply::Give, true)?;
        for page in 0..MAX_SUPPLY as usize {
            let word = (self.shown.address() + page * PAGE_BYTES) as *mut usize;
            // SAFETY: it is mapped, and nobody else's.
            unsafe { word.write_volatile(page) };
        }
        assert_eq!(self.paged.take_back(all, (&self.store, 0))?, (1 << MAX_SUPPLY) - 1);
        Ok(())
    }
}

fn once(program: &Program, memory: &Memory, flood: Flood) -> Result {
    let (account, space) = (program.account(), program.space());
    match flood {
        Flood::Null => drop(memory.info()?),
        Flood::Map => space.map(memory, Rights::READ_WRITE, &account)?.unmap()?,
        Flood::Faults => {
            let memory = account.create_memory(TOUCHED)?;
            let mapping = space.map(&memory, Rights::READ_WRITE, &account)?;
            for page in 0..TOUCHED as usize {
                let word = (mapping.address() + page * PAGE_BYTES) as *mut usize;
                // SAFETY: it is mapped, and nobody else's.
                unsafe { word.write_volatile(page) };
            }
            mapping.unmap()?;
            memory.destroy()?;
        }
        Flood::Large => {
            let memory = account.create_memory(MANY)?;
            let mapping = space.map(&memory, Rights::READ_WRITE, &account)?;
            mapping.populate()?;
            mapping.unmap()?;
            memory.destroy()?;
        }
        Flood::End => {
            let AccountInfo { limits, used, .. } = account.amounts()?;
            let left = limits.of(Resource::Pages) - used.of(Resource::Pages);
            space.map(&account.create_memory(left)?, Rights::READ_WRITE, &account)?.populate()?;
            program.exit(left)
        }
        Flood::Spawn => drop(program.spawn(1, COUNTER_PRIORITY, || ())?.join()?),
        Flood::Start => {
            let (file, options) = (Memory::from_slot(FIRST_FREE_SLOT), ProgramOptions::empty());
            let starting = account.begin_program("brief", &file, STARTED, options)?;
            let (child, its_space, its_account) = starting.start("", COUNTER_PRIORITY)?;
            child.kill()?;
            child.remove(its_space, its_account)?;
        }
        Flood::Clone => {
            let memory = account.create_memory(HALF)?;
            let mapping = space.map(&memory, Rights::READ_WRITE, &account)?;
            mapping.populate()?;
            mapping.protect(Rights::READ)?;
            mapping.unmap()?;
            memory.copy_on_write(&account)?.destroy()?;
            memory.destroy()?;
        }
        Flood::Think => {
            let thought = now() + SLICE / 100 * 76;
            while now() < thought {}
            let until = now() + SLICE / 100 * 98;
            while now() < until {
                memory.info()?;
            }
        }
        Flood::Lines => tell!("a line"),
        Flood::Forged => drop(cap::Endpoint::from_bits(FAULTS).call(forged())),
        Flood::ForgedSent => cap::Endpoint::from_bits(FAULTS).send(forged()),
        Flood::Sent => cap::Endpoint::from_bits(PROGRAM_SLOT as Word).send(nothing()),
        Flood::Stray => cap::Endpoint::from_bits(ACCOUNT_SLOT as Word).send(nothing()),
        // Those that compute or nap are not here, and of others there is more to be kept.
        _ => {}
    }
    Ok(())
}

/// A message that is none of the protocol.
fn nothing() -> MessageInfo {
    MessageInfoBuilder::default().build()
}

/// A fault that there was not: a write to a page of its stack. Each is by another instruction: if
/// one faulted twice at a page that is there, it would be taken to have touched another that is not
/// told.
fn forged() -> MessageInfo {
    let here = [0u8; 1];
    fault_at(here.as_ptr() as usize, WRITES)
}

/// A fault at an address, with the processor's code.
fn fault_at(address: usize, code: Word) -> MessageInfo {
    let words = [now() as Word, address as Word, 0, code];
    sel4::with_ipc_buffer_mut(|buffer| {
        buffer.msg_regs_mut()[..words.len()].copy_from_slice(&words)
    });
    MessageInfoBuilder::default().label(PAGE_FAULT).length(words.len()).build()
}

/// Has a thread of its wait for a page of memory that has no pager. Returns the page's address.
fn wait_beside(program: &Program) -> Result<usize> {
    let account = program.account();
    let paged = account.create_paged(1, 1)?;
    let to_map = paged.to_map(Rights::READ, &account)?;
    let address = program.space().map(&to_map, Rights::READ, &account)?.address();
    let _endless = program.spawn(1, COUNTER_PRIORITY, move || {
        // SAFETY: the page is there if it is ever supplied.
        unsafe { (address as *const u8).read_volatile() }
    })?;
    // It touches the page.
    sel4::r#yield();
    Ok(address)
}

/// Reads the counter all the time, and says what gaps there were.
fn compute(until: u64) -> u32 {
    let mut gaps = [0u32; 64];
    let begun = now();
    let (mut last, mut own, mut longest) = (begun, 0, 0);
    while last < until {
        let now = now();
        let gap = now - last;
        last = now;
        if gap < OWN_GAP {
            own += gap;
        } else {
            gaps[gap.ilog2() as usize] += 1;
            longest = longest.max(gap);
        }
    }
    let large = |bits: usize| gaps[bits..].iter().sum::<u32>();
    let between = |low: usize, high: usize| large(low) - large(high);
    tell!(
        "gaps below 2^16: {}, 2^20: {}, 2^22: {}, 2^23: {}, 2^24: {}, 2^25: {}, more: {}",
        between(0, 16),
        between(16, 20),
        between(20, 22),
        between(22, 23),
        between(23, 24),
        between(24, 25),
        large(25)
    );
    Flood::watch(own, last - begun, longest)
}
