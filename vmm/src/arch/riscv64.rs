// SPDX-License-Identifier: BSD-2-Clause
//! riscv64 with Sv39: three levels of tables, pages of 4 KiB, 2 MiB and 1 GiB.
//!
//! Source: RISC-V ELF psABI, "Thread Local Storage".

use page_tables::Geometry;
use untyped_alloc::ObjectSizes;

use crate::types::architecture::{Architecture, TlsVariant};

impl Architecture {
    /// riscv64 with Sv39.
    pub const RISCV64_SV39: Architecture = Architecture {
        sizes: ObjectSizes::RISCV64_SV39,
        geometry: Geometry::RISCV64_SV39,
        tls: TlsVariant::Above { words: 0 },
    };
}
