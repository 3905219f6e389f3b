// SPDX-License-Identifier: BSD-2-Clause
//! What frames hold: sparse 4 KiB pages by physical address. A page never written reads as zero.

use std::collections::BTreeMap;

/// Bytes of a page.
pub(in crate::model) const PAGE: usize = 4096;

/// The contents of physical memory, as far as user mode wrote it.
#[derive(Clone, Debug, Default)]
pub(in crate::model) struct Contents {
    pages: BTreeMap<usize, Box<[u8; PAGE]>>,
}

impl Contents {
    /// Reads from `paddr` on, within one page.
    pub(in crate::model) fn read(&self, paddr: usize, buf: &mut [u8]) {
        let at = paddr % PAGE;
        match self.pages.get(&(paddr - at)) {
            Some(page) => buf.copy_from_slice(&page[at..at + buf.len()]),
            None => buf.fill(0),
        }
    }

    /// Writes from `paddr` on, within one page.
    pub(in crate::model) fn write(&mut self, paddr: usize, bytes: &[u8]) {
        let at = paddr % PAGE;
        let page = self.pages.entry(paddr - at).or_insert_with(|| Box::new([0; PAGE]));
        page[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// What is not zero: where it is, and a digest of each page.
    pub(in crate::model) fn pages(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let mix = |sum: u64, word: &[u8]| {
            let word = word.try_into().map_or(0, u64::from_le_bytes);
            sum.rotate_left(5).wrapping_mul(0x0100_0000_01b3).wrapping_add(word)
        };
        let digests = self.pages.iter().map(move |(&at, page)| (at, page.chunks(8).fold(0, mix)));
        digests.filter(|&(_, digest)| digest != 0)
    }

    /// Makes `bytes` bytes, at least one, from `paddr` on zero. Only whole pages are kept, and only
    /// whole pages are frames, so the part of a page that an untyped's end leaves over is nobody's.
    pub(in crate::model) fn clear(&mut self, paddr: usize, bytes: usize) {
        while let Some((&page, _)) = self.pages.range(paddr..=paddr + (bytes - 1)).next() {
            self.pages.remove(&page);
        }
    }
}
