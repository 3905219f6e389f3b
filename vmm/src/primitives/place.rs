// SPDX-License-Identifier: BSD-2-Clause
//! Places for regions: found, checked, taken.

use page_tables::{PageRange, Pages, VirtAddr};
use untyped_alloc::{Kernel, Memory, Rights};

use crate::manager::vmm::Vmm;
use crate::state::region::{Region, StartKey};
use crate::state::region_map::{Place, Regions};
use crate::state::region_places::{NoPlace, Shape};
use crate::state::reserve::Reserve;
use crate::state::space::Space;
use crate::types::error::{Error, Result};
use crate::types::options::{PageSize, Place as Wish, Placement, RegionOptions, Told};
use crate::types::region::{Backing, Name};

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

    /// A place for what `options` ask for, its pages with guards, and its ceiling. Where large
    /// pages would do, one that is aligned for them, if there is one.
    pub(crate) fn find_place(
        &self,
        space: &'p Space<'p>,
        options: &RegionOptions,
    ) -> Result<(Place<'p>, usize, Rights)> {
        if let Some(near) = space.near.get() {
            if let Some(found) = self.find_place_near(space, options, near) {
                return Ok(found);
            }
        }
        if let Some(bits) = self.align_bits_at_best(options) {
            match self.find_place_as_asked(space, &options.aligned(bits)) {
                Err(Error::NoRoom { .. } | Error::FaultsNotTold { .. }) => {}
                found => return found,
            }
        }
        self.find_place_as_asked(space, options)
    }

    /// A place below the page table below which an address lies, if there is one, for what may lie
    /// anywhere.
    #[cold]
    #[inline(never)]
    fn find_place_near(
        &self,
        space: &'p Space<'p>,
        options: &RegionOptions,
        near: VirtAddr,
    ) -> Option<(Place<'p>, usize, Rights)> {
        let Placement { place: Wish::Anywhere, reservation: None, .. } = options.placement else {
            return None;
        };
        let deepest = self.geometry.levels.len() as u8 - 1;
        let from = self.geometry.table_base(deepest, near).bits();
        let to = self.geometry.table_end(deepest, near);
        self.find_place_as_asked(space, &options.within(from..to)).ok()
    }

    fn find_place_as_asked(
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
        let told = self.told(space, options);
        let place = match options.placement.place {
            Wish::At(address) => {
                let start = self.start_at(address, guard, pages, align_bits, options.name)?;
                if told == Told::Needed {
                    self.check_told(space, Pages::at(address).count(options.pages), options.name)?;
                }
                regions.place_at(start, pages, reservation)
            }
            Wish::Anywhere if told != Told::Indifferent => {
                return Ok((
                    self.place_told(&regions, shape, None, (told, options))?,
                    pages,
                    ceiling,
                ));
            }
            Wish::Within { from, to } if told == Told::Needed => {
                let within = Some((from, to));
                let place = self.place_told(&regions, shape, within, (told, options))?;
                return Ok((place, pages, ceiling));
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

    /// Whether faults in a region must be told by their whole address, where that makes a
    /// difference.
    #[inline]
    fn told(&self, space: &Space<'p>, options: &RegionOptions) -> Told {
        match options.backing {
            _ if self.tells_all_faults(space) => Told::Indifferent,
            Backing::Explicit => options.told,
            Backing::OnDemand { .. } | Backing::Pager { .. } => Told::Needed,
        }
    }

    /// Whether each fault that there can be in a space is told by its whole address.
    #[inline]
    pub(crate) fn tells_all_faults(&self, space: &Space<'p>) -> bool {
        self.geometry.tells_all_faults() || space.store.get()
    }

    /// The part of a range of a space in which there can be faults that are not told by their
    /// whole address, if there is one.
    pub(crate) fn untold(&self, space: &Space<'p>, range: PageRange) -> Option<PageRange> {
        match space.store.get() {
            true => None,
            false => self.geometry.untold(range),
        }
    }

    /// Refuses pages, of user space, of whose faults the kernel does not tell the whole address.
    fn check_told(&self, space: &Space<'p>, pages: Pages, name: Name) -> Result {
        match self.untold(space, self.geometry.range(pages)?) {
            Some(untold) => Err(self.faults_not_told(untold.start().bits(), name)),
            None => Ok(()),
        }
    }

    /// The refusal of an address of whose faults the kernel does not tell all.
    #[cold]
    pub(crate) fn faults_not_told(&self, address: usize, name: Name) -> Error {
        Error::FaultsNotTold { address, end: self.geometry.fault_end, name }
    }

    /// A place for what had best lie, or must, where faults are told by their whole address:
    /// anywhere there, or between two addresses.
    #[cold]
    fn place_told(
        &self,
        regions: &Regions<'p>,
        shape: Shape,
        within: Option<(usize, usize)>,
        (told, options): (Told, &RegionOptions),
    ) -> Result<Place<'p>> {
        let end = self.geometry.fault_end;
        let first = match within {
            None => regions.place_anywhere(shape),
            Some((from, to)) => regions.place_within(shape, from, to),
        };
        let bytes = shape.pages << self.geometry.page_bits;
        let Some(first) = first else {
            let (pages, align_bits) = (shape.pages, shape.align_bits);
            let largest = regions.largest_hole_in(shape.reservation);
            return Err(Error::NoRoom { pages, align_bits, largest, name: options.name });
        };
        if first.start.bits() + bytes <= end {
            return Ok(first);
        }
        let (from, to) = within.unwrap_or((0, end));
        match regions.place_within(shape, from, to.min(end)) {
            Some(place) => Ok(place),
            None if told == Told::Preferred => Ok(first),
            None => Err(self.faults_not_told(first.start.bits().max(end), options.name)),
        }
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

    /// A larger alignment than was asked for, with which large pages can be mapped where they are
    /// preferred, if the place is left to us.
    fn align_bits_at_best(&self, options: &RegionOptions) -> Option<u8> {
        if options.page_size != PageSize::Auto || matches!(options.placement.place, Wish::At(_)) {
            return None;
        }
        let small = self.geometry.page_bits;
        let large = self.geometry.larger_frame(small)?;
        let larger = options.placement.align_bits < large;
        (larger && options.pages >> (large - small) != 0).then_some(large)
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
