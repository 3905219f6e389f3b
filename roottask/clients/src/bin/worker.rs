// SPDX-License-Identifier: BSD-2-Clause
//! Does as its arguments say: `list` what it was given, `sum N`, `threads N` for as many that do,
//! `start N` for another worker that does, `sleep N` milliseconds, `read N` for a word of a page of
//! the memory that it was given, `device NAME` for memory that is a device's, `large` for all large
//! pages that it has, or `overflow`.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicBool, Ordering};

use vmm_client::handles::{Error, Handle, JoinHandle, Mapping, Memory, Object, Program, Result};
use vmm_client::objects::first_page::Given;
use vmm_client::objects::{Amounts, Kind, ProgramOptions, Resource, Rights, State, PAGE_BYTES};
use vmm_client::{program, tell};

extern crate alloc;

use alloc::vec::Vec;

program!(main);
vmm_client::heap!(HEAP);

/// The priority of its threads.
const PRIORITY: u8 = 1;
/// What a worker may have that another starts.
const CHILD: Amounts = Amounts([80, 70, 250, 10, 4, 30, 60, 0]);
/// The exit code of one that was told nothing that it can do.
const CONFUSED: u32 = 77;

fn main(program: &Program, argument: usize) -> Result {
    let given = program.given(argument);
    let given = given.unwrap_or_else(|| program.exit(CONFUSED));
    let (what, number) = given.arguments().split_once(' ').unwrap_or((given.arguments(), "0"));
    let (name, number) = (number, number.parse().unwrap_or(0));
    let code = match what {
        "sum" => sum(program, number)?,
        "list" => list(&given)?,
        "threads" => threads(program, number)?,
        "sleep" => program.sleep(number).map(|()| number)?,
        "read" => read(program, &given, number)?,
        "device" => device(program, &given, name)?,
        "large" => large(program)?,
        "overflow" => overflow(1),
        "start" => match (given.slot("file"), given.slot("told")) {
            (Some(file), Some(told)) => start(program, (file, told), number)?,
            _ => CONFUSED,
        },
        _ => CONFUSED,
    };
    program.exit(code)
}

/// Says what it was given of memory.
fn list(given: &Given<'_>) -> Result<u32> {
    for object in given.objects().filter(|object| object.kind == Some(Kind::Memory)) {
        let pages = Memory::from_slot(object.slot).pages()?.pages;
        tell!("{} has {} pages", object.name, pages);
    }
    Ok(0)
}

/// Writes 1 to `pages` pages of memory, and adds what is there.
fn sum(program: &Program, pages: u32) -> Result<u32> {
    let account = program.account();
    let memory = account.create_memory(pages)?;
    let mapping = program.space().map(&memory, Rights::READ_WRITE, &account)?;
    let word = |page: u32| (mapping.address() + page as usize * PAGE_BYTES) as *mut u32;
    let mut sum = 0;
    for page in 0..pages {
        // SAFETY: all pages of the mapping appear when they are touched, and nobody else has them.
        sum += unsafe {
            word(page).write_volatile(word(page).read_volatile() + 1);
            word(page).read_volatile()
        };
    }
    // It ends with all that it has: nothing needs to be given back.
    Ok(sum)
}

/// Has as many threads add, each in memory of its own, and adds what they have found. Beside them
/// one computes for ever, and is ended.
fn threads(program: &Program, number: u32) -> Result<u32> {
    let used = |program: &Program| program.account().amounts().map(|amounts| amounts.used);
    let endless = program.spawn(1, PRIORITY, || loop {
        sel4::r#yield();
    })?;
    let mut all = Vec::new();
    for pages in 1..=number {
        all.push(program.spawn(2, PRIORITY, move || sum(&Program::THIS, pages))?);
    }
    let before = used(program)?;
    let mut found = 0;
    for thread in all {
        found += thread.join()?.expect("it has returned")?;
    }
    endless.thread().end(0)?;
    let never: Option<()> = endless.join()?;
    assert!(never.is_none());
    // What threads are made of is back, with their program as it was.
    let after = used(program)?;
    assert!(after.of(Resource::Objects) < before.of(Resource::Objects));
    assert!(joins_itself(program)?);
    Ok(found)
}

