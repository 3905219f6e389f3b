// SPDX-License-Identifier: BSD-2-Clause
//! IA32 of seL4 5.0.0: two levels of tables, pages of 4 KiB and 4 MiB.

use page_tables::Geometry;
use untyped_alloc::ObjectSizes;

use crate::types::architecture::{Architecture, TlsVariant};

impl Architecture {
    /// IA32 of seL4 5.0.0.
    pub const IA32: Architecture =
        Architecture { sizes: ObjectSizes::IA32, geometry: Geometry::IA32, tls: TlsVariant::Below };
}
