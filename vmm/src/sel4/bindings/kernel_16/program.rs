// SPDX-License-Identifier: BSD-2-Clause
//! The program's thread-local variables, by the ELF headers in its image.

use core::slice;

use super::super::arch::elf::{ALIGN, FILESZ, MEMSZ, PHENTSIZE, PHNUM, PHOFF, VADDR};
use crate::sel4::arch::symbol_address;
use crate::types::thread::TlsImage;

const PT_TLS: u32 = 7;

/// The program's segment of thread-local variables, if it has one that takes space.
pub fn tls_segment() -> Option<TlsImage<'static>> {
    // The linker defines it where the program's headers are part of its image.
    let header = symbol_address!("__ehdr_start") as *const u8;
    // SAFETY: where it is not null, the linker put the program's header there, which is never
    // written; what is read of it and behind it lies in it, as long as it says the truth.
    let field = |at: *const u8, offset: usize| unsafe {
        at.byte_add(offset).cast::<usize>().read_unaligned()
    };
    // SAFETY: the same.
    let half =
        |offset: usize| unsafe { header.byte_add(offset).cast::<u16>().read_unaligned() as usize };
    if header.is_null() {
        return None;
    }
    let (first, step) = (field(header, PHOFF), half(PHENTSIZE));
    for number in 0..half(PHNUM) {
        let segment = header.wrapping_byte_add(first + number * step);
        let memory_bytes = field(segment, MEMSZ);
        if field(segment, 0) as u32 != PT_TLS || memory_bytes == 0 {
            continue;
        }
        let (address, bytes) = (field(segment, VADDR), field(segment, FILESZ));
        let init = match bytes {
            0 => &[],
            // SAFETY: the linker's initial image, that many bytes, which nobody writes.
            _ => unsafe { slice::from_raw_parts(address as *const u8, bytes) },
        };
        let align = field(segment, ALIGN).max(1);
        return Some(TlsImage { init, memory_bytes, align, address });
    }
    None
}
