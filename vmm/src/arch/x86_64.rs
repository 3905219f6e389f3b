// SPDX-License-Identifier: BSD-2-Clause
//! x86_64 of seL4 5.0.0: four levels of tables, pages of 4 KiB and 2 MiB.

use page_tables::Geometry;
use untyped_alloc::ObjectSizes;

use crate::types::architecture::{Architecture, TlsVariant};

impl Architecture {
    /// x86_64 of seL4 5.0.0.
    pub const X86_64: Architecture = Architecture {
        sizes: ObjectSizes::X86_64,
        geometry: Geometry::X86_64,
        tls: TlsVariant::Below,
    };
}
