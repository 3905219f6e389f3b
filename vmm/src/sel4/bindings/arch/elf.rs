// SPDX-License-Identifier: BSD-2-Clause
//! Places in the headers of an ELF file, in bytes, by the width of words.

#[cfg(target_pointer_width = "32")]
mod places {
    pub const PHOFF: usize = 28;
    pub const PHENTSIZE: usize = 42;
    pub const PHNUM: usize = 44;
    pub const VADDR: usize = 8;
    pub const FILESZ: usize = 16;
    pub const MEMSZ: usize = 20;
    pub const ALIGN: usize = 28;
}

#[cfg(target_pointer_width = "64")]
mod places {
    pub const PHOFF: usize = 32;
    pub const PHENTSIZE: usize = 54;
    pub const PHNUM: usize = 56;
    pub const VADDR: usize = 16;
    pub const FILESZ: usize = 32;
    pub const MEMSZ: usize = 40;
    pub const ALIGN: usize = 48;
}

pub use places::*;
