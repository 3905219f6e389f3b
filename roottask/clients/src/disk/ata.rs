// SPDX-License-Identifier: BSD-2-Clause
//! A channel of an IDE controller that is a bus master, such as the PIIX of a PC, with the disk on
//! it.
//!
//! The registers of a disk are those of ATA-4, 28 bits of a sector's number and all; those of the
//! bus master are of Intel's "Programming Interface for Bus Master IDE Controller" (revision 1.0):
//! a table in memory says where in memory a command's bytes are, and the device reads it by itself.
//!
//! A port is a kernel call. A command is fifteen, however many pages it moves. No crate was found
//! that has these registers without `std` and is kept: `virtio-drivers` has PCI devices that have
//! memory and not ports, which takes a frame of the device for each; the controller here every PC
//! of QEMU has.

use core::fmt;

use sel4::cap;

use super::queue::BUFFER_PAGES;
use super::PAGE_SECTORS;
use vmm_client::objects::PAGE_BYTES;

/// Registers behind the first port of a channel.
const COUNT: u16 = 2;
const LOW: u16 = 3;
const MIDDLE: u16 = 4;
const HIGH: u16 = 5;
const DRIVE: u16 = 6;
/// A command when it is written, the status when it is read: that lowers the interrupt.
const COMMAND: u16 = 7;

/// Bits of the status.
const FAILED: u8 = 1 << 0;
const HAS_DATA: u8 = 1 << 3;
const FAULT: u8 = 1 << 5;
const BUSY: u8 = 1 << 7;

/// The first drive, by the numbers of sectors.
const FIRST_BY_NUMBER: u8 = 0xe0;
const IDENTIFY: u8 = 0xec;
const READ: u8 = 0xc8;
const WRITE: u8 = 0xca;
/// Of the control port: reset both drives. Without it, and without bit 1, there are interrupts.
const RESET: u8 = 1 << 2;
/// Where what a drive says of itself has its sectors, in words of 16 bits.
const SECTORS_AT: usize = 60;
const IDENTIFY_WORDS: usize = 256;

/// Registers of the bus master, and bits of them.
const MASTER_COMMAND: u16 = 0;
const MASTER_STATUS: u16 = 2;
const MASTER_TABLE: u16 = 4;
const START: u8 = 1 << 0;
const TO_MEMORY: u8 = 1 << 3;
const MASTER_FAILED: u8 = 1 << 1;
const INTERRUPT: u8 = 1 << 2;

/// How often a drive that is busy is asked again, before it is given up.
const PATIENCE: u32 = 100_000;
/// What is done between two times.
const PAUSE: u32 = 2000;
/// The mark of the last entry of a table.
const LAST: u32 = 1 << 31;

/// What went wrong with a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiskError {
    /// The kernel refused a port: the capability is to others.
    Port(sel4::Error),
    /// There is no disk on the channel, or it does not answer.
    NoDisk,
    /// Memory of the buffer lies beyond what the device can reach.
    TooHigh(usize),
    /// The disk says that it has not done a command.
    Refused {
        /// Its status register.
        status: u8,
    },
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiskError::Port(error) => write!(f, "the kernel refused a port: {error}"),
            DiskError::NoDisk => f.write_str("no disk answers"),
            DiskError::TooHigh(address) => write!(f, "the device does not reach {address:#x}"),
            DiskError::Refused { status } => write!(f, "the disk failed with status {status:#x}"),
        }
    }
}

impl From<sel4::Error> for DiskError {
    fn from(error: sel4::Error) -> DiskError {
        DiskError::Port(error)
    }
}

type Result<T = ()> = core::result::Result<T, DiskError>;

/// Ports, by a capability to them and the number of the first.
#[derive(Clone, Copy)]
pub struct Ports {
    /// The capability.
    pub ports: cap::IOPort,
    /// The first of them.
    pub first: u16,
}

impl Ports {
    fn read(&self, register: u16) -> Result<u8> {
        Ok(self.ports.ioport_in8(self.first + register)?)
    }

    fn write(&self, register: u16, value: u8) -> Result {
        Ok(self.ports.ioport_out8(self.first + register, value)?)
    }
}

/// A channel, and the disk on it.
pub struct Channel {
    command: Ports,
    control: Ports,
    master: Ports,
    line: cap::IrqHandler,
    told: cap::Notification,
    /// Where each page of the buffer is.
    buffer: [u32; BUFFER_PAGES as usize],
    /// The table: an address and a length for each piece of memory.
    table: *mut [u32; 2],
    /// Sectors of the disk.
    pub sectors: u32,
}

