// SPDX-License-Identifier: BSD-2-Clause
//! What run.sh was given behind `--`: QEMU's firmware configuration file `opt/vmm/arguments`.
//!
//! The device (docs/specs/fw_cfg in QEMU's sources) has two ports: a number written to the first
//! selects a file, whose bytes are then read one by one from the second. File 0x19 lists the
//! others, in big-endian numbers.

use core::fmt;

use sel4::cap::IOPort;
use sel4::init_thread::slot;

const SELECTOR: u16 = 0x510;
const DATA: u16 = 0x511;
const SIGNATURE_FILE: u16 = 0;
const DIRECTORY_FILE: u16 = 0x19;
const NAME: &[u8] = b"opt/vmm/arguments";
/// Bytes of a name in the directory, filled up with zeros.
const NAME_BYTES: usize = 56;

/// The most bytes of arguments; run.sh refuses more.
pub const MAX_BYTES: usize = 4096;

/// The arguments: all of them.
#[derive(Clone, Debug)]
pub struct Arguments {
    bytes: [u8; MAX_BYTES],
    len: usize,
}

/// Why there are no arguments to go by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArgumentsError {
    /// The calling thread has no capability to I/O ports.
    Kernel(sel4::Error),
    /// There are more than reach the guest.
    TooLong {
        /// How many bytes there are.
        bytes: usize,
    },
    /// They are no UTF-8.
    NoText,
}

impl fmt::Display for ArgumentsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArgumentsError::Kernel(error) => write!(f, "I/O ports cannot be read: {error}"),
            ArgumentsError::TooLong { bytes } => {
                write!(f, "{bytes} bytes of arguments; at most {MAX_BYTES} can be had")
            }
            ArgumentsError::NoText => write!(f, "the arguments are no UTF-8"),
        }
    }
}

impl From<sel4::Error> for ArgumentsError {
    fn from(error: sel4::Error) -> ArgumentsError {
        ArgumentsError::Kernel(error)
    }
}

impl Arguments {
    /// Reads them. Where there is no such device or file, there are none.
    ///
    /// # Errors
    /// Those of [`ArgumentsError`].
    pub fn read() -> Result<Arguments, ArgumentsError> {
        let mut arguments = Arguments { bytes: [0; MAX_BYTES], len: 0 };
        let device = Device(slot::IO_PORT.cap());
        device.select(SIGNATURE_FILE)?;
        if device.read::<4>()? != *b"QEMU" {
            return Ok(arguments);
        }
        if let Some((file, size)) = device.find(NAME)? {
            device.select(file)?;
            // Never a part of them: the last word would be another one.
            let room = arguments.bytes.get_mut(..size);
            for byte in room.ok_or(ArgumentsError::TooLong { bytes: size })? {
                [*byte] = device.read()?;
            }
            arguments.len = size;
            core::str::from_utf8(&arguments.bytes[..size]).map_err(|_| ArgumentsError::NoText)?;
        }
        Ok(arguments)
    }

    /// The words, separated by white space.
    pub fn words(&self) -> impl Iterator<Item = &str> + Clone {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("").split_whitespace()
    }
}

/// The firmware configuration device.
struct Device(IOPort);

impl Device {
    fn select(&self, file: u16) -> sel4::Result<()> {
        self.0.ioport_out16(SELECTOR, file)
    }

    /// The next bytes of the file selected.
    fn read<const N: usize>(&self) -> sel4::Result<[u8; N]> {
        let mut bytes = [0; N];
        for byte in &mut bytes {
            *byte = self.0.ioport_in8(DATA)?;
        }
        Ok(bytes)
    }

    /// The number and the size of the file of that name.
    fn find(&self, name: &[u8]) -> sel4::Result<Option<(u16, usize)>> {
        self.select(DIRECTORY_FILE)?;
        for _ in 0..u32::from_be_bytes(self.read()?) {
            let size = u32::from_be_bytes(self.read()?);
            let file = u16::from_be_bytes(self.read()?);
            let _reserved = self.read::<2>()?;
            let found = self.read::<NAME_BYTES>()?;
            if found.starts_with(name) && found[name.len()] == 0 {
                return Ok(Some((file, size as usize)));
            }
        }
        Ok(None)
    }
}
