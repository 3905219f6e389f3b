//! The reference model: maps from pages, and loops over them. Slow, plain, and independent of how
//! the manager does it.

use std::collections::BTreeMap;

use page_tables::AddressError;
use untyped_alloc::Rights;
use vmm::{Error, IpcBuffer, Kind, Object, Quota, RegionId, Resource, SpaceId};

use super::ops::{Where, Wish};
use crate::support::{PAGE, Target};

/// What a page of memory is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// What it was mapped with, or protected to.
    pub rights: Rights,
    /// Which memory it is: pages that are shared have the same.
    pub frame: u32,
    /// Whether the first write gets memory of its own.
    pub cow: bool,
    /// Whether it counts among the pages its space owns, or among the copied capabilities.
    pub owned: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct Region {
    pub id: RegionId,
    pub start: usize,
    /// With guards.
    pub pages: usize,
    pub below: usize,
    pub above: usize,
    pub rights: Rights,
    pub ceiling: Rights,
    pub kind: Kind,
    /// The reservation it lies in.
    pub inside: Option<RegionId>,
    /// How many pages a touch maps at the most; 0 for none.
    pub around: usize,
}

impl Region {
    pub fn end(&self) -> usize {
        self.start + self.pages * PAGE
    }

    /// The addresses that can be mapped.
    pub fn usable(&self) -> std::ops::Range<usize> {
        self.start + self.below * PAGE..self.end() - self.above * PAGE
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Reservation {
    pub id: RegionId,
    pub start: usize,
    pub pages: usize,
    pub ceiling: Rights,
    pub inside: Option<RegionId>,
}

impl Reservation {
    fn covers(&self, address: usize) -> bool {
        (self.start..self.start + self.pages * PAGE).contains(&address)
    }
}

pub struct Space {
    pub id: SpaceId,
    pub regions: BTreeMap<usize, Region>,
    pub reservations: Vec<Reservation>,
    pub pages: BTreeMap<usize, Page>,
    pub quota: Quota,
}

pub struct Reference {
    pub target: Target,
    pub spaces: Vec<Space>,
    /// What was last written to each frame that ever was; 0 for a fresh one.
    pub tags: Vec<u64>,
    /// Ids of regions and reservations that are no more.
    pub dead: Vec<RegionId>,
    pub buffers: Vec<IpcBuffer>,
    /// Those of arenas that there are, given back or not.
    pub handed_out: Vec<IpcBuffer>,
    /// Threads, and the address and region of the buffer each has.
    pub threads: Vec<(Object, Option<IpcBuffer>)>,
}

/// What the reference says of a wish: the places that would be right, or the errors that would.
pub enum Verdict {
    /// Region starts, guards included, any of which will do.
    Places(Vec<usize>),
    Refused(Vec<Error>),
}

impl Verdict {
    /// The places that are right, and the errors that are.
    pub fn split(self) -> (Vec<usize>, Vec<Error>) {
        match self {
            Verdict::Places(places) => (places, Vec::new()),
            Verdict::Refused(errors) => (Vec::new(), errors),
        }
    }
}

impl Space {
    pub fn region_at(&self, address: usize) -> Option<&Region> {
        let (_, region) = self.regions.range(..=address).next_back()?;
        (address < region.end()).then_some(region)
    }

    /// The innermost reservation around an address: the last, as outer ones come first.
    fn owner_at(&self, address: usize) -> Option<RegionId> {
        self.reservations.iter().rfind(|r| r.covers(address)).map(|r| r.id)
    }

    /// Holes: from, to and the reservation they lie in, lowest first.
    fn holes(&self, end: usize) -> Vec<(usize, usize, Option<RegionId>)> {
        let mut cuts: Vec<usize> = vec![0, end];
        for region in self.regions.values() {
            cuts.extend([region.start, region.end()]);
        }
        for reservation in &self.reservations {
            cuts.extend([reservation.start, reservation.start + reservation.pages * PAGE]);
        }
        cuts.sort();
        cuts.dedup();
        let spans = cuts.windows(2).map(|pair| (pair[0], pair[1]));
        spans
            .filter(|&(from, _)| self.region_at(from).is_none())
            .map(|(from, to)| (from, to, self.owner_at(from)))
            .collect()
    }

    /// Pages, whoever's they are (A39), and copied capabilities that count against the quota.
    pub fn used(&self, resource: Resource) -> usize {
        let counts = |page: &&Page| resource == Resource::Frames || !page.owned;
        self.pages.values().filter(counts).count()
    }

    /// Whether `more` would be too much.
    pub fn beyond_quota(&self, resource: Resource, more: usize) -> Option<Error> {
        let (used, limit) = (self.used(resource), self.quota.of(resource));
        let space = self.id;
        (more > limit.saturating_sub(used)).then_some(Error::OutOfQuota {
            space,
            resource,
            limit,
            used,
        })
    }

    pub fn is_reservation_empty(&self, id: RegionId) -> bool {
        let region_inside = self.regions.values().any(|region| region.inside == Some(id));
        !region_inside && !self.reservations.iter().any(|inner| inner.inside == Some(id))
    }
}

fn refused(error: Error) -> Verdict {
    Verdict::Refused(vec![error])
}

impl Reference {
    /// How many pages show this memory.
    pub fn users(&self, frame: u32) -> usize {
        let pages = self.spaces.iter().flat_map(|space| space.pages.values());
        pages.filter(|page| page.frame == frame).count()
    }

    /// The first write to a page under copy-on-write: memory of its own with the same contents, or
    /// what it has if nobody else has that.
    pub fn break_cow(&mut self, number: usize, at: usize) {
        let old = self.spaces[number].pages[&at].frame;
        let alone = self.users(old) == 1;
        let fresh = self.tags.len() as u32;
        let page = self.spaces[number].pages.get_mut(&at).expect("a page");
        page.cow = false;
        if !alone {
            (page.frame, page.owned) = (fresh, true);
            self.tags.push(self.tags[old as usize]);
        }
    }

    /// Ends copy-on-write for what nobody else has.
    pub fn settle(&mut self, number: usize, range: std::ops::Range<usize>) {
        let pages: Vec<usize> = self.spaces[number].pages.range(range).map(|(&at, _)| at).collect();
        for at in pages {
            let page = self.spaces[number].pages[&at];
            if page.cow && self.users(page.frame) == 1 {
                self.break_cow(number, at);
            }
        }
    }

    pub fn reservation(&self, id: RegionId) -> Option<&Reservation> {
        self.spaces.iter().flat_map(|space| &space.reservations).find(|found| found.id == id)
    }

    /// Where a wish may go. `inside` is what its number stands for.
    pub fn place(&self, space: &Space, wish: &Wish, inside: Option<RegionId>) -> Verdict {
        let limit = match inside {
            None => Rights::READ_WRITE,
            Some(id) => match self.reservation(id) {
                None if self.dead.contains(&id) => return refused(Error::NoSuchRegion(id)),
                Some(found) if id.space() == space.id => found.ceiling,
                _ => return refused(Error::WrongKind(id)),
            },
        };
        let ceiling = wish.ceiling.unwrap_or(limit);
        if !limit.contains(ceiling) {
            return refused(Error::RightsExceedCeiling { asked: ceiling, ceiling: limit });
        }
        if !ceiling.contains(wish.rights) {
            return refused(Error::RightsExceedCeiling { asked: wish.rights, ceiling });
        }
        let end = self.target.user_end();
        let total = wish.pages.saturating_add(usize::from(wish.below + wish.above));
        let align_bits = wish.align_bits.max(12);
        if wish.pages == 0 {
            let address = match wish.place {
                Where::Anywhere => 0,
                Where::At(spot) | Where::Within(spot, _) => spot.address(self.target),
            };
            return refused(AddressError::Empty { address }.into());
        }
        if total > end / PAGE || wish.align_bits >= 31 {
            let (pages, align_bits) = (wish.pages, wish.align_bits);
            return refused(Error::NoRoom { pages, align_bits });
        }
        let no_room = Error::NoRoom { pages: total, align_bits };
        let align = 1usize << align_bits;
        let guard = usize::from(wish.below) * PAGE;
        // The lowest start in a hole, not below `from`.
        let lowest = |hole: usize, from: usize| {
            (hole.max(from) + guard).next_multiple_of(align).checked_sub(guard)
        };
        let fits = |&(from, to, owner): &(usize, usize, Option<RegionId>), least: usize| {
            let start = lowest(from, least)?;
            (owner == inside && start + total * PAGE <= to).then_some(start)
        };
        match wish.place {
            Where::At(spot) => self.place_at(space, spot.address(self.target), wish, inside),
            Where::Anywhere => {
                let holes = space.holes(end);
                let fitting: Vec<_> = holes.iter().filter_map(|h| Some((fits(h, 0)?, h))).collect();
                // The best fit, unless an alignment makes small holes a gamble.
                let best = fitting.iter().map(|(_, (from, to, _))| to - from).min();
                let plain = align_bits == 12;
                let right = |hole: &(usize, usize, _)| !plain || Some(hole.1 - hole.0) == best;
                let starts = fitting.iter().filter(|(_, hole)| right(hole)).map(|(at, _)| *at);
                let starts: Vec<usize> = starts.collect();
                if starts.is_empty() { refused(no_room) } else { Verdict::Places(starts) }
            }
            Where::Within(from, to) => {
                let (from, to) = (from.address(self.target), to.address(self.target));
                let holes = space.holes(end);
                let start = holes.iter().filter_map(|hole| fits(hole, from)).next();
                match start {
                    Some(start) if start + total * PAGE <= to => Verdict::Places(vec![start]),
                    _ => refused(no_room),
                }
            }
        }
    }

    fn place_at(
        &self,
        space: &Space,
        address: usize,
        wish: &Wish,
        inside: Option<RegionId>,
    ) -> Verdict {
        let (end, align_bits) = (self.target.user_end(), wish.align_bits.max(12));
        if !address.is_multiple_of(1 << align_bits) {
            return refused(AddressError::Misaligned { address, bits: align_bits }.into());
        }
        let Some(start) = address.checked_sub(usize::from(wish.below) * PAGE) else {
            return refused(Error::Guard { address: 0 });
        };
        let pages = wish.pages + usize::from(wish.below + wish.above);
        if let Err(error) = self.range(start, pages) {
            return refused(error);
        }
        debug_assert!(start < end);
        for at in (start..start + pages * PAGE).step_by(PAGE) {
            let outside = space.owner_at(at) != inside;
            let mut errors = Vec::new();
            if let Some(region) = space.region_at(at) {
                errors.push(Error::Overlap { address: at, region_start: region.start });
            }
            // Where a region lies in somebody else's reservation, either is true.
            if outside {
                errors.push(Error::OutsideRegion { address: at });
            }
            if !errors.is_empty() {
                return Verdict::Refused(errors);
            }
        }
        Verdict::Places(vec![start])
    }

    /// Whether these are pages of user space.
    pub fn range(&self, start: usize, pages: usize) -> Result<(), Error> {
        let end = self.target.user_end();
        let refused = if !start.is_multiple_of(PAGE) {
            AddressError::Misaligned { address: start, bits: 12 }
        } else if pages == 0 {
            AddressError::Empty { address: start }
        } else {
            match pages.checked_mul(PAGE).and_then(|bytes| start.checked_add(bytes)) {
                None => AddressError::Wraps { address: start, pages },
                Some(last) if last > end => AddressError::OutsideUserSpace { address: last, end },
                Some(_) => return Ok(()),
            }
        };
        Err(refused.into())
    }

    /// Whether these pages are a caller's to map and unmap: all in one region, and no guard.
    pub fn pages_of<'s>(
        &self,
        space: &'s Space,
        start: usize,
        pages: usize,
    ) -> Result<&'s Region, Error> {
        self.range(start, pages)?;
        let region = space.region_at(start).ok_or(Error::OutsideRegion { address: start })?;
        if !matches!(region.kind, Kind::Memory | Kind::Stack) {
            return Err(Error::WrongKind(region.id));
        }
        let usable = region.usable();
        for address in (start..start + pages * PAGE).step_by(PAGE) {
            if address >= region.end() {
                return Err(Error::OutsideRegion { address });
            }
            if !usable.contains(&address) {
                return Err(Error::Guard { address });
            }
        }
        Ok(region)
    }
}
