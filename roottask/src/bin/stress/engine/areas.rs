// SPDX-License-Identifier: BSD-2-Clause
//! Steps on areas and spaces: chosen, released, destroyed, in the manager and in what is expected.

use core::ops::Range;

use roottask::{check, Outcome};
use vmm::SpaceId;

use super::stress::Stress;
use crate::measure::Kind;

impl Stress {
    /// One of the spaces, the manager's own as likely as all others together.
    pub fn any_space(&mut self) -> SpaceId {
        match self.random.once_in(2) {
            true => self.expected.own(),
            false => self.expected.spaces[self.random.below(self.expected.spaces.len())],
        }
    }

    /// A space that is not the manager's own, if there is one.
    pub fn other_space(&mut self) -> Option<SpaceId> {
        self.random.of(&self.expected.spaces[1..])
    }

    /// The number of an area, if there is one.
    pub fn any_area(&mut self) -> Option<usize> {
        let areas = self.expected.areas.len();
        (areas != 0).then(|| self.random.below(areas))
    }

    /// A random part of the pages of an area that are all mapped, or all not.
    pub fn part_of(&mut self, area: usize, mapped: bool) -> Option<Range<usize>> {
        let pages = self.expected.areas[area].pages.len();
        let page = self.random.below(pages);
        if self.expected.areas[area].pages[page].is_some() != mapped {
            return None;
        }
        let extent = self.expected.areas[area].extent_around(page);
        let first = self.random.within(extent.start, page);
        let last = self.random.within(page, extent.end - 1);
        Some(first..last + 1)
    }

    /// Releases an area.
    pub fn release_area(&mut self, area: usize) -> Outcome {
        let area = self.expected.areas.swap_remove(area);
        self.must(Kind::Release, |vmm| vmm.release(area.id))
    }

    /// Destroys a space, with all that is in it.
    pub fn destroy_space(&mut self, space: SpaceId) -> Outcome {
        self.must(Kind::DestroySpace, |vmm| vmm.destroy_space(space))?;
        self.expected.spaces.retain(|&other| other != space);
        self.expected.areas.retain(|area| area.space() != space);
        Ok(())
    }

    /// Gives everything back, having checked what is in it.
    pub fn drain(&mut self) -> Outcome {
        while !self.expected.areas.is_empty() {
            let last = self.expected.areas.len() - 1;
            self.check_area(last)?;
            self.release_area(last)?;
        }
        while let [_, .., last] = self.expected.spaces[..] {
            self.destroy_space(last)?;
        }
        check!(self.expected.spaces.len() == 1);
        self.vmm.validate()?;
        Ok(())
    }
}
