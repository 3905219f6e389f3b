// SPDX-License-Identifier: BSD-2-Clause
//! What there is: a disk with its driver, a pager, and the memory by which they know each other.

use sel4::{cap, CapRights, CapRightsBuilder, Word};
use vmm_client::handles::{
    empty_slot, mint, Account, Child, ChildStatus, Handle, Memory, Notification, Object,
    PagedMemory, Program, Result, Space,
};
use vmm_client::objects::first_page::Given;
use vmm_client::objects::{Amounts, ProgramOptions, Rights, State};
use vmm_client::tell;
use vmm_clients::disk::{
    number_of, Figure, Figures, Queue, BUFFER_PAGES, DISK_BIT, NO_DISK, WORK_BIT,
};

/// Priority of all of them.
const PRIORITY: u8 = 100;
/// What a driver may have, and a program that uses memory.
const DRIVER: Amounts = Amounts([150, 60, 400, 20, 5, 60, 120, 0]);

pub type Running = (Child, Space, Account);

/// A program that is running, with what it has of it.
pub struct System<'a> {
    pub program: &'a Program,
    pub given: Given<'a>,
    /// A notification for ends.
    pub told: u32,
    work: u32,
    done: u32,
    queue: Memory,
    table: Memory,
    buffer: Memory,
    pub shown: &'static Queue,
    driver: Option<Running>,
    /// How often it was started again.
    pub restarts: u32,
}

/// The rights to signal, and nothing else.
fn to_signal() -> CapRights {
    CapRightsBuilder::none().write(true).build()
}

/// Paged memory and its pager.
pub struct Swapped {
    pub paged: PagedMemory,
    figures: Memory,
    counts: &'static Figures,
    pager: Running,
}

