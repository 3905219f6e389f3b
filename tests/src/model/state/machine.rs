// SPDX-License-Identifier: BSD-2-Clause
//! The machine that the model boots on, and what the boot leaves where.

use std::ops::Range;

use untyped_alloc::kernel::CPtr;

use super::arch::Arch;

/// The slots of the initial CNode that are the same at every boot (`libsel4`'s
/// `bootinfo_types.h`).
#[allow(missing_docs)]
pub mod slot {
    pub const TCB: usize = 1;
    pub const CNODE: usize = 2;
    pub const VSPACE: usize = 3;
    pub const IRQ_CONTROL: usize = 4;
    pub const ASID_CONTROL: usize = 5;
    pub const ASID_POOL: usize = 6;
    pub const IO_PORT: usize = 7;
    pub const IO_SPACE: usize = 8;
    pub const BOOT_INFO_FRAME: usize = 9;
    pub const IPC_BUFFER: usize = 10;
    pub const DOMAIN: usize = 11;
    pub const FIRST_VARIABLE: usize = 12;
}

/// What kind of machine to boot.
#[derive(Clone, Debug)]
pub struct BootConfig {
    /// The architecture.
    pub arch: Arch,
    /// Logarithm of the slots of the initial CNode.
    pub cnode_radix: u8,
    /// Where the kernel puts its own boot objects and the image: physical, page aligned, not 0.
    pub kernel_base: usize,
    /// RAM untypeds: physical address and logarithm of bytes, aligned to its size.
    pub ram: Vec<(usize, u8)>,
    /// Device untypeds.
    pub devices: Vec<(usize, u8)>,
    /// Where the image is mapped, page aligned.
    pub image_vaddr: usize,
    /// How many pages the image has.
    pub image_pages: usize,
}

impl BootConfig {
    /// A machine with 32 MiB, much as IA32 boots it under QEMU with `-m 32`: a 16-bit CNode, RAM
    /// in some 20 untypeds from 16 bytes to 8 MiB, devices up to 512 MiB.
    pub fn ia32() -> BootConfig {
        BootConfig {
            arch: Arch::IA32,
            cnode_radix: 16,
            kernel_base: 0x10_0000,
            ram: split_region(0x30_1230, 0x1fe_0000, 29),
            devices: split_region(0x200_0000, 0xfec0_0000, 29),
            image_vaddr: 0x804_8000,
            image_pages: 40,
        }
    }

    /// The same on x86_64.
    #[cfg(target_pointer_width = "64")]
    pub fn x86_64() -> BootConfig {
        BootConfig {
            arch: Arch::X86_64,
            ram: split_region(0x50_1230, 0x1fe_0000, 47),
            devices: split_region(0x200_0000, 0xfec0_0000, 47),
            image_vaddr: 0x40_0000,
            ..BootConfig::ia32()
        }
    }

    /// The same on an architecture that is made up.
    #[cfg(target_pointer_width = "64")]
    pub fn made_up(arch: Arch) -> BootConfig {
        let most = arch.sizes.untyped_max_bits;
        BootConfig {
            arch,
            ram: split_region(0x50_1230, 0x1fe_0000, most),
            devices: split_region(0x200_0000, 0xfec0_0000, most),
            image_vaddr: 0x40_0000,
            ..BootConfig::ia32()
        }
    }

    /// A small machine on IA32, for tests of one rule: 1024 slots, and RAM untypeds of 2^22, 2^16,
    /// 2^12, 2^12 and 2^7 bytes, a device untyped of 2^22, in this order.
    pub fn small() -> BootConfig {
        BootConfig {
            arch: Arch::IA32,
            cnode_radix: 10,
            kernel_base: 0x10_0000,
            ram: vec![
                (0x80_0000, 22),
                (0x71_0000, 16),
                (0x70_1000, 12),
                (0x70_2000, 12),
                (0x70_0080, 7),
            ],
            devices: vec![(0xe000_0000, 22)],
            image_vaddr: 0x804_8000,
            image_pages: 4,
        }
    }
}

/// Cuts `start..end` into aligned powers of two as the kernel does, lowest address first: each as
/// large as its address and the end allow (`create_untypeds_for_region`). What is smaller than 16
/// bytes is lost.
pub fn split_region(start: usize, end: usize, max_bits: u8) -> Vec<(usize, u8)> {
    let mut pieces = Vec::new();
    let mut at = start;
    while at < end {
        let fits = (end - at).ilog2() as u8;
        let aligned = if at == 0 { u8::MAX } else { at.trailing_zeros() as u8 };
        let bits = fits.min(aligned).min(max_bits);
        if bits >= 4 {
            pieces.push((at, bits));
        }
        at += 1 << bits;
    }
    pieces
}

/// An untyped of the boot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BootUntyped {
    /// The slot of its capability.
    pub slot: usize,
    /// Its physical address.
    pub paddr: usize,
    /// Logarithm of its bytes.
    pub size_bits: u8,
    /// Whether it is device memory.
    pub device: bool,
}

/// What the boot left where; the model's boot info.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BootFacts {
    /// Untypeds, RAM first.
    pub untypeds: Vec<BootUntyped>,
    /// The slots of the initial CNode that are free.
    pub free: Range<usize>,
    /// The initial CNode.
    pub cnode: CPtr,
    /// Logarithm of its slots.
    pub cnode_radix: u8,
    /// The initial thread's VSpace.
    pub vspace: CPtr,
    /// The initial thread.
    pub tcb: CPtr,
    /// Virtual addresses of the image.
    pub image: Range<usize>,
    /// Slots of its frames, in order of address.
    pub image_frames: Range<usize>,
    /// Slots of its paging structures, those nearer the root first.
    pub image_tables: Range<usize>,
    /// Virtual address of the IPC buffer's page.
    pub ipc_buffer: usize,
    /// Virtual address of the boot info's first page. The second follows it.
    pub boot_info: usize,
}
