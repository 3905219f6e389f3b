// SPDX-License-Identifier: BSD-2-Clause
//! The sizes of kernel objects on each architecture that is described so far.
//!
//! Source: `libsel4/sel4_arch_include/*/sel4/sel4_arch/constants.h` of seL4 5.0.0 (IA32, x86_64)
//! and of 16.0.0 without MCS (the others). What of these numbers another configuration
//! changes, the adapter takes from the bindings.

use super::blueprint::{ObjectSizes, MAX_BATCH};

impl ObjectSizes {
    /// IA32 of seL4 5.0.0, as configured here.
    pub const IA32: ObjectSizes = ObjectSizes {
        word_bits: 32,
        slot_bits: 4,
        tcb_bits: 10,
        endpoint_bits: 4,
        notification_bits: 4,
        table_bits: 12,
        table_levels: 2,
        root_table_bits: 12,
        frame_bits: [12, 22, 0],
        asid_pool_bits: 12,
        ipc_buffer_bits: 9,
        untyped_min_bits: 4,
        untyped_max_bits: 29,
        retype_limit: MAX_BATCH,
    };

    /// aarch32 with the kernel at PL1: a root of 16 KiB, tables of 1 KiB, frames of two sizes.
    pub const AARCH32: ObjectSizes = ObjectSizes {
        table_bits: 10,
        root_table_bits: 14,
        frame_bits: [12, 20, 0],
        ..ObjectSizes::IA32
    };

    /// riscv32 with Sv32.
    pub const RISCV32_SV32: ObjectSizes = ObjectSizes::IA32;

    /// x86_64 of seL4 5.0.0, as configured here: without pages of 1 GiB.
    pub const X86_64: ObjectSizes = ObjectSizes {
        word_bits: 64,
        slot_bits: 5,
        tcb_bits: 11,
        endpoint_bits: 4,
        notification_bits: 5,
        table_bits: 12,
        table_levels: 4,
        root_table_bits: 12,
        frame_bits: [12, 21, 0],
        asid_pool_bits: 12,
        ipc_buffer_bits: 10,
        untyped_min_bits: 4,
        untyped_max_bits: 47,
        retype_limit: MAX_BATCH,
    };

    /// aarch64: frames of three sizes.
    pub const AARCH64: ObjectSizes =
        ObjectSizes { frame_bits: [12, 21, 30], ..ObjectSizes::X86_64 };

    /// aarch64 with the kernel as hypervisor, where physical addresses have 40 bits: three levels
    /// below a root of 8 KiB.
    pub const AARCH64_HYPERVISOR_40: ObjectSizes =
        ObjectSizes { table_levels: 3, root_table_bits: 13, ..ObjectSizes::AARCH64 };

    /// riscv64 with Sv39 and floating point: three levels, frames of three sizes.
    pub const RISCV64_SV39: ObjectSizes = ObjectSizes {
        table_levels: 3,
        frame_bits: [12, 21, 30],
        untyped_max_bits: 38,
        ..ObjectSizes::X86_64
    };
}
