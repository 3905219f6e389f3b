// SPDX-License-Identifier: BSD-2-Clause
//! Large pages of a space that were cut for a request that is not done: what they were, so that
//! they can be made whole should it be refused.

use core::cell::Cell;

use page_tables::VirtAddr;
use untyped_alloc::{CPtr, CachePolicy, Frames, Rights};

use super::extent::Extent;
use super::extent_node::ExtentNode;

/// A list, the one that was cut last first. It is as long as the request has cut pages, and has
/// none, as a rule, when no request is under way.
#[derive(Default)]
pub(crate) struct CutPages<'p> {
    last: Cell<Option<&'p ExtentNode<'p>>>,
}

/// A large page that was cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CutPage {
    pub start: VirtAddr,
    pub size_bits: u8,
    /// The low bits of its region's serial number: another region may be there later.
    pub region: usize,
}

impl CutPage {
    /// The address behind it, in bytes.
    pub fn end(&self) -> usize {
        self.start.bits() + (1 << self.size_bits)
    }

    /// Whether an address was in it.
    pub fn covers(&self, address: VirtAddr) -> bool {
        self.start <= address && address.bits() - self.start.bits() < 1 << self.size_bits
    }

    fn of(node: &ExtentNode<'_>) -> CutPage {
        let Extent { start, frames, .. } = node.info();
        CutPage { start, size_bits: frames.size_bits, region: frames.first.bits() }
    }
}

impl<'p> CutPages<'p> {
    pub fn is_empty(&self) -> bool {
        self.last.get().is_none()
    }

    /// Adds one, in a node that was taken for it.
    pub fn push(&self, node: &'p ExtentNode<'p>, page: CutPage) {
        // Nothing is mapped by it: where a capability would be is the number of the region.
        let first = CPtr::new(page.region);
        let frames = Frames { first, count: 1, size_bits: page.size_bits };
        node.write(Extent::fresh(page.start, frames, Rights::empty(), CachePolicy::WriteBack));
        node.next_free.set(self.last.replace(Some(node)));
    }

    /// Takes out the one that was cut last of those which `picks` picks, with its node.
    pub fn take(&self, picks: impl Fn(&CutPage) -> bool) -> Option<(&'p ExtentNode<'p>, CutPage)> {
        let mut link = &self.last;
        loop {
            let node = link.get()?;
            let page = CutPage::of(node);
            if picks(&page) {
                link.set(node.next_free.take());
                return Some((node, page));
            }
            link = &node.next_free;
        }
    }

    /// All of them, the last first.
    pub fn iter(&self) -> impl Iterator<Item = CutPage> + use<'p> {
        let mut next = self.last.get();
        core::iter::from_fn(move || {
            let node = next?;
            next = node.next_free.get();
            Some(CutPage::of(node))
        })
    }
}
