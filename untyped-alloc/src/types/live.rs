// SPDX-License-Identifier: BSD-2-Clause
//! Counts of live objects by type.

use super::blueprint::{Blueprint, ObjectSizes};

/// Live objects by type.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LiveObjects {
    /// Untypeds handed out as objects.
    pub untypeds: usize,
    /// Thread control blocks.
    pub tcbs: usize,
    /// Endpoints.
    pub endpoints: usize,
    /// Notifications.
    pub notifications: usize,
    /// CNodes, those that the CSpace grew by included.
    pub cnodes: usize,
    /// Frames of each size, smallest size first.
    pub frames: [usize; 3],
    /// VSpace roots.
    pub vspaces: usize,
    /// Paging structures below the root.
    pub tables: usize,
}

impl LiveObjects {
    fn field(&mut self, sizes: &ObjectSizes, blueprint: Blueprint) -> &mut usize {
        match blueprint {
            Blueprint::Untyped { .. } => &mut self.untypeds,
            Blueprint::Tcb => &mut self.tcbs,
            Blueprint::Endpoint => &mut self.endpoints,
            Blueprint::Notification => &mut self.notifications,
            Blueprint::CNode { .. } => &mut self.cnodes,
            Blueprint::Frame { size_bits } => {
                let index = sizes.frame_bits.iter().position(|&bits| bits == size_bits);
                &mut self.frames[index.unwrap_or(0)]
            }
            Blueprint::Table { level: 0 } => &mut self.vspaces,
            Blueprint::Table { .. } => &mut self.tables,
        }
    }

    pub(crate) fn add(&mut self, sizes: &ObjectSizes, blueprint: Blueprint, count: usize) {
        *self.field(sizes, blueprint) += count;
    }

    pub(crate) fn sub(&mut self, sizes: &ObjectSizes, blueprint: Blueprint, count: usize) {
        *self.field(sizes, blueprint) -= count;
    }

    pub(crate) fn of(mut self, sizes: &ObjectSizes, blueprint: Blueprint) -> usize {
        *self.field(sizes, blueprint)
    }
}
