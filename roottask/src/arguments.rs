// SPDX-License-Identifier: BSD-2-Clause
//! What run.sh was given behind `--`, by `--device` and by `--large-pages`: QEMU's firmware
//! configuration files `opt/vmm/arguments`, `opt/vmm/devices` and `opt/vmm/large-pages`.

use core::fmt;

use crate::firmware::Device;

const NAME: &str = "opt/vmm/arguments";
const DEVICES: &str = "opt/vmm/devices";
const LARGE_PAGES: &str = "opt/vmm/large-pages";

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
    /// What is to be a number is none.
    NoNumber,
}

impl fmt::Display for ArgumentsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArgumentsError::Kernel(error) => write!(f, "I/O ports cannot be read: {error}"),
            ArgumentsError::TooLong { bytes } => {
                write!(f, "{bytes} bytes of arguments; at most {MAX_BYTES} can be had")
            }
            ArgumentsError::NoText => write!(f, "the arguments are no UTF-8"),
            ArgumentsError::NoNumber => write!(f, "{LARGE_PAGES} is no number"),
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
        Arguments::of(NAME)
    }

    /// Reads what devices there are for `init`: see [`Devices`](crate::Devices).
    ///
    /// # Errors
    /// Those of [`ArgumentsError`].
    pub fn devices() -> Result<Arguments, ArgumentsError> {
        Arguments::of(DEVICES)
    }

    /// Reads how many large pages are to be set aside: 0 where nothing is said.
    ///
    /// # Errors
    /// Those of [`ArgumentsError`].
    pub fn large_pages() -> Result<u32, ArgumentsError> {
        let said = Arguments::of(LARGE_PAGES)?;
        let number = said.words().next().map(|word| word.parse());
        number.unwrap_or(Ok(0)).map_err(|_| ArgumentsError::NoNumber)
    }

    fn of(wanted: &str) -> Result<Arguments, ArgumentsError> {
        let mut arguments = Arguments { bytes: [0; MAX_BYTES], len: 0 };
        let Some(device) = Device::find()? else { return Ok(arguments) };
        if let Some(entry) = device.entry(|name| name == wanted)? {
            // Never a part of them: the last word would be another one.
            let room = arguments.bytes.get_mut(..entry.bytes);
            let room = room.ok_or(ArgumentsError::TooLong { bytes: entry.bytes })?;
            device.read_file(&entry, room)?;
            arguments.len = entry.bytes;
            let text = core::str::from_utf8(&arguments.bytes[..entry.bytes]);
            text.map_err(|_| ArgumentsError::NoText)?;
        }
        Ok(arguments)
    }

    /// All of them, with one blank between two.
    pub fn text(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("")
    }

    /// The words, separated by white space.
    pub fn words(&self) -> impl Iterator<Item = &str> + Clone {
        self.text().split_whitespace()
    }
}
