// SPDX-License-Identifier: BSD-2-Clause
//! Places for regions: found, checked, taken.

use page_tables::{Pages, VirtAddr};
use untyped_alloc::{Kernel, Memory, Rights};

use crate::manager::vmm::Vmm;
use crate::state::region::{Region, StartKey};
use crate::state::region_map::Place;
use crate::state::region_places::{NoPlace, Shape};
use crate::state::reserve::Reserve;
use crate::state::space::Space;
use crate::types::error::{Error, Result};
use crate::types::options::{PageSize, Place as Wish, RegionOptions};
use crate::types::region::Name;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Finds a place for a region and enters it. Takes one node.
    pub(crate) fn place_region(
        &mut self,
        reserve: &mut Reserve,
        space: &'p Space<'p>,
        options: &RegionOptions,
    ) -> Result<&'p Region<'p>> {
        let (place, pages, ceiling) = self.find_place(space, options)?;
        let node = self.pools.region(reserve)?;
        let serial = self.next_serial();
        space.regions_mut().insert(node, place, options.spec(pages, ceiling), serial);
        Ok(node)
    }

    /// A place for what `options` ask for, its pages with guards, and its ceiling.
    pub(crate) fn find_place(
        &self,
        space: &'p Space<'p>,
        options: &RegionOptions,
    ) -> Result<(Place<'p>, usize, Rights)> {
        let (reservation, limit) = self.reservation(space, options)?;
        let ceiling = options.ceiling.unwrap_or(match options.placement.reservation {
            Some(_) => limit,
            // What is not to be run now is not to be run later, unless that was said.
            None => Rights::READ_WRITE | options.rights & Rights::EXECUTE,
        });
        for (asked, ceiling) in [(ceiling, limit), (options.rights, ceiling)] {
            if !ceiling.contains(asked) {
                let name = options.name;
                return Err(Error::RightsExceedCeiling { asked, ceiling, name });
            }
        }
        let largest = || space.regions().largest_hole_in(reservation);
        let pages = self.check_pages(options, largest)?;
        let guard = usize::from(options.guard_below) << self.geometry.page_bits;
        let align_bits = self.align_bits(options);
        let shape = Shape { pages, guard, align_bits, reservation };
        let regions = space.regions();
        let place = match options.placement.place {
            Wish::At(address) => {
                let start = self.start_at(address, guard, pages, align_bits, options.name)?;
                regions.place_at(start, pages, reservation)
            }
            Wish::Anywhere => regions.place_anywhere(shape).ok_or(NoPlace::NoRoom),
            Wish::Within { from, to } => {
                regions.place_within(shape, from, to).ok_or(NoPlace::NoRoom)
            }
        };
        let place = place.map_err(|why| match why {
            NoPlace::NoRoom => {
                let largest = regions.largest_hole_in(reservation);
                Error::NoRoom { pages, align_bits, largest, name: options.name }
            }
            NoPlace::Taken { address, region_start } => {
                let name = regions.name_at(region_start);
                Error::Overlap { address, region_start, name }
            }
            NoPlace::Outside { address } => {
                // The reservation has the name that counts, not what was to lie in it.
                let around = options.placement.reservation.and_then(|id| self.region(id).ok());
                let name = around.map_or(Name::default(), |(_, edge)| edge.spec().name);
                Error::OutsideRegion { address, name }
            }
        })?;
        Ok((place, pages, ceiling))
    }

    /// The reservation asked for: the key of its start edge (0 for none), and the ceiling it sets.
    pub(crate) fn reservation(
        &self,
        space: &Space<'p>,
        options: &RegionOptions,
    ) -> Result<(StartKey, Rights)> {
        let Some(id) = options.placement.reservation else {
            return Ok((0, Rights::READ_WRITE_EXECUTE));
        };
        let (around, node) = self.region(id)?;
        if around.id != space.id || !node.is_edge() {
            return Err(Error::WrongKind { region: id, name: node.spec().name });
        }
        Ok((node.key(), node.spec().ceiling))
    }

    /// The alignment of the first page that is not a guard: what was asked for, or what large pages
    /// want whose place is left to us.
    fn align_bits(&self, options: &RegionOptions) -> u8 {
        let asked = options.placement.align_bits.max(self.geometry.page_bits);
        match (options.page_size, options.placement.place) {
            (_, Wish::At(_)) => asked,
            (PageSize::Large { bits }, _) if self.geometry.level_of_frame(bits).is_some() => {
                asked.max(bits)
            }
            _ => asked,
        }
    }

    /// Pages asked for, with guards. `largest` says how many the largest hole has.
    fn check_pages(&self, options: &RegionOptions, largest: impl Fn() -> usize) -> Result<usize> {
        let most = self.geometry.user_end >> self.geometry.page_bits;
        match options.total_pages() {
            _ if options.pages == 0 => {
                let address = match options.placement.place {
                    Wish::At(address) => address,
                    Wish::Within { from, .. } => from,
                    Wish::Anywhere => 0,
                };
                Err(Error::Address(page_tables::AddressError::Empty { address }))
            }
            Some(pages) if pages <= most && options.placement.align_bits < 31 => Ok(pages),
            _ => Err(Error::NoRoom {
                pages: options.pages,
                align_bits: options.placement.align_bits,
                largest: largest(),
                name: options.name,
            }),
        }
    }

    /// Where a region starts, guard included, whose first usable page is at `address`.
    fn start_at(
        &self,
        address: usize,
        guard: usize,
        pages: usize,
        align_bits: u8,
        name: Name,
    ) -> Result<VirtAddr> {
        use page_tables::AddressError;
        if address & ((1 << align_bits) - 1) != 0 {
            return Err(AddressError::Misaligned { address, bits: align_bits }.into());
        }
        let start = address.checked_sub(guard).ok_or(Error::Guard { address: 0, name })?;
        Ok(self.geometry.range(Pages::at(start).count(pages))?.start())
    }
}
