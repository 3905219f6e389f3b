// SPDX-License-Identifier: BSD-2-Clause
//! The program's own description: the ELF headers in its image. Beyond upstream.

use core::arch::{asm, global_asm};
use core::ptr;
use core::slice;

use crate::Word;

/// The parts of an ELF header that are read here. Addresses and offsets are words.
#[repr(C)]
struct ElfHeader {
    magic: [u8; 4],
    _ident: [u8; 12],
    _type_machine: [u16; 2],
    _version: u32,
    _entry: Word,
    phoff: Word,
    _shoff: Word,
    _flags: u32,
    _ehsize: u16,
    phentsize: u16,
    phnum: u16,
}

/// A program header, which with words of 64 bits has its flags in another place.
#[repr(C)]
struct ProgramHeader {
    ty: u32,
    #[cfg(target_pointer_width = "64")]
    _flags: u32,
    _offset: Word,
    vaddr: Word,
    _paddr: Word,
    filesz: Word,
    memsz: Word,
    #[cfg(target_pointer_width = "32")]
    _flags: u32,
    align: Word,
}

const PT_TLS: u32 = 7;

// The linker defines it where the program's headers are part of its image.
global_asm!(".weak __ehdr_start");

/// A program's segment of thread-local variables, as its header describes it. Beyond upstream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TlsSegment {
    /// What the variables start with; those behind it start with zeros.
    pub init: &'static [u8],
    /// Bytes of all variables, `init` included.
    pub memory_bytes: usize,
    /// Their alignment in bytes, 1 at least.
    pub align: usize,
    /// Its address, in bytes: each variable has its address there modulo `align`.
    pub address: usize,
}

/// The program's segment of thread-local variables, if it has one that takes space. Beyond
/// upstream.
///
/// # Panics
/// When what is at the linker's `__ehdr_start` is no ELF header.
pub fn tls_segment() -> Option<TlsSegment> {
    let header: *const ElfHeader;
    // SAFETY: reads an address that the linker fills in.
    unsafe {
        asm!("lea {}, [__ehdr_start]", out(reg) header, options(nomem, nostack, preserves_flags));
    }
    if header.is_null() {
        return None;
    }
    // SAFETY: not null, so the linker put the program's header there, which is never written.
    let headers = unsafe {
        let header = &*header;
        assert!(header.magic == *b"\x7fELF", "the program's ELF header is not in its image");
        assert!(header.phentsize as usize == size_of::<ProgramHeader>(), "ELF header");
        let start = ptr::from_ref(header).byte_add(header.phoff as usize).cast();
        slice::from_raw_parts::<ProgramHeader>(start, header.phnum.into())
    };
    let segment = headers.iter().find(|segment| segment.ty == PT_TLS && segment.memsz != 0)?;
    let address = segment.vaddr as usize;
    let init = match segment.filesz {
        0 => &[],
        // SAFETY: the linker's initial image, that many bytes at `vaddr`, which nobody writes.
        bytes => unsafe { slice::from_raw_parts(address as *const u8, bytes as usize) },
    };
    Some(TlsSegment {
        init,
        memory_bytes: segment.memsz as usize,
        align: (segment.align as usize).max(1),
        address,
    })
}
