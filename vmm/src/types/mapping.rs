// SPDX-License-Identifier: BSD-2-Clause
//! What is told of a mapped address.

use untyped_alloc::{CPtr, CachePolicy, Rights};

/// The rights that a page has when it is asked for with `asked`: what may be written or run may be
/// read, as processors have no pages that can only be written. The kernel would map such for
/// nobody.
#[inline]
pub(crate) const fn readable(asked: Rights) -> Rights {
    match asked.intersects(Rights::WRITE.union(Rights::EXECUTE)) {
        true => asked.union(Rights::READ),
        false => asked,
    }
}

/// Where an extent's frames come from, and so where they go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Source {
    /// From the allocator, mapped by their own capabilities. Others may share them.
    #[default]
    Owned,
    /// Shared: these capabilities are copies, and the frames go with the last who has them.
    Copy,
    /// Brought by the caller, who keeps them.
    Borrowed,
    /// From the allocator, at a physical address that was asked for.
    Physical,
}

/// What is known about a mapped address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// The first address of the page it lies in, in bytes.
    pub page: usize,
    /// Logarithm of that page's size in bytes.
    pub size_bits: u8,
    /// The capability mapped there. Of a page that was cloned on demand its slot is empty before
    /// the first touch; [`Vmm::copy_cap`](crate::Vmm::copy_cap) copies the one that it will be
    /// copied of.
    pub frame: CPtr,
    /// Its rights, as they were asked for.
    pub rights: Rights,
    /// Whether the processor fetches instructions from it: where the architecture cannot forbid
    /// that ([`page_tables::Geometry::has_no_execute`]), from all that can be read, whatever the
    /// rights say.
    pub executable: bool,
    /// Whether the first write gets a frame of its own; until then it is mapped read-only.
    pub copy_on_write: bool,
    /// How it is cached.
    pub cache: CachePolicy,
    /// Where the frame comes from.
    pub source: Source,
}
