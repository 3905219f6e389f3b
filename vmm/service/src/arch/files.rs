// SPDX-License-Identifier: BSD-2-Clause
//! What a program's file is for, where words have 64 bits: this machine.

#[cfg(target_arch = "aarch64")]
mod machine {
    pub use elf::abi::EM_AARCH64 as MACHINE_64;
    pub const NOT_THIS_64: &str = "not an executable for aarch64";
}

#[cfg(target_arch = "riscv64")]
mod machine {
    pub use elf::abi::EM_RISCV as MACHINE_64;
    pub const NOT_THIS_64: &str = "not an executable for riscv64";
}

#[cfg(not(any(target_arch = "aarch64", target_arch = "riscv64")))]
mod machine {
    pub use elf::abi::EM_X86_64 as MACHINE_64;
    pub const NOT_THIS_64: &str = "not an executable for x86_64";
}

pub(crate) use machine::*;
