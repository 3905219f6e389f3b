// SPDX-License-Identifier: BSD-2-Clause
//! What a program's file is for, by the width of words: this machine, or the other one of its kind.

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

#[cfg(target_arch = "arm")]
mod machine_32 {
    pub use elf::abi::EM_ARM as MACHINE_32;
    pub const NOT_THIS_32: &str = "not an executable for aarch32";
}

#[cfg(target_arch = "riscv32")]
mod machine_32 {
    pub use elf::abi::EM_RISCV as MACHINE_32;
    pub const NOT_THIS_32: &str = "not an executable for riscv32";
}

#[cfg(not(any(target_arch = "arm", target_arch = "riscv32")))]
mod machine_32 {
    pub use elf::abi::EM_386 as MACHINE_32;
    pub const NOT_THIS_32: &str = "not an executable for IA32";
}

pub(crate) use machine_32::*;
