//! The lines between page tables, and places across them.
//!
//! ```text
//!      table, kept or not   │   table, kept or not
//!        …  ▒ ▒ ■ ■ ■ ■ ■ ■ │ ■ ■ ■ ■ ▒ ▒  …          ■ page   ▒ guard
//!                           line
//! ```
//!
//! What is remembered of one page table must not be used for the next. Regions that are placed anywhere
//! hardly ever lie across such a line, so that some are put there: on few lines, at which many meet.

use roottask::Outcome;
use vmm::{RegionId, RegionOptions, SpaceId};

use super::stress::Stress;
use crate::measure::Kind;
use crate::model::PAGE;

/// The lines lie from this address on, in bytes; nothing else is placed there by its address.
const FIRST: usize = 0x8000_0000;
/// How many lines there are.
const LINES: usize = 12;

/// How many pages of `pages` from `first` (bytes) on lie below a line, if one lies between them.
pub fn pages_below_line(stress: &Stress, first: usize, pages: usize) -> Option<usize> {
    let below = (line_after(stress, first) - first) / PAGE;
    (below < pages).then_some(below)
}

/// The lowest line above an address, in bytes.
fn line_after(stress: &Stress, address: usize) -> usize {
    let geometry = stress.vmm.geometry();
    let deepest = geometry.levels.len() as u8 - 1;
    // Outside of user space there is no line any more.
    geometry.address(address).map_or(usize::MAX, |at| geometry.table_end(deepest, at))
}

impl Stress {
    /// Places a region across a line: at least one of its `pages` lies on either side, which are those
    /// between `below` and `above` more. What has one page only, or finds no room there, is refused or
    /// lies elsewhere, as its options said before.
    pub fn across_line(
        &mut self,
        options: RegionOptions,
        pages: usize,
        (below, above): (usize, usize),
    ) -> RegionOptions {
        if pages < 2 {
            return options;
        }
        let mut line = line_after(self, FIRST);
        for _ in 0..self.random.below(LINES) {
            line = line_after(self, line);
        }
        let before = below + self.random.within(1, pages - 1);
        options.within(line - before * PAGE, line + (pages - 1 + above) * PAGE)
    }

    /// Leaves a hole of so many pages, and two on either side, across a line, and takes the addresses
    /// around it. What is placed anywhere next, with two guards, goes there: the hole fits best. The
    /// fence is to be taken down then.
    pub fn fence(&mut self, space: SpaceId, pages: usize) -> Outcome<[Option<RegionId>; 2]> {
        let options = RegionOptions::new(pages + 4).named("fence");
        let options = self.across_line(options, pages, (2, 2));
        let made = self.attempt(Kind::Reserve, |vmm| vmm.reserve(space, &options))?;
        let Some(low) = made else { return Ok([None; 2]) };
        let Some(hole) = self.attempt(Kind::Split, |vmm| vmm.split_region(low, 1))? else {
            return Ok([Some(low), None]);
        };
        let high = self.attempt(Kind::Split, |vmm| vmm.split_region(hole, pages + 2))?;
        self.must(Kind::Release, |vmm| vmm.release(hole))?;
        Ok([Some(low), high])
    }

    /// Takes a fence down.
    pub fn take_down(&mut self, fence: [Option<RegionId>; 2]) -> Outcome {
        fence
            .into_iter()
            .flatten()
            .try_for_each(|region| self.must(Kind::Release, |vmm| vmm.release(region)))
    }
}
