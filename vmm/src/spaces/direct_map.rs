// SPDX-License-Identifier: BSD-2-Clause
//! Making the direct map: addresses and page tables for a second mapping of all RAM.

use page_tables::Pages;
use untyped_alloc::{Kernel, Memory, NodeKind, Rights};

use crate::manager::vmm::Vmm;
use crate::state::direct_map::DirectMap;
use crate::state::reserve::{Reserve, Wanted};
use crate::types::error::{Error, Result};
use crate::types::options::RegionOptions;
use crate::types::region::Kind;

/// Small frames for which there is a node of aliases: a batch has 16 to 256.
const FRAMES_A_NODE: usize = 64;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Makes a direct map: a place in the manager's own space for each page of RAM. A frame that is
    /// zeroed, or copied from or to, is mapped there from then on, until the memory it came with is
    /// given back. Doing it again takes no kernel call, where it took two, and six for a write to a
    /// page that is shared copy-on-write.
    ///
    /// It costs as many addresses as there is RAM, with its gaps; now a page table for each part
    /// of it that one covers (4 KiB for 4 MiB on IA32, for 2 MiB on x86_64) and 1.25 bytes of nodes
    /// a page, which all stay; and later a slot for each frame of a batch that has such a frame
    /// (16 bytes on IA32, 32 on x86_64). Giving that batch back costs two kernel calls more for
    /// each frame that was mapped so. A machine that is short of memory does without. Where there
    /// is a direct map already, nothing is done.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> vmm::Result {
    /// # let vmm = &mut vmm_tests::support::manager();
    /// vmm.make_direct_map()?;
    /// assert!(vmm.stats().direct_map_tables > 0);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::NoRoom`] where there are not so many addresses; those of [`Vmm::map`] for want of
    /// memory, and [`Error::Kernel`]: what was made stays, and calling again goes on from there.
    pub fn make_direct_map(&mut self) -> Result {
        if self.direct_map.is_none() {
            self.place_direct_map()?;
        }
        if self.direct_map.is_some_and(|map| map.is_complete()) {
            return Ok(());
        }
        let pages = self.alloc.ram_bytes() >> self.geometry.page_bits;
        while self.alloc.alias_nodes() < pages / FRAMES_A_NODE {
            let _reserve = self.refill()?;
            self.adopt_next_page(Wanted::Allocator(NodeKind::Aliases))?;
        }
        while let Some(map) = self.direct_map.filter(|map| !map.is_complete()) {
            self.make_direct_table(map)?;
        }
        Ok(())
    }

    /// Takes the direct map away: frames, page tables, addresses. Two kernel calls for each frame
    /// in it and one for each page table. The nodes stay for another one. Without a direct map,
    /// nothing is done.
    ///
    /// # Errors
    /// [`Error::Kernel`], or [`Error::Allocator`] with such a refusal: what is left is there as
    /// before, and calling again goes on from there.
    pub fn remove_direct_map(&mut self) -> Result {
        let Some(map) = self.direct_map else { return Ok(()) };
        self.alloc.remove_all_aliases(&mut self.kernel)?;
        let deepest = self.deepest_level() as u8;
        for part in self.geometry.parts(deepest, map.range()) {
            let mut shadow = self.own.shadow.borrow_mut();
            let table = shadow.find(&self.geometry, deepest, part.start());
            table.into_iter().for_each(|table| shadow.make_ordinary(table));
        }
        self.direct_map = None;
        // Those that the kernel keeps now are empty ones, and given back as such.
        self.try_free_empty_tables_in(self.own, map.range());
        let region = self.own.regions().at(map.range().start());
        match region {
            Some(region) => self.release_region(&mut Reserve::as_it_is(), self.own, region),
            None => Ok(()),
        }
    }

    fn place_direct_map(&mut self) -> Result {
        let ram = self.alloc.ram_range().ok_or(untyped_alloc::Error::NoUntyped)?;
        let span_bits = self.geometry.levels[self.deepest_level()].span_bits();
        let start = ram.start >> span_bits << span_bits;
        // Whole spans of page tables: none of them is another region's too, or was there at boot.
        let pages =
            (ram.end - start).div_ceil(1 << span_bits) << (span_bits - self.geometry.page_bits);
        let options = RegionOptions::new(pages)
            .named("direct map")
            .aligned(span_bits)
            .ceiling(Rights::READ_WRITE)
            .kind(Kind::Bookkeeping);
        // Rather at the end of user space: it leaves no hole behind it, and those before it whole.
        let end = self.geometry.user_end;
        let start_at_end =
            end.saturating_sub(pages << self.geometry.page_bits) >> span_bits << span_bits;
        let all = (end - start_at_end) >> self.geometry.page_bits;
        let at_end = RegionOptions { pages: all, ..options }.at(start_at_end);
        let reserve = &mut self.refill()?;
        let region = match self.place_region(reserve, self.own, &at_end) {
            Err(Error::NoRoom { .. } | Error::Overlap { .. }) => {
                self.place_region(reserve, self.own, &options)?
            }
            placed => placed?,
        };
        let range = self.geometry.range(Pages::at(region.start().bits()).count(pages))?;
        self.direct_map = Some(DirectMap::new(range, start));
        Ok(())
    }

    /// Makes the next page table, which stays, or goes past addresses of which none are RAM's.
    fn make_direct_table(&mut self, mut map: DirectMap) -> Result {
        let Some(rest) = map.without_tables else { return Ok(()) };
        let (address, deepest) = (rest.start(), self.deepest_level());
        let paddr = map.paddr_of(address);
        let end = paddr.saturating_add(1 << self.geometry.levels[deepest].span_bits());
        if self.alloc.has_ram_in(&(paddr..end)) {
            let reserve = &mut self.refill()?;
            let table = self.table_at(reserve, self.own, address)?;
            self.own.shadow.borrow_mut().make_permanent(table);
            map.tables += 1;
        }
        map.has_tables_to(self.geometry.table_end(deepest as u8, address));
        self.direct_map = Some(map);
        Ok(())
    }

    fn deepest_level(&self) -> usize {
        self.geometry.levels.len() - 1
    }
}