impl Channel {
    /// A channel whose interrupt, by `line`, is signalled to `told`; it is reset, whatever it does.
    /// `table` is a page that is mapped, and its physical address; it must be as long as the device
    /// may read it, which is until the next channel is made of the same ports.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn new(
        [command, control, master]: [Ports; 3],
        (line, told): (cap::IrqHandler, cap::Notification),
        (table, table_at): (usize, usize),
        buffer: [usize; BUFFER_PAGES as usize],
    ) -> Result<Channel> {
        let reach =
            |address: usize| u32::try_from(address).map_err(|_| DiskError::TooHigh(address));
        let mut low = [0; BUFFER_PAGES as usize];
        for (low, address) in low.iter_mut().zip(buffer) {
            *low = reach(address)?;
        }
        let (table, buffer, sectors) = (table as *mut [u32; 2], low, 0);
        let mut channel = Channel { command, control, master, line, told, buffer, table, sectors };
        // What one before has begun ends here: the device reads and writes no memory any more.
        channel.master.write(MASTER_COMMAND, 0)?;
        channel.control.write(0, 0)?;
        if channel.command.read(COMMAND)? & (BUSY | HAS_DATA) != 0 {
            channel.control.write(0, RESET)?;
            channel.control.write(0, 0)?;
            channel.wait_until_idle()?;
        }
        channel.command.write(DRIVE, FIRST_BY_NUMBER)?;
        channel.wait_until_idle()?;
        channel.sectors = channel.identify()?;
        master_table(&channel, reach(table_at)?)?;
        channel.line.irq_handler_ack()?;
        Ok(channel)
    }

    /// Waits until the drive is not busy; returns its status.
    fn wait_until_idle(&self) -> Result<u8> {
        for _ in 0..PATIENCE {
            let status = self.command.read(COMMAND)?;
            if status & BUSY == 0 {
                return Ok(status);
            }
            // QEMU does nothing for a drive while a port is accessed.
            (0..PAUSE).for_each(|_| core::hint::spin_loop());
        }
        Err(DiskError::NoDisk)
    }

    /// How many sectors the drive says that it has.
    fn identify(&self) -> Result<u32> {
        self.command.write(COMMAND, IDENTIFY)?;
        if self.wait_until_idle()? & (HAS_DATA | FAILED) != HAS_DATA {
            return Err(DiskError::NoDisk);
        }
        let mut sectors = [0u32; 2];
        for at in 0..IDENTIFY_WORDS {
            let word = self.command.ports.ioport_in16(self.command.first)?;
            if let Some(place) = at.checked_sub(SECTORS_AT).and_then(|at| sectors.get_mut(at)) {
                *place = word.into();
            }
        }
        self.wait_until_idle()?;
        Ok(sectors[0] | sectors[1] << 16)
    }

    /// Moves pages between the buffer, from its page `at` on, and the disk. Whoever calls has seen
    /// that both have them, and that there are some. Fifteen kernel calls, a wait, and an
    /// acknowledgement.
    ///
    /// # Errors
    /// [`DiskError`]: some of the pages were moved then, or none.
    pub fn transfer(&self, write: bool, sector: u32, (at, pages): (u32, u32)) -> Result {
        let places = &self.buffer[at as usize..(at + pages) as usize];
        for (index, &address) in places.iter().enumerate() {
            let last = if index + 1 == places.len() { LAST } else { 0 };
            // SAFETY: the table has a page, with room for 512 entries.
            unsafe { self.table.add(index).write_volatile([address, PAGE_BYTES as u32 | last]) };
        }
        let direction = if write { 0 } else { TO_MEMORY };
        self.master.write(MASTER_STATUS, INTERRUPT | MASTER_FAILED)?;
        self.master.write(MASTER_COMMAND, direction)?;
        let [low, middle, high, top] = sector.to_le_bytes();
        self.command.write(DRIVE, FIRST_BY_NUMBER | top)?;
        // 256 are said as 0.
        self.command.write(COUNT, (pages * PAGE_SECTORS) as u8)?;
        self.command.write(LOW, low)?;
        self.command.write(MIDDLE, middle)?;
        self.command.write(HIGH, high)?;
        self.command.write(COMMAND, if write { WRITE } else { READ })?;
        self.master.write(MASTER_COMMAND, direction | START)?;
        let master = loop {
            let master = self.master.read(MASTER_STATUS)?;
            if master & INTERRUPT != 0 {
                break master;
            }
            self.told.wait();
            self.line.irq_handler_ack()?;
        };
        self.master.write(MASTER_COMMAND, direction)?;
        let status = self.command.read(COMMAND)?;
        match status & (FAILED | FAULT) == 0 && master & MASTER_FAILED == 0 {
            true => Ok(()),
            false => Err(DiskError::Refused { status }),
        }
    }
}

/// Tells the bus master where the table is: once, as it stays there.
fn master_table(channel: &Channel, table: u32) -> Result {
    let Ports { ports, first } = channel.master;
    Ok(ports.ioport_out32(first + MASTER_TABLE, table)?)
}
