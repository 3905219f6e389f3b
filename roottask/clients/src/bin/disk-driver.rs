// SPDX-License-Identifier: BSD-2-Clause
//! The driver of an IDE disk: does what is asked for in its queue, by DMA, within the area that its
//! arguments say: `first=SECTOR pages=PAGES`. A command that fails is done again page by page, so
//! that no page fails but those that do by themselves.
#![no_std]
#![no_main]

use sel4::{cap, Word};
use vmm_client::handles::{mint_bit, Account, Handle, Memory, Program, Result};
use vmm_client::objects::first_page::Given;
use vmm_client::objects::Rights;
use vmm_client::{program, tell};
use vmm_clients::disk::{
    number_of, Channel, DiskError, Ports, Queue, Transfer, BUFFER_PAGES, LINE_BIT, NO_DISK,
    PAGE_SECTORS,
};

program!(main);

/// The first ports of the two ranges that are where they were in an AT.
const COMMAND: u16 = 0x1f0;
const CONTROL: u16 = 0x3f6;

/// The ports that it was given: of commands, of control, and the others: of the bus master.
fn ports(given: &Given<'_>) -> Option<[Ports; 3]> {
    let mut found = [None; 3];
    for object in given.objects() {
        let Some(first) = object.name.strip_prefix("ports-") else { continue };
        let first = u16::from_str_radix(first, 16).ok()?;
        let place = match first {
            COMMAND => 0,
            CONTROL => 1,
            _ => 2,
        };
        found[place] = Some(Ports { ports: cap::IOPort::from_bits(object.slot as Word), first });
    }
    match found {
        [Some(command), Some(control), Some(master)] => Some([command, control, master]),
        _ => None,
    }
}

/// Does what was asked for; returns which pages failed.
fn serve(channel: &Channel, (begin, all): (u32, u32), asked: Transfer) -> u32 {
    let Transfer { write, first, at, pages } = asked;
    let fits = |first: u32, all| first.checked_add(pages).is_some_and(|end| end <= all);
    if pages == 0 || !fits(first, all) || !fits(at, BUFFER_PAGES) {
        return u32::MAX;
    }
    let sector = |page: u32| begin + page * PAGE_SECTORS;
    if channel.transfer(write, sector(first), (at, pages)).is_ok() {
        return 0;
    }
    let fails = |page: &u32| channel.transfer(write, sector(first + page), (at + page, 1)).is_err();
    (0..pages).filter(fails).fold(0, |failed, page| failed | 1 << page)
}

fn main(program: &Program, argument: usize) -> Result {
    let given = program.given(argument).expect("init gives it something");
    let slot = |name| given.slot(name).expect("init gives it all that it takes");
    let memory = |name| Memory::from_slot(slot(name));
    let (account, space) = (program.account(), program.space());
    let queue = space.map(&memory("queue"), Rights::READ_WRITE, &account)?;
    // SAFETY: it stays mapped, and its page appears when it is touched.
    let queue = unsafe { Queue::at(queue.address()) };
    let table = space.map(&memory("table"), Rights::READ_WRITE, &account)?;
    let teller = Account::from_slot(slot("teller"));
    let table = (table.address(), memory("table").locate(0, &teller)?);
    let mut buffer = [0; BUFFER_PAGES as usize];
    for (page, address) in buffer.iter_mut().enumerate() {
        *address = memory("buffer").locate(page as u32, &teller)?;
    }
    let work = cap::Notification::from_bits(slot("work") as Word);
    let done = cap::Notification::from_bits(slot("done") as Word);
    let line = cap::IrqHandler::from_bits(slot("irq-14") as Word);
    let at_line = cap::Notification::from_bits(mint_bit(slot("work"), LINE_BIT)? as Word);
    let made = line.irq_handler_set_notification(at_line).map_err(DiskError::Port);
    let ports = ports(&given).expect("three ranges of ports are among it");
    let channel = made.and_then(|()| Channel::new(ports, (line, work), table, buffer));
    let channel = match channel {
        Ok(channel) => channel,
        Err(error) => {
            tell!("there is no disk to drive: {error}");
            program.exit(NO_DISK);
        }
    };
    let begin = number_of(given.arguments(), "first").unwrap_or(0);
    let wanted = number_of(given.arguments(), "pages").unwrap_or(0);
    // What the disk does not have fails, as what is beyond the area does.
    let all = wanted.min(channel.sectors.saturating_sub(begin) / PAGE_SECTORS);
    if queue.begin() == 0 {
        let sectors = channel.sectors;
        tell!("a disk of {sectors} sectors, {all} pages from sector {begin} on of {wanted} wanted");
    }
    loop {
        if let Some(asked) = queue.asked() {
            queue.answer(serve(&channel, (begin, all), asked));
        }
        // Also of one before, who was ended before he said so.
        if queue.is_answered() {
            done.signal();
        }
        work.wait();
        line.irq_handler_ack().expect("it is a handler of interrupts");
    }
}
