// SPDX-License-Identifier: BSD-2-Clause
//! QEMU's firmware configuration device, by which run.sh hands files to the guest.
//!
//! The device (docs/specs/fw_cfg in QEMU's sources) has two ports: a number written to the first
//! selects a file, whose bytes are then read one by one from the second. File 0x19 lists the
//! others, in big-endian numbers.

use sel4::cap::IOPort;
use sel4::init_thread::slot;

const SELECTOR: u16 = 0x510;
const DATA: u16 = 0x511;
const SIGNATURE_FILE: u16 = 0;
const DIRECTORY_FILE: u16 = 0x19;
/// Bytes of a name in the directory, filled up with zeros.
const NAME_BYTES: usize = 56;

/// The device.
pub(crate) struct Device(IOPort);

/// A file of it.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    name: [u8; NAME_BYTES],
    file: u16,
    pub bytes: usize,
}

impl Entry {
    /// Its name, as far as that is UTF-8.
    pub fn name(&self) -> &str {
        let length = self.name.iter().position(|&byte| byte == 0).unwrap_or(NAME_BYTES);
        core::str::from_utf8(&self.name[..length]).unwrap_or("")
    }
}

impl Device {
    /// The device, if there is one.
    ///
    /// # Errors
    /// The calling thread has no capability to I/O ports.
    pub fn find() -> sel4::Result<Option<Device>> {
        let device = Device(slot::IO_PORT.cap());
        device.select(SIGNATURE_FILE)?;
        Ok((device.read::<4>()? == *b"QEMU").then_some(device))
    }

    fn select(&self, file: u16) -> sel4::Result<()> {
        self.0.ioport_out16(SELECTOR, file)
    }

    /// The next bytes of the file selected.
    fn read<const N: usize>(&self) -> sel4::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&self, bytes: &mut [u8]) -> sel4::Result<()> {
        for byte in bytes {
            *byte = self.0.ioport_in8(DATA)?;
        }
        Ok(())
    }

    /// The first file, in the order of their names, whose name is so.
    pub fn entry(&self, is: impl Fn(&str) -> bool) -> sel4::Result<Option<Entry>> {
        self.select(DIRECTORY_FILE)?;
        for _ in 0..u32::from_be_bytes(self.read()?) {
            let bytes = u32::from_be_bytes(self.read()?) as usize;
            let file = u16::from_be_bytes(self.read()?);
            let _reserved = self.read::<2>()?;
            let entry = Entry { name: self.read()?, file, bytes };
            if is(entry.name()) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// Reads the first bytes of a file. A kernel call each.
    pub fn read_file(&self, entry: &Entry, bytes: &mut [u8]) -> sel4::Result<()> {
        self.select(entry.file)?;
        self.fill(bytes)
    }
}
