// SPDX-License-Identifier: BSD-2-Clause
//! What differs between the architectures the model knows, as data.

use untyped_alloc::kernel::ObjectSizes;

/// One architecture: object sizes, paging geometry, and the widths of the fields of a capability.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arch {
    /// The sizes of kernel objects.
    pub sizes: ObjectSizes,
    /// Bits of the address below which each level's entries do not look, root first. An entry of
    /// a table of level `l` spans 2^`shifts[l]` bytes.
    pub shifts: [u8; 4],
    /// Entries of a paging structure of each level, as a logarithm.
    pub index_bits: [u8; 4],
    /// Whether the entries of a root behind user space are the kernel's: else the kernel has a root
    /// of its own.
    pub kernel_in_root: bool,
    /// Whether the kernel halts when a capability to a table below the root is copied.
    pub halts_at_copy: bool,
    /// Whether pages can be mapped so that no instruction is fetched from them.
    pub has_no_execute: bool,
    /// The first address user space does not have (`PPTR_USER_TOP`).
    pub user_top: usize,
    /// Low bits of an ASID: the logarithm of a pool's entries (`asidLowBits`).
    pub asid_low_bits: u8,
    /// High bits of an ASID: the logarithm of how many pools there can be (`asidHighBits`).
    pub asid_high_bits: u8,
    /// Bits of a CNode capability's guard field.
    pub guard_bits: u8,
    /// Bits of a badge.
    pub badge_bits: u8,
}

impl Arch {
    /// IA32: a page directory over page tables, 1024 entries each.
    ///
    /// Four ASID pools of 1024 ASIDs (`include/arch/x86/arch/32/mode/object/structures.h`).
    pub const IA32: Arch = Arch {
        sizes: ObjectSizes::IA32,
        shifts: [22, 12, 0, 0],
        index_bits: [10, 10, 0, 0],
        kernel_in_root: true,
        halts_at_copy: false,
        has_no_execute: false,
        user_top: 0xe000_0000,
        asid_low_bits: 10,
        asid_high_bits: 2,
        guard_bits: 18,
        badge_bits: 28,
    };

    #[cfg(target_pointer_width = "64")]
    /// x86_64: four levels of 512 entries. Eight ASID pools of 512 ASIDs.
    ///
    /// 5.0.0 lets user space have all below its kernel window, non-canonical addresses included.
    pub const X86_64: Arch = Arch {
        sizes: ObjectSizes::X86_64,
        shifts: [39, 30, 21, 12],
        index_bits: [9; 4],
        kernel_in_root: true,
        halts_at_copy: true,
        has_no_execute: false,
        user_top: 0xffff_ff80_0000_0000,
        asid_low_bits: 9,
        asid_high_bits: 3,
        guard_bits: 18,
        badge_bits: 28,
    };

    /// Three levels below a root of two pages, as aarch64 has them where the kernel runs at EL2
    /// with 40 bits of physical addresses; frames of three sizes. No kernel is compared with it.
    #[cfg(target_pointer_width = "64")]
    pub const AARCH64: Arch = Arch {
        sizes: ObjectSizes::AARCH64_HYPERVISOR_40,
        shifts: [30, 21, 12, 0],
        index_bits: [10, 9, 9, 0],
        kernel_in_root: false,
        halts_at_copy: false,
        has_no_execute: true,
        user_top: 1 << 40,
        asid_low_bits: 9,
        asid_high_bits: 7,
        guard_bits: 18,
        badge_bits: 28,
    };

    /// Sv39 of riscv64: three levels of 512 entries, frames of three sizes, small untypeds. No
    /// kernel is compared with it either, and the sizes of thread control blocks and notifications
    /// are made up, so that they differ from those of all others.
    #[cfg(target_pointer_width = "64")]
    pub const RISCV64: Arch = Arch {
        sizes: ObjectSizes { tcb_bits: 10, notification_bits: 6, ..ObjectSizes::RISCV64_SV39 },
        shifts: [30, 21, 12, 0],
        index_bits: [9, 9, 9, 0],
        kernel_in_root: true,
        halts_at_copy: false,
        has_no_execute: true,
        user_top: 0x40_0000_0000,
        asid_low_bits: 9,
        asid_high_bits: 7,
        guard_bits: 18,
        badge_bits: 28,
    };

    /// All ones in a word.
    pub const fn word_mask(&self) -> usize {
        mask(self.sizes.word_bits)
    }

    /// The level of the tables whose entries map frames of 2^`size_bits` bytes.
    pub fn frame_level(&self, size_bits: u8) -> usize {
        let levels = &self.shifts[..self.leaf_level() + 1];
        levels.iter().position(|&shift| shift == size_bits).expect("a frame size")
    }

    /// The level of the tables that map the smallest frames.
    pub const fn leaf_level(&self) -> usize {
        self.sizes.table_levels as usize - 1
    }

    /// The entries of the longest table.
    pub fn most_entries(&self) -> usize {
        self.index_bits.iter().map(|&bits| 1 << bits).max().expect("levels")
    }

    /// Which entry of a table of `level` translates `vaddr`.
    pub const fn index(&self, level: usize, vaddr: usize) -> usize {
        (vaddr >> self.shifts[level]) & mask(self.index_bits[level])
    }

    /// The word `CNode_Mint` takes to give a CNode capability a guard (`seL4_CNode_CapData`).
    pub const fn guard_word(&self, guard: usize, guard_bits: u8) -> usize {
        let (size_shift, size_width) = self.guard_size_field();
        (guard & mask(self.guard_bits)) << 8
            | (guard_bits as usize & mask(size_width)) << size_shift
    }

    /// The guard and its width in such a word.
    pub const fn guard_of_word(&self, word: usize) -> (usize, u8) {
        let (size_shift, size_width) = self.guard_size_field();
        let guard_bits = (word >> size_shift) & mask(size_width);
        ((word >> 8) & mask(self.guard_bits) & mask(guard_bits as u8), guard_bits as u8)
    }

    /// Where the width of the guard lies in such a word: shift and bits.
    const fn guard_size_field(&self) -> (u8, u8) {
        if self.sizes.word_bits == 32 { (3, 5) } else { (2, 6) }
    }
}

/// The low `bits` bits set.
pub(in crate::model) const fn mask(bits: u8) -> usize {
    if bits >= usize::BITS as u8 { usize::MAX } else { (1 << bits) - 1 }
}
