//! What run.sh was given behind `--`: QEMU's firmware configuration file `opt/vmm/arguments`.
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
const NAME: &[u8] = b"opt/vmm/arguments";
/// Bytes of a name in the directory, filled up with zeros.
const NAME_BYTES: usize = 56;

/// The arguments, at most 256 bytes of them.
#[derive(Clone, Debug)]
pub struct Arguments {
    bytes: [u8; 256],
    len: usize,
}

impl Arguments {
    /// Reads them. Where there is no such device or file, there are none.
    ///
    /// # Errors
    /// When the calling thread has no capability to I/O ports.
    pub fn read() -> sel4::Result<Arguments> {
        let mut arguments = Arguments { bytes: [0; 256], len: 0 };
        let device = Device(slot::IO_PORT.cap());
        device.select(SIGNATURE_FILE)?;
        if device.read::<4>()? != *b"QEMU" {
            return Ok(arguments);
        }
        if let Some((file, size)) = device.find(NAME)? {
            device.select(file)?;
            arguments.len = size.min(arguments.bytes.len());
            for byte in &mut arguments.bytes[..arguments.len] {
                [*byte] = device.read()?;
            }
        }
        Ok(arguments)
    }

    /// The words, separated by white space. What is no UTF-8 is left out.
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
