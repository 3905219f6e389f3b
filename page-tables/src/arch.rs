// SPDX-License-Identifier: BSD-2-Clause
//! The paging of each architecture that seL4 runs on and that is described so far.
//!
//! Sources: `libsel4/sel4_arch_include/*/sel4/sel4_arch/constants.h` of seL4 5.0.0 (IA32, x86_64)
//! and 16.0.0 (the others); Intel SDM volume 3, chapter 4; Arm Architecture Reference Manual for
//! A-profile, chapter D8, and for ARMv7-A, chapter B3; RISC-V Privileged Architecture, "Sv32" and
//! "Sv39".

use crate::geometry::{Geometry, Level};

impl Geometry {
    /// IA32 without PAE: two levels, 4K and 4M pages.
    pub const IA32: Geometry = Geometry {
        levels: &[
            Level { entry_bits: 22, index_bits: 10, holds_frames: true },
            Level { entry_bits: 12, index_bits: 10, holds_frames: true },
        ],
        page_bits: 12,
        user_end: 0xe000_0000,
        fault_end: 0xe000_0000,
        has_no_execute: false,
    };

    /// aarch32 with the kernel at PL1: short descriptors, so two levels, a root of 4096 entries and
    /// tables of 256; 4K pages and sections of 1M. (Pages of 64K, which take 16 entries, are not
    /// used.) User space ends where most platforms have its end: on some it is lower.
    pub const AARCH32: Geometry = Geometry {
        levels: &[
            Level { entry_bits: 20, index_bits: 12, holds_frames: true },
            Level { entry_bits: 12, index_bits: 8, holds_frames: true },
        ],
        page_bits: 12,
        user_end: 0xe000_0000,
        fault_end: 0xe000_0000,
        has_no_execute: true,
    };

    /// riscv32 with Sv32: two levels; 4K and 4M pages; the lower half.
    pub const RISCV32_SV32: Geometry = Geometry {
        user_end: 0x8000_0000,
        fault_end: 0x8000_0000,
        has_no_execute: true,
        ..Geometry::IA32
    };
}

/// Level with 512 entries, whose entries may be frames from 1 GiB on downwards: those of all
/// machines with words of 64 bits.
#[cfg(target_pointer_width = "64")]
const fn level(entry_bits: u8) -> Level {
    Level { entry_bits, index_bits: 9, holds_frames: entry_bits <= 30 }
}

#[cfg(target_pointer_width = "64")]
impl Geometry {
    /// x86_64 of seL4 5.0.0: four levels; 4K and 2M pages. (Those of 1G are an option of the kernel
    /// that is not chosen.)
    pub const X86_64: Geometry = Geometry {
        levels: &[level(39), Level { holds_frames: false, ..level(30) }, level(21), level(12)],
        page_bits: 12,
        user_end: 0x0000_7fff_ffff_f000,
        // `handleVMFault` keeps the address in 32 bits.
        fault_end: 1 << 32,
        // The processor has it, and the kernel leaves it alone.
        has_no_execute: false,
    };

    /// aarch64 with the kernel at EL1: four levels; 4K, 2M and 1G pages; addresses of 47 bits,
    /// which is what the kernel leaves of the 48 that four levels translate.
    pub const AARCH64: Geometry = Geometry {
        levels: &[level(39), level(30), level(21), level(12)],
        page_bits: 12,
        user_end: 1 << 47,
        fault_end: 1 << 47,
        has_no_execute: true,
    };

    /// aarch64 with the kernel as hypervisor on a processor with physical addresses of 44 bits:
    /// four levels, and addresses of 44 bits, since user space has the second stage's.
    pub const AARCH64_HYPERVISOR_44: Geometry =
        Geometry { user_end: 1 << 44, fault_end: 1 << 44, ..Geometry::AARCH64 };

    /// The same on a processor with physical addresses of 40 bits: three levels, of which the root
    /// has 1024 entries in two pages.
    pub const AARCH64_HYPERVISOR_40: Geometry = Geometry {
        levels: &[Level { index_bits: 10, ..level(30) }, level(21), level(12)],
        user_end: 1 << 40,
        fault_end: 1 << 40,
        ..Geometry::AARCH64
    };

    /// riscv64 with Sv39: three levels; 4K, 2M and 1G pages; the lower half of 39 bits but for its
    /// last page.
    pub const RISCV64_SV39: Geometry = Geometry {
        levels: &[level(30), level(21), level(12)],
        page_bits: 12,
        user_end: 0x3f_ffff_f000,
        fault_end: 0x3f_ffff_f000,
        has_no_execute: true,
    };
}
