// SPDX-License-Identifier: BSD-2-Clause
//! A window: up to sixteen neighbouring pages of which each is remembered by itself.
//!
//! Where pages come in no order, their capabilities are in none either, and an extent for each
//! would cost four times as much. A window lies in one *block*, sixteen pages that begin where
//! their number divides by sixteen, so that a block which fills in any order ends as one window.
//!
//! ```text
//!   block     │ .  .  .  p  .  p  p  .  .  .  .  p  .  .  .  . │
//!   window             start                      end
//! ```

use core::cell::Cell;

use untyped_alloc::{CPtr, CachePolicy, Rights};

use crate::types::mapping::Source;

/// How many pages a block has.
pub(crate) const BLOCK_PAGES: usize = 16;

/// Logarithm of that.
pub(super) const BLOCK_BITS: u8 = 4;
const _: () = assert!(1 << BLOCK_BITS == BLOCK_PAGES);

/// The pages of a window: the first is the one that the block begins with, whether it is there or
/// not.
#[derive(Default)]
pub(crate) struct Window<'p> {
    pub next_free: Cell<Option<&'p Window<'p>>>,
    /// Logarithm of a page's bytes.
    size_bits: Cell<u8>,
    /// Bit n is set where page n is there.
    present: Cell<u16>,
    /// Bit n is set where page n is abandoned.
    abandoned: Cell<u16>,
    frames: [Cell<CPtr>; BLOCK_PAGES],
    attributes: [Cell<Attributes>; BLOCK_PAGES],
}

// On IA32: elsewhere words of 64 bits lie apart by as many.
#[cfg(target_pointer_width = "32")]
const _: () = assert!(core::mem::size_of::<Window<'_>>() <= 92 || align_of::<u64>() == 8);

/// What a window knows of a page.
#[derive(Clone, Copy, Default)]
pub(crate) struct WindowPage {
    pub frame: CPtr,
    pub attributes: Attributes,
    pub abandoned: bool,
}

impl Window<'_> {
    /// Logarithm of a page's bytes.
    #[inline(always)]
    pub fn size_bits(&self) -> u8 {
        self.size_bits.get()
    }

    /// Makes it one without a page, for pages of 2^`size_bits` bytes.
    #[inline(always)]
    pub fn begin(&self, size_bits: u8) {
        self.size_bits.set(size_bits);
        self.present.set(0);
        self.abandoned.set(0);
    }

    /// Enters page number `index`, or changes what is known of it.
    #[inline(always)]
    pub fn set(&self, index: usize, page: WindowPage) {
        self.frames[index].set(page.frame);
        self.attributes[index].set(page.attributes);
        self.present.set(self.present.get() | 1 << index);
        let others = self.abandoned.get() & !(1 << index);
        self.abandoned.set(others | u16::from(page.abandoned) << index);
    }

    /// Enters pages, by number, whose frames have consecutive capabilities from that of `page` on,
    /// and which are as that is otherwise.
    #[inline(always)]
    pub fn set_all(&self, numbers: impl Iterator<Item = usize>, page: WindowPage) {
        let mut pages = 0u16;
        for (frame, number) in numbers.enumerate() {
            self.frames[number].set(page.frame.offset(frame));
            self.attributes[number].set(page.attributes);
            pages |= 1 << number;
        }
        self.present.set(self.present.get() | pages);
        let others = self.abandoned.get() & !pages;
        self.abandoned.set(if page.abandoned { others | pages } else { others });
    }

    /// Takes pages out: number n where bit n is set.
    #[inline(always)]
    pub fn remove(&self, pages: u16) {
        self.present.set(self.present.get() & !pages);
    }

    /// The pages that are there: bit n is set for number n.
    #[inline(always)]
    pub fn present(&self) -> u16 {
        self.present.get()
    }

    /// Whether page number `index` is there.
    #[inline(always)]
    pub fn has(&self, index: usize) -> bool {
        self.present.get() >> index & 1 != 0
    }

    /// What is known of page number `index`, if it is there.
    #[inline(always)]
    pub fn get(&self, index: usize) -> Option<WindowPage> {
        self.has(index).then(|| WindowPage {
            frame: self.frames[index].get(),
            attributes: self.attributes[index].get(),
            abandoned: self.abandoned.get() >> index & 1 != 0,
        })
    }

    /// How many pages are there, if they lie together, are alike, and have consecutive capabilities.
    pub fn run(&self) -> Option<usize> {
        let (present, first) = (self.present.get(), self.first_from(0)?);
        let count = present.count_ones() as usize;
        let together = first + count == self.end();
        let abandoned = self.abandoned.get() & present;
        let (frame, attributes) = (self.frames[first].get(), self.attributes[first].get());
        let mut others = (1..count).map(|number| (number, first + number));
        let alike = together
            && (abandoned == 0 || abandoned == present)
            && others.all(|(number, place)| {
                self.frames[place].get() == frame.offset(number)
                    && self.attributes[place].get() == attributes
            });
        alike.then_some(count)
    }

    /// The number of the first page that is there, from number `index` on.
    #[inline(always)]
    pub fn first_from(&self, index: usize) -> Option<usize> {
        let rest = u32::from(self.present.get()) >> index;
        (rest != 0).then(|| index + rest.trailing_zeros() as usize)
    }

    /// The number behind that of the last page; 0 if there is none.
    #[inline(always)]
    pub fn end(&self) -> usize {
        BLOCK_PAGES - self.present.get().leading_zeros() as usize
    }
}

/// The numbers of the bits that are set, lowest first.
pub(crate) fn numbers(pages: u16) -> impl Iterator<Item = usize> {
    let mut rest = pages;
    core::iter::from_fn(move || {
        let number = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
        rest &= rest - 1;
        Some(number)
    })
}

/// Rights (two bits: frames know no grant, and running is marked elsewhere), copy-on-write, cache
/// policy and source in one byte; the last bit is for who keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Attributes(u8);

const LAST: u8 = 1 << 7;

impl Attributes {
    #[inline(always)]
    pub fn new(
        rights: Rights,
        cow: bool,
        cache: CachePolicy,
        source: Source,
        last: bool,
    ) -> Attributes {
        let rights = rights.bits() & Rights::READ_WRITE.bits();
        let (cow, cache, source) = (cow as u8, cache as u8, source as u8);
        Attributes(rights | cow << 2 | cache << 3 | source << 5 | (last as u8) << 7)
    }

    /// Without the right to run.
    pub fn rights(self) -> Rights {
        Rights::from_bits_truncate(self.0 & Rights::READ_WRITE.bits())
    }

    pub fn cow(self) -> bool {
        self.0 & 1 << 2 != 0
    }

    pub fn cache(self) -> CachePolicy {
        match self.0 >> 3 & 3 {
            0 => CachePolicy::WriteBack,
            1 => CachePolicy::WriteThrough,
            2 => CachePolicy::Uncached,
            _ => CachePolicy::WriteCombining,
        }
    }

    pub fn source(self) -> Source {
        match self.0 >> 5 & 3 {
            0 => Source::Owned,
            1 => Source::Copy,
            2 => Source::Borrowed,
            _ => Source::Physical,
        }
    }

    pub fn last(self) -> bool {
        self.0 & LAST != 0
    }
}