/// A183: has a thread join itself, and returns whether that was refused.
fn joins_itself(program: &Program) -> Result<bool> {
    static GIVEN: AtomicBool = AtomicBool::new(false);
    static REFUSED: AtomicBool = AtomicBool::new(false);
    let mut place: Option<JoinHandle<()>> = None;
    let at = &raw mut place as usize;
    let joins = program.spawn(2, PRIORITY, move || {
        while !GIVEN.load(Ordering::Acquire) {
            sel4::r#yield();
        }
        // SAFETY: the other thread leaves it alone from now on, and waits.
        let own = unsafe { (*(at as *mut Option<JoinHandle<()>>)).take() };
        let answer = own.map(JoinHandle::join);
        REFUSED.store(matches!(answer, Some(Err(Error::JoinsItself))), Ordering::Release);
        GIVEN.store(false, Ordering::Release);
    })?;
    // SAFETY: the thread looks at it when it was given.
    unsafe { (at as *mut Option<JoinHandle<()>>).write(Some(joins)) };
    GIVEN.store(true, Ordering::Release);
    // This one has a higher priority, so another of theirs waits.
    let waits = program.spawn(1, PRIORITY, || {
        while GIVEN.load(Ordering::Acquire) {
            sel4::r#yield();
        }
    })?;
    waits.join()?;
    Ok(REFUSED.load(Ordering::Acquire))
}

/// Starts another worker, waits for its end, and has its exit code.
fn start(program: &Program, (file, told): (u32, u32), number: u32) -> Result<u32> {
    let file = Memory::from_slot(file);
    let options = ProgramOptions::empty();
    let mut starting = program.account().begin_program("grandchild", &file, CHILD, options)?;
    starting.give_console()?;
    let arguments: &str = if number == 0 { "sum 3" } else { "sum 5" };
    let (child, space, account) = starting.start(arguments, 1)?;
    let status = child.wait(told)?;
    assert_eq!(status.state, State::Exited);
    child.remove(space, account)?;
    tell!("a worker that it has started itself has ended with {}", status.code);
    assert_eq!(file.info().map(|_| ()), Ok(()));
    Ok(status.code + 1)
}

/// Reads the first word of a page of memory that it was given.
fn read(program: &Program, given: &Given<'_>, page: u32) -> Result<u32> {
    let Some(slot) = given.slot("memory") else { return Ok(CONFUSED) };
    let (memory, account) = (Memory::from_slot(slot), program.account());
    let mapping = program.space().map(&memory, Rights::READ, &account)?;
    let word = (mapping.address() + page as usize * PAGE_BYTES) as *const u32;
    // SAFETY: the page appears when it is touched, and nobody writes to it.
    Ok(unsafe { word.read_volatile() })
}

/// Writes to a device's memory, of this name, and says what is there then.
fn device(program: &Program, given: &Given<'_>, name: &str) -> Result<u32> {
    let Some(slot) = given.slot(name) else { return Ok(CONFUSED) };
    let (memory, account) = (Memory::from_slot(slot), program.account());
    let map = || program.space().map(&memory, Rights::READ_WRITE, &account);
    let (mapping, again) = (map()?, map()?);
    let pages = mapping.pages();
    // One page is written in one place, and read in the other; the last is read in both.
    let word = 4 * PAGE_BYTES / 8;
    let last = (pages as usize - 1) * PAGE_BYTES;
    let at = |mapping: &Mapping, byte: usize| (mapping.address() + byte) as *mut u32;
    // SAFETY: the pages are the device's, and this program's alone.
    let (found, same) = unsafe {
        at(&mapping, word).write_volatile(0x1f21_1f48);
        let ends = [&mapping, &again].map(|mapping| at(mapping, last).read_volatile());
        (at(&again, word).read_volatile(), ends[0] == ends[1])
    };
    tell!("{name} has {pages} pages, and shows {found:#x}; its end is the same twice: {same}");
    again.unmap()?;
    mapping.unmap()?;
    memory.destroy()?;
    Ok(0)
}

/// Has memory of all large pages of its account, writes to the last byte of it, and gives it back.
fn large(program: &Program) -> Result<u32> {
    let account = program.account();
    let all = account.amounts()?.limits.of(Resource::LargePages);
    let memory = account.create_large_memory(all)?;
    let mapping = program.space().map(&memory, Rights::READ_WRITE, &account)?;
    let bytes = mapping.pages() as usize * PAGE_BYTES;
    let last = (mapping.address() + bytes - 1) as *mut u8;
    // SAFETY: the page appears when it is touched, and nobody else has it.
    let found = unsafe {
        last.write_volatile(last.read_volatile() + 7);
        last.read_volatile()
    };
    mapping.unmap()?;
    memory.destroy()?;
    let left = account.amounts()?.used.of(Resource::LargePages);
    tell!("{all} large pages are {bytes} bytes, the last of them {found}; {left} of them are used");
    Ok(0)
}

/// Uses more stack than there is.
#[allow(unconditional_recursion)]
fn overflow(depth: u32) -> u32 {
    let frame = core::hint::black_box([depth; 64]);
    overflow(depth + 1) + frame[depth as usize % 64]
}
