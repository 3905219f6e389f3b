// SPDX-License-Identifier: BSD-2-Clause
//! Machines to boot: how much memory, how many slots, how much book-keeping to start with.

#[cfg(target_pointer_width = "64")]
use crate::model::Arch;
use crate::model::{BootConfig, Bound};
use untyped_alloc::MAX_BATCH;
use vmm::Architecture;

/// Bytes of the smallest page.
pub const PAGE: usize = 4096;

/// The architectures everything is tested on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// 32 bits.
    Ia32,
    /// Its addresses do not fit in a word of a host of 32 bits.
    #[cfg(target_pointer_width = "64")]
    X86_64,
    /// Three levels with a root of two pages, frames of three sizes: the kernel as hypervisor, with
    /// physical addresses of 40 bits.
    #[cfg(target_pointer_width = "64")]
    Aarch64,
    /// Sv39: three levels, frames of three sizes, untypeds of 256 GiB at the most. Two sizes of
    /// objects are made up.
    #[cfg(target_pointer_width = "64")]
    Riscv64,
}

impl Target {
    /// The manager's description of it.
    pub fn architecture(self) -> Architecture {
        match self {
            Target::Ia32 => Architecture::IA32,
            #[cfg(target_pointer_width = "64")]
            Target::X86_64 => Architecture::X86_64,
            #[cfg(target_pointer_width = "64")]
            Target::Aarch64 => Architecture::AARCH64_HYPERVISOR_40,
            #[cfg(target_pointer_width = "64")]
            Target::Riscv64 => {
                Architecture { sizes: Arch::RISCV64.sizes, ..Architecture::RISCV64_SV39 }
            }
        }
    }

    /// Logarithm of the bytes one page table covers, which is a large page: 4 MiB or 2 MiB.
    pub fn large_bits(self) -> u8 {
        match self {
            Target::Ia32 => 22,
            #[cfg(target_pointer_width = "64")]
            _ => 21,
        }
    }

    /// Bytes of a word.
    pub fn word_bytes(self) -> usize {
        match self {
            Target::Ia32 => 4,
            #[cfg(target_pointer_width = "64")]
            _ => 8,
        }
    }

    /// How many levels of tables there are below the root.
    pub fn levels_below_root(self) -> usize {
        match self {
            Target::Ia32 => 1,
            #[cfg(target_pointer_width = "64")]
            Target::X86_64 => 3,
            #[cfg(target_pointer_width = "64")]
            _ => 2,
        }
    }

    /// Words of the ABI's between the thread pointer and a thread's variables, where these lie
    /// above it (variant I): two for aarch64 (ELF for the Arm 64-bit Architecture), none for
    /// riscv64 (RISC-V ELF psABI). `None` where they lie below it (x86, variant II).
    pub fn tls_words(self) -> Option<usize> {
        match self {
            #[cfg(target_pointer_width = "64")]
            Target::Aarch64 => Some(2),
            #[cfg(target_pointer_width = "64")]
            Target::Riscv64 => Some(0),
            _ => None,
        }
    }

    /// Bytes of an IPC buffer, and its alignment: 128 words.
    pub fn ipc_buffer_bytes(self) -> usize {
        match self {
            Target::Ia32 => 512,
            #[cfg(target_pointer_width = "64")]
            _ => 1024,
        }
    }

    /// The first address that is not user space.
    pub fn user_end(self) -> usize {
        match self {
            Target::Ia32 => 0xe000_0000,
            #[cfg(target_pointer_width = "64")]
            Target::X86_64 => 0x7fff_ffff_f000,
            #[cfg(target_pointer_width = "64")]
            Target::Aarch64 => 1 << 40,
            #[cfg(target_pointer_width = "64")]
            Target::Riscv64 => 0x3f_ffff_f000,
        }
    }

    /// The first address of which a page fault's message does not tell all: 5.0.0 has 32 bits for
    /// it.
    pub fn fault_end(self) -> usize {
        match self {
            #[cfg(target_pointer_width = "64")]
            Target::X86_64 => 1 << 32,
            other => other.user_end(),
        }
    }

    /// Where the image is mapped.
    pub fn image(self) -> usize {
        self.boot_config().image_vaddr
    }