impl<'a> System<'a> {
    /// With a driver that runs.
    pub fn new(program: &'a Program, given: Given<'a>) -> Result<System<'a>> {
        let account = program.account();
        let notification =
            || account.create_notification().map(|(_, slot): (Notification, _)| slot);
        let (told, work, done) = (notification()?, notification()?, notification()?);
        let [queue, table] = [account.create_memory(1)?, account.create_memory(1)?];
        let buffer = account.create_memory(BUFFER_PAGES)?;
        let shown = program.space().map(&queue, Rights::READ_WRITE, &account)?;
        // SAFETY: it stays mapped, and its page appears when it is touched.
        let shown = unsafe { Queue::at(shown.address()) };
        let (driver, restarts) = (None, 0);
        let parts = System {
            program,
            given,
            told,
            work,
            done,
            queue,
            table,
            buffer,
            shown,
            driver,
            restarts,
        };
        let mut system = parts;
        system.start_driver()?;
        Ok(system)
    }

    /// A number that stands in the arguments.
    pub fn number(&self, name: &str) -> u32 {
        let number = number_of(self.given.arguments(), name);
        number.unwrap_or_else(|| panic!("the arguments have no {name}=NUMBER"))
    }

    pub fn file(&self, name: &str) -> Memory {
        Memory::from_slot(self.given.slot(name).expect("the root task gives all files"))
    }

    /// Starts a driver with the ports and the interrupt that the root task gave. It is as trusted
    /// as the service: the device reads and writes whatever memory it says.
    fn start_driver(&mut self) -> Result {
        let (account, both) = (self.program.account(), Rights::READ_WRITE);
        let file = self.file("disk-driver");
        let options = ProgramOptions::empty();
        let mut starting = account.begin_program("driver", &file, DRIVER, options)?;
        starting.give_console()?;
        let devices = self.given.objects().filter(|object| object.kind.is_none());
        for device in devices {
            starting.give_kernel(device.name, device.slot)?;
        }
        // The right to be told where memory lies, and no other.
        starting.give("teller", &account, Rights::ADDRESS)?;
        starting.give("queue", &self.queue, both)?;
        starting.give("table", &self.table, both | Rights::USE)?;
        starting.give("buffer", &self.buffer, both | Rights::USE)?;
        starting.give_kernel("work", self.work)?;
        let done = mint(self.done, to_signal(), DISK_BIT)?;
        starting.give_kernel("done", done)?;
        empty_slot(done);
        let (first, pages) = (self.number("first"), self.number("places"));
        let mut text = Text::new();
        text.add("first=").number(first).add(" pages=").number(pages);
        let driver = starting.start(text.as_str(), PRIORITY)?;
        driver.0.tell_end(self.told)?;
        self.driver = Some(driver);
        Ok(())
    }

    /// Ends the driver, whatever it does. Who waits for an end starts another.
    pub fn kill_driver(&self) -> Result {
        self.driver.as_ref().map_or(Ok(()), |(child, _, _)| child.kill())
    }

    /// Starts the driver again if it has ended: for whatever reason, but that there is no disk.
    pub fn attend_driver(&mut self) -> Result {
        let Some((child, space, account)) = self.driver.take() else { return Ok(()) };
        let status = child.status()?;
        if !status.gone {
            self.driver = Some((child, space, account));
            return Ok(());
        }
        child.remove(space, account)?;
        if (status.state, status.code) == (State::Exited, NO_DISK) {
            self.program.exit(NO_DISK);
        }
        self.restarts += 1;
        self.start_driver()
    }

    /// Ends the driver for good.
    pub fn close(&mut self) -> Result {
        self.kill_driver()?;
        let Some((child, space, account)) = self.driver.take() else { return Ok(()) };
        child.wait(self.told)?;
        child.remove(space, account)
    }

    /// Waits until a program has ended or faulted; meanwhile a driver that ends is started again.
    fn wait(&mut self, child: &Child) -> Result<ChildStatus> {
        child.tell_end(self.told)?;
        loop {
            let status = child.status()?;
            if status.gone || status.state == State::Faulted {
                return Ok(status);
            }
            self.attend_driver()?;
            cap::Notification::from_bits(self.told as Word).wait();
        }
    }

    /// Paged memory of so many pages, and a pager for it.
    pub fn swapped(&self, pages: u32) -> Result<Swapped> {
        let account = self.program.account();
        let (most, pool) = (self.number("most").min(pages), self.number("pool"));
        let paged = account.create_paged(pages, most)?;
        let figures = account.create_memory(1)?;
        let shown = self.program.space().map(&figures, Rights::READ_WRITE, &account)?;
        // SAFETY: it stays mapped, and its page appears when it is touched.
        let counts = unsafe { Figures::at(shown.address()) };
        // Its image and stack, the pool, and twelve bytes for each page of the memory.
        let own = 250 + pool + pages / 200;
        let amounts = Amounts([own, 120 + pool / 200, 2 * own + 600, 20, 5, 80, 400, 0]);
        let file = self.file("swap-pager");
        let mut starting =
            account.begin_program("pager", &file, amounts, ProgramOptions::empty())?;
        starting.give_console()?;
        starting.give("paged", &paged, Rights::PAGE)?;
        starting.give("queue", &self.queue, Rights::READ_WRITE)?;
        starting.give("figures", &figures, Rights::READ_WRITE)?;
        // With either alone it cannot take the buffer's pages away, which the device writes to.
        starting.give("buffer", &self.buffer, Rights::READ_WRITE)?;
        starting.give("copies", &self.buffer, Rights::READ | Rights::USE)?;
        starting.give_kernel("done", self.done)?;
        let work = mint(self.work, to_signal(), WORK_BIT)?;
        starting.give_kernel("work", work)?;
        empty_slot(work);
        let mut text = Text::new();
        text.add("pages=").number(pages).add(" most=").number(most).add(" pool=").number(pool);
        text.add(" places=").number(self.number("places"));
        let pager = starting.start(text.as_str(), PRIORITY)?;
        Ok(Swapped { paged, figures, counts, pager })
    }

    /// Ends a pager, and its memory.
    pub fn end(&mut self, swapped: Swapped) -> Result {
        let (child, space, account) = swapped.pager;
        child.kill()?;
        self.wait(&child)?;
        child.remove(space, account)?;
        swapped.paged.destroy()?;
        // Mapped for as long as this program runs.
        let _ = swapped.figures;
        Ok(())
    }

    /// Starts a program that uses memory with a pager. Its fault suspends it.
    pub fn start(
        &self,
        name: &str,
        file: &str,
        swapped: &Swapped,
        arguments: &str,
    ) -> Result<Running> {
        let account = self.program.account();
        let pages = swapped.paged_pages()?;
        // A slot for each page that can be there, and tables for all.
        let slots = 800 + self.number("most");
        let amounts = Amounts([300, 120 + pages / 200, slots, 20, 5, 60, 200, 0]);
        let options = ProgramOptions::SUSPEND_AT_FAULT;
        let mut starting = account.begin_program(name, &self.file(file), amounts, options)?;
        starting.give_console()?;
        starting.give("swapped", &swapped.paged, Rights::READ_WRITE)?;
        // Sorting a run takes some.
        starting.with_stack(16).start(arguments, PRIORITY)
    }

    /// Waits until a program has ended or faulted, and gives its record back; returns how it was.
    pub fn end_of(&mut self, (child, space, account): Running) -> Result<ChildStatus> {
        let status = self.wait(&child)?;
        if status.state == State::Faulted {
            child.kill()?;
            self.wait(&child)?;
        }
        child.remove(space, account)?;
        Ok(status)
    }

    /// Waits until a program has ended, by itself and with this code.
    pub fn ends_with(&mut self, running: Running, code: u32) -> Result {
        let status = self.end_of(running)?;
        if (status.state, status.code) != (State::Exited, code) {
            tell!("it was to end with {code}, and is {status:?}");
            self.program.exit(1);
        }
        Ok(())
    }
}

