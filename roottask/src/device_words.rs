// SPDX-License-Identifier: BSD-2-Clause
//! What `--device` says of the machine, word by word.

use core::fmt;

/// The most capabilities to devices.
pub const MAX_DEVICES: usize = 16;
/// Bytes of a page.
const PAGE_BYTES: u64 = 4096;
/// Lines of the two 8259s. The first is the pacer's timer, the third leads to the second of them.
const LAST_LINE: u8 = 15;
const CASCADE: u8 = 2;

/// Why there are no devices to give.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceError {
    /// This word, counted from 1, names no kind of device.
    Unknown {
        /// Which.
        word: usize,
    },
    /// This word has no number, or range of ports, that there can be.
    NoNumber {
        /// Which.
        word: usize,
    },
    /// The last port of a range is before its first.
    Backwards {
        /// The first port.
        first: u16,
        /// The last.
        last: u16,
    },
    /// There is no such interrupt line, or it leads to other lines.
    NoLine {
        /// The line.
        line: u8,
    },
    /// No memory object can be at this physical address, or have as many bytes.
    NoMemory {
        /// The address.
        address: u64,
        /// The bytes.
        bytes: u64,
    },
    /// The machine has no IDE controller that is a bus master.
    NoController,
    /// There are too many.
    TooMany,
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            DeviceError::Unknown { word } => {
                write!(
                    f,
                    "device {word} is none of ports=FIRST-LAST, irq=LINE, memory=ADDRESS:BYTES, \
                     physical, ide"
                )
            }
            DeviceError::NoNumber { word } => write!(f, "device {word} has no number that can be"),
            DeviceError::Backwards { first, last } => {
                write!(f, "ports {first:#x} to {last:#x} are none: the last is before the first")
            }
            DeviceError::NoLine { line } => {
                write!(f, "no interrupt line {line}: there are 0 to {LAST_LINE} without {CASCADE}")
            }
            DeviceError::NoMemory { address, bytes } => {
                write!(
                    f,
                    "no memory of {bytes} bytes at {address:#x}: it is whole pages of \
                     {PAGE_BYTES} that the machine can address"
                )
            }
            DeviceError::NoController => {
                f.write_str("no IDE controller that is a bus master at the ports of an AT")
            }
            DeviceError::TooMany => write!(f, "more than {MAX_DEVICES} devices"),
        }
    }
}

/// What a word asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wanted {
    /// Ports: the first and the last.
    Ports(u16, u16),
    /// An interrupt line.
    Line(u8),
    /// A memory object at a physical address, of so many pages.
    Memory(usize, u32),
    /// Memory at physical addresses.
    Physical,
    /// The first channel of an IDE controller.
    Ide,
}

/// Reads a number as a person writes one: in hexadecimal behind `0x`.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The number of a port.
fn port(text: &str) -> Option<u16> {
    number(text).and_then(|port| u16::try_from(port).ok())
}

/// Memory at an address, of so many bytes.
fn memory(address: u64, bytes: u64) -> Result<Wanted, DeviceError> {
    let none = DeviceError::NoMemory { address, bytes };
    let pages = u32::try_from(bytes / PAGE_BYTES).map_err(|_| none)?;
    let is_whole = (address | bytes) & (PAGE_BYTES - 1) == 0;
    // The machine's own physical addresses have as many bits as a word, at most.
    let last = bytes.checked_sub(1).and_then(|rest| address.checked_add(rest)).ok_or(none)?;
    if !is_whole || usize::try_from(last).is_err() {
        return Err(none);
    }
    Ok(Wanted::Memory(address as usize, pages))
}

/// What a word says, which is the `word`th.
///
/// # Errors
/// Those of [`DeviceError`] that are of words.
pub(crate) fn parse(word: usize, text: &str) -> Result<Wanted, DeviceError> {
    let none = DeviceError::NoNumber { word };
    match text.split_once('=') {
        None if text == "physical" => Ok(Wanted::Physical),
        None if text == "ide" => Ok(Wanted::Ide),
        Some(("ports", range)) => {
            let (first, last) = range.split_once('-').ok_or(none)?;
            let (first, last) = port(first).zip(port(last)).ok_or(none)?;
            match first <= last {
                true => Ok(Wanted::Ports(first, last)),
                false => Err(DeviceError::Backwards { first, last }),
            }
        }
        Some(("memory", range)) => {
            let (address, bytes) = range.split_once(':').ok_or(none)?;
            let (address, bytes) = number(address).zip(number(bytes)).ok_or(none)?;
            memory(address, bytes)
        }
        Some(("irq", line)) => {
            let line = number(line).and_then(|line| u8::try_from(line).ok()).ok_or(none)?;
            match line <= LAST_LINE && line != CASCADE {
                true => Ok(Wanted::Line(line)),
                false => Err(DeviceError::NoLine { line }),
            }
        }
        _ => Err(DeviceError::Unknown { word }),
    }
}
