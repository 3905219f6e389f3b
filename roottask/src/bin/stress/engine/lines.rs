// SPDX-License-Identifier: BSD-2-Clause
//! The lines between page tables, and places across them.
//!
//! ```text
//!      table, kept or not   │   table, kept or not
//!        …  ▒ ▒ ■ ■ ■ ■ ■ ■ │ ■ ■ ■ ■ ▒ ▒  …          ■ page   ▒ guard
//!                           line
//! ```
//!
//! What the manager remembers of one page table must not be used for the next one. Regions that are
//! placed anywhere hardly ever lie across such a line. So some regions are placed there: on few
//! lines, at which many regions meet.

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
    /// Asks for a place across a line: at least one of the region's `pages` lies on either side of
    /// it. `below` and `above` are its guard pages. The options of a region of one page stay as
    /// they are.
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
        options.within(line - before * PAGE..line + (pages - 1 + above) * PAGE)
    }

    /// Makes a hole for so many pages and their two guards across a line, by taking the addresses
    /// around it. A stack that is placed anywhere goes there next, because the hole fits best. Then
    /// [`Stress::take_down`] gives the addresses back.
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