impl Swapped {
    /// Tells what the pager has counted.
    pub fn tell(&self) {
        let Figures { faults, hits, ahead, reads, pages_read, .. } = self.counts;
        let Figures { writes, pages_written, dropped, refused, bad, .. } = self.counts;
        let [faults, hits, ahead] = [faults, hits, ahead].map(Figure::get);
        tell!("pager: {faults} faults, {hits} hits, {ahead} pages ahead");
        let [reads, read, writes, written] =
            [reads, pages_read, writes, pages_written].map(Figure::get);
        tell!("pager: {reads} reads of {read} pages, {writes} writes of {written}");
        let [dropped, refused, bad] = [dropped, refused, bad].map(Figure::get);
        tell!("pager: {dropped} unwritten pages dropped, {refused} refused, {bad} places bad");
    }

    fn paged_pages(&self) -> Result<u32> {
        match self.paged.info()? {
            vmm_client::objects::Answer::Memory { pages, .. } => Ok(pages),
            _ => Ok(0),
        }
    }
}

/// A short text that is put together: arguments.
pub struct Text {
    bytes: [u8; 120],
    len: usize,
}

impl Text {
    pub fn new() -> Text {
        Text { bytes: [0; 120], len: 0 }
    }

    pub fn add(&mut self, text: &str) -> &mut Text {
        let place = &mut self.bytes[self.len..self.len + text.len()];
        place.copy_from_slice(text.as_bytes());
        self.len += text.len();
        self
    }

    pub fn number(&mut self, number: u32) -> &mut Text {
        let (mut digits, mut at, mut rest) = ([0; 10], 10, number);
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.add(core::str::from_utf8(&digits[at..]).unwrap_or(""))
    }

    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("")
    }
}

/// Waits until somebody is in the middle of a request, more than `more` of which were answered
/// since `before`; or until `is_over`.
pub fn wait_for_work(queue: &Queue, before: u32, more: u32, is_over: impl Fn() -> bool) -> bool {
    loop {
        if is_over() {
            return false;
        }
        if queue.answers().wrapping_sub(before) > more && queue.asked().is_some() {
            return true;
        }
        sel4::r#yield();
    }
}
