// SPDX-License-Identifier: BSD-2-Clause
//! The client programs that run.sh was given by `--client`: QEMU's firmware configuration files
//! `opt/vmm/client/NN/NAME`, from 00 on.

use vmm::RegionOptions;
use vmm_service::objects::protocol::first_page::NAME_BYTES;

use crate::firmware::Device;
use crate::{Manager, Outcome};

/// The most client programs; run.sh refuses more.
pub const MAX_CLIENTS: usize = 16;
const FOLDER: &str = "opt/vmm/client/";
/// Digits of the number of a client, and the slash behind them.
const NUMBER: usize = 3;

/// A client program's file.
#[derive(Clone, Copy)]
pub struct ClientFile {
    name: [u8; NAME_BYTES],
    /// Its bytes. They lie in a region of their own, for good.
    pub bytes: &'static [u8],
}

impl ClientFile {
    /// The name of the file, without its folder: 20 bytes of it.
    pub fn name(&self) -> &str {
        let length = self.name.iter().position(|&byte| byte == 0).unwrap_or(self.name.len());
        core::str::from_utf8(&self.name[..length]).unwrap_or("")
    }
}

/// Reads the client with this number; `None` where there is none. A kernel call for each byte.
///
/// # Errors
/// No capability to I/O ports; no memory for it.
pub fn client(vmm: &mut Manager, number: usize) -> Outcome<Option<ClientFile>> {
    let Some(device) = Device::find()? else { return Ok(None) };
    let is = |name: &str| {
        let rest = name.strip_prefix(FOLDER).and_then(|rest| rest.split_once('/'));
        rest.is_some_and(|(digits, _)| digits.parse() == Ok(number))
    };
    let Some(entry) = device.entry(is)?.filter(|entry| entry.bytes != 0) else { return Ok(None) };
    let pages = entry.bytes.div_ceil(vmm.geometry().page_bytes());
    let space = vmm.own_space();
    let region = vmm.map(space, &RegionOptions::new(pages).named("client"))?;
    // SAFETY: all of the region is mapped, to be written; nobody else knows it, and it is never
    // released.
    let bytes =
        unsafe { core::slice::from_raw_parts_mut(region.start().bits() as *mut u8, entry.bytes) };
    device.read_file(&entry, bytes)?;
    let mut name = [0; NAME_BYTES];
    let file = entry.name().get(FOLDER.len() + NUMBER..).unwrap_or("");
    for (byte, char) in name.iter_mut().zip(file.bytes()) {
        *byte = char;
    }
    Ok(Some(ClientFile { name, bytes }))
}
