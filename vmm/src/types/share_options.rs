// SPDX-License-Identifier: BSD-2-Clause
//! What a caller can ask for when memory is to show in a second place.

use core::ops::Range;

use untyped_alloc::Rights;

use crate::types::ids::RegionId;
use crate::types::mapping::readable;
use crate::types::options::{Placement, RegionOptions};
use crate::types::region::{Name, RegionSpec};

/// A request for a region that shows memory of another: of as many pages as are shared, cached as
/// they are. Start with [`ShareOptions::new`] and change what differs.
///
/// ```
/// use vmm::{Rights, ShareOptions};
/// let view = ShareOptions::new().named("view").rights(Rights::READ).guarded(1, 1);
/// # let _ = view;
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "each method returns the options changed"]
pub struct ShareOptions {
    placement: Placement,
    guard_below: u16,
    guard_above: u16,
    rights: Rights,
    ceiling: Option<Rights>,
    name: Name,
}

impl Default for ShareOptions {
    fn default() -> Self {
        ShareOptions::new()
    }
}

impl ShareOptions {
    /// Anywhere, readable and writable, under the ceiling of what is shared, without guards.
    pub fn new() -> ShareOptions {
        ShareOptions {
            placement: Placement::anywhere(),
            guard_below: 0,
            guard_above: 0,
            rights: Rights::READ_WRITE,
            ceiling: None,
            name: Name::default(),
        }
    }

    /// A name for people: its first 15 bytes.
    pub fn named(self, name: &str) -> Self {
        ShareOptions { name: Name::new(name), ..self }
    }

    /// Where it is to be, in place of what was said of that before. Large pages that are shared
    /// want [`Placement::aligned`].
    pub fn placed(self, placement: Placement) -> Self {
        ShareOptions { placement, ..self }
    }

    /// At this address (bytes, page-aligned): of the first page that is not a guard.
    pub fn at(self, address: usize) -> Self {
        self.placed(self.placement.moved_to(address))
    }

    /// Between these addresses (bytes).
    pub fn within(self, addresses: Range<usize>) -> Self {
        self.placed(self.placement.moved_within(addresses))
    }

    /// Aligned to 2^`bits` bytes: the first page that is not a guard.
    pub fn aligned(self, bits: u8) -> Self {
        self.placed(self.placement.aligned(bits))
    }

    /// Inside a reservation, under its ceiling.
    pub fn inside(self, reservation: RegionId) -> Self {
        self.placed(self.placement.inside(reservation))
    }

    /// With pages on either side that are never mapped.
    pub fn guarded(self, below: u16, above: u16) -> Self {
        ShareOptions { guard_below: below, guard_above: above, ..self }
    }

    /// The rights its pages are mapped with, as by [`RegionOptions::rights`].
    pub fn rights(self, rights: Rights) -> Self {
        ShareOptions { rights: readable(rights), ..self }
    }

    /// The most rights its pages can ever be given; without it, what those that are shared can.
    pub fn ceiling(self, ceiling: Rights) -> Self {
        ShareOptions { ceiling: Some(readable(ceiling)), ..self }
    }
}

impl RegionOptions {
    /// What makes a region for `pages` pages of one with `spec`, as `options` ask for.
    pub(crate) fn showing(pages: usize, spec: &RegionSpec, options: &ShareOptions) -> Self {
        RegionOptions {
            placement: options.placement,
            guard_below: options.guard_below,
            guard_above: options.guard_above,
            rights: options.rights,
            ceiling: Some(options.ceiling.unwrap_or(spec.ceiling)),
            cache: spec.cache,
            name: options.name,
            ..RegionOptions::new(pages)
        }
    }
}
