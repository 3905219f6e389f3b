// SPDX-License-Identifier: BSD-2-Clause
//! riscv32 with Sv32: two levels of tables, pages of 4 KiB and 4 MiB.
//!
//! Source: RISC-V ELF psABI, "Thread Local Storage".

use page_tables::Geometry;
use untyped_alloc::ObjectSizes;

use crate::types::architecture::{Architecture, TlsVariant};

impl Architecture {
    /// riscv32 with Sv32.
    pub const RISCV32_SV32: Architecture = Architecture {
        sizes: ObjectSizes::RISCV32_SV32,
        geometry: Geometry::RISCV32_SV32,
        tls: TlsVariant::Above { words: 0 },
    };
}