    fn boot_config(self) -> BootConfig {
        match self {
            Target::Ia32 => BootConfig::ia32(),
            #[cfg(target_pointer_width = "64")]
            Target::X86_64 => BootConfig::x86_64(),
            #[cfg(target_pointer_width = "64")]
            Target::Aarch64 => BootConfig::made_up(Arch::AARCH64),
            #[cfg(target_pointer_width = "64")]
            Target::Riscv64 => BootConfig::made_up(Arch::RISCV64),
        }
    }
}

/// A machine, and how a manager starts on it.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Its architecture.
    pub target: Target,
    /// What the model kernel boots with.
    pub config: BootConfig,
    /// Pages of the image that are the manager's first book-keeping memory.
    pub pool_pages: usize,
    /// The most bytes that one kernel call may clear, unless it is told to in words: more panics.
    pub most_cleared: usize,
    /// Whether the manager makes a direct map at its start.
    pub direct_map: bool,
}

impl Machine {
    /// 32 MiB in some 20 untypeds and 65536 slots: nothing ever runs out.
    pub fn roomy(target: Target) -> Machine {
        let config = BootConfig { image_pages: 72, ..target.boot_config() };
        Machine { target, config, pool_pages: 64, most_cleared: usize::MAX, direct_map: false }
    }

    /// 1 MiB of RAM in one untyped and some crumbs, 2048 slots, and book-keeping enough that the
    /// manager maps none of its own.
    pub fn small(target: Target) -> Machine {
        Machine::with_ram(target, vec![(0x100_0000, 20), (0x80_0000, 14), (0x70_1000, 12)])
    }

    /// This RAM and nothing else, 2048 slots, ample book-keeping.
    pub fn with_ram(target: Target, ram: Vec<(usize, u8)>) -> Machine {
        let config = BootConfig {
            cnode_radix: 11,
            ram,
            devices: vec![(0xf000_0000, 16)],
            image_pages: 72,
            ..target.boot_config()
        };
        Machine { target, config, pool_pages: 64, most_cleared: usize::MAX, direct_map: false }
    }

    /// For failures on purpose: 16 MiB so that there is a large page, 2048 slots, and a device.
    pub fn failing(target: Target) -> Machine {
        Machine::with_ram(target, vec![(0x100_0000, 24)]).slots(13)
    }

    /// The physical address of the first device.
    pub fn device(&self) -> usize {
        self.config.devices[0].0
    }

    /// With a CNode of 2^`cnode_radix` slots.
    #[must_use]
    pub fn slots(self, cnode_radix: u8) -> Machine {
        Machine { config: BootConfig { cnode_radix, ..self.config }, ..self }
    }

    /// With so many pages of first book-keeping memory.
    #[must_use]
    pub fn pool(self, pool_pages: usize) -> Machine {
        Machine { pool_pages, ..self }
    }

    /// With no more of an image than book-keeping needs, to boot fast.
    #[must_use]
    pub fn small_image(self) -> Machine {
        let config = BootConfig { image_pages: 25, ..self.config };
        Machine { config, pool_pages: 24, ..self }
    }

    /// 16 MiB in untypeds of 256 KiB, where no call clears more than one of these; else as roomy.
    pub fn in_pieces(target: Target) -> Machine {
        let machine = Machine::roomy(target);
        let ram = (0..64).map(|piece| (0x100_0000 + (piece << 18), 18)).collect();
        let config = BootConfig { ram, ..machine.config };
        Machine { config, ..machine }.clearing(1 << 18)
    }

    /// Where no call clears more than so many bytes without being told to.
    #[must_use]
    pub fn clearing(self, most_cleared: usize) -> Machine {
        Machine { most_cleared, ..self }
    }

    /// Where the manager has a direct map.
    #[must_use]
    pub fn direct_map(self) -> Machine {
        Machine { direct_map: true, ..self }
    }

    /// What a call may take; `None` where that is not watched.
    pub fn bound(&self) -> Option<Bound> {
        let bytes = self.most_cleared;
        (bytes != usize::MAX).then_some(Bound { bytes, capabilities: MAX_BATCH })
    }

    /// All RAM there is, in bytes.
    pub fn ram_bytes(&self) -> usize {
        self.config.ram.iter().map(|&(_, bits)| 1 << bits).sum()
    }
}
