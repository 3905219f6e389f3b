// SPDX-License-Identifier: BSD-2-Clause
//! What run.sh was given by `--device`: what of the machine `init` may use, and pass on.
//!
//! ```text
//!   ports=0x1f0-0x1f7    I/O ports, by a capability to those alone           ports-1f0
//!   irq=14               an interrupt line of the 8259s                      irq-14
//!   memory=0xb8000:4096  a memory object at a physical address, not cached   mem-b8000
//!   physical             memory at physical addresses, and those of pages    (of the account)
//!   ide                  the first channel of an IDE controller that is a    ports-1f0, ports-3f6,
//!                        bus master, and `physical`                          another range, irq-14
//! ```
//!
//! On the right stand the names by which `init` finds them on its first page. Who has ports of a
//! device that is a bus master reads and writes all memory by it, where there is no IOMMU: he is
//! trusted as the root task is. The kernel takes a capability to ports back only with all of its
//! kind.

use core::fmt;

use sel4::init_thread::slot;
use sel4::{cap_type, AbsoluteCPtr, CapRights};
use vmm::{CPtr, Rights};
use vmm_service::objects::protocol::first_page::{GivenObject, NAME_BYTES};
use vmm_service::objects::protocol::{Kind, MemoryOptions, Rights as ObjectRights};
use vmm_service::objects::{ProgramId, Server};

use crate::device_words::{parse, DeviceError, Wanted, MAX_DEVICES};
use crate::pci::ide_bus_master;
use crate::{Manager, Outcome};

/// The first channel of an IDE controller, where it is in an AT.
const COMMAND: (u16, u16) = (0x1f0, 0x1f7);
const CONTROL: (u16, u16) = (0x3f6, 0x3f6);
const LINE: u8 = 14;
/// Ports of a channel as a bus master.
const MASTER_PORTS: u16 = 8;

/// A name as a first page has it, made of text and a number.
#[derive(Clone, Copy, Default)]
struct Name {
    bytes: [u8; NAME_BYTES],
    len: usize,
}

impl Name {
    fn of(text: fmt::Arguments<'_>) -> Name {
        let mut name = Name::default();
        // None is longer.
        let _ = fmt::Write::write_fmt(&mut name, text);
        name
    }
}

impl fmt::Write for Name {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            *self.bytes.get_mut(self.len).ok_or(fmt::Error)? = byte;
            self.len += 1;
        }
        Ok(())
    }
}

fn of_ports(first: u16) -> Name {
    Name::of(format_args!("ports-{first:x}"))
}

fn of_memory(address: usize) -> Name {
    Name::of(format_args!("mem-{address:x}"))
}

fn of_line(line: u8) -> Name {
    Name::of(format_args!("irq-{line}"))
}

/// Capabilities to devices that a program was given.
pub struct Devices {
    /// Their names and slots, and whether it is a memory object.
    given: [(Name, u32, bool); MAX_DEVICES],
    count: usize,
}

impl Devices {
    /// Whether words ask for memory at physical addresses: what a program must be made with.
    ///
    /// # Errors
    /// What is wrong with the words.
    pub fn want_physical<'a>(words: impl Iterator<Item = &'a str>) -> Result<bool, DeviceError> {
        let mut physical = false;
        for (index, text) in words.enumerate() {
            physical |= matches!(parse(index + 1, text)?, Wanted::Physical | Wanted::Ide);
        }
        Ok(physical)
    }

    /// Gives a program what the words say, in its slots from `first` on. Three kernel calls for
    /// each capability, and 512 for an IDE controller.
    ///
    /// # Errors
    /// What is wrong with the words; [`DeviceError::NoController`]; what the kernel refuses: a line
    /// that somebody has already.
    pub fn give<'a>(
        vmm: &mut Manager,
        (server, program): (&mut Server, ProgramId),
        words: impl Iterator<Item = &'a str>,
        first: u32,
    ) -> Outcome<Devices> {
        let mut devices = Devices { given: Default::default(), count: 0 };
        for (index, text) in words.enumerate() {
            let mut place = |name: Name, is_memory: bool| -> Result<u32, DeviceError> {
                let count = devices.count;
                let place = devices.given.get_mut(count).ok_or(DeviceError::TooMany)?;
                *place = (name, first + count as u32, is_memory);
                devices.count += 1;
                Ok(place.1)
            };
            let mut next = |name: Name, capability| -> Outcome {
                let slot = place(name, false)?;
                let made = (slot, make(vmm, capability)?);
                Ok(server.give(vmm, program, made, Rights::all())?)
            };
            match parse(index + 1, text)? {
                Wanted::Physical => {}
                Wanted::Ports(from, to) => {
                    next(of_ports(from), Kernel::Ports(from, to))?;
                }
                Wanted::Memory(address, pages) => {
                    let slot = place(of_memory(address), true)?;
                    let options = MemoryOptions::WRITABLE | MemoryOptions::UNCACHED;
                    server.give_physical(vmm, program, slot, (address, pages), options)?;
                }
                Wanted::Line(line) => {
                    next(of_line(line), Kernel::Line(line))?;
                }
                Wanted::Ide => {
                    let base = ide_bus_master()?.ok_or(DeviceError::NoController)?;
                    for (from, to) in [COMMAND, CONTROL, (base, base + MASTER_PORTS - 1)] {
                        next(of_ports(from), Kernel::Ports(from, to))?;
                    }
                    next(of_line(LINE), Kernel::Line(LINE))?;
                }
            }
        }
        Ok(devices)
    }

    /// What is said of them on a first page.
    pub fn objects(&self) -> impl Iterator<Item = GivenObject<'_>> {
        self.given[..self.count].iter().map(|(name, slot, is_memory)| GivenObject {
            name: core::str::from_utf8(&name.bytes[..name.len]).unwrap_or(""),
            kind: is_memory.then_some(Kind::Memory),
            rights: if *is_memory { ObjectRights::READ_WRITE } else { ObjectRights::empty() },
            slot: *slot,
        })
    }
}

/// A capability of the kernel's.
enum Kernel {
    Ports(u16, u16),
    Line(u8),
}

/// Makes one in a slot of the root task's, where it stays.
fn make(vmm: &mut Manager, capability: Kernel) -> Outcome<CPtr> {
    let slot = vmm.alloc_slots(1)?;
    match capability {
        Kernel::Ports(first, last) => {
            let all = place(vmm, CPtr::new(slot::IO_PORT.cptr_bits() as usize));
            let range = sel4::Word::from(first) << 16 | sel4::Word::from(last);
            place(vmm, slot).mint(&all, CapRights::all(), range)?;
        }
        Kernel::Line(line) => {
            slot::IRQ_CONTROL.cap().irq_control_get(line.into(), &place(vmm, slot))?;
        }
    }
    Ok(slot)
}

/// A slot of the root task's, as invocations of its CNode have it.
fn place(vmm: &Manager, slot: CPtr) -> AbsoluteCPtr {
    let path = vmm.allocator().path(slot);
    let cnode = path.root.cap::<cap_type::CNode>();
    cnode.absolute_cptr_from_bits_with_depth(path.index as sel4::CPtrBits, path.depth.into())
}
