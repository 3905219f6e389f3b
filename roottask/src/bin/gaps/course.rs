// SPDX-License-Identifier: BSD-2-Clause
//! What is done beside a thread that computes: all memory is mapped, given back, mapped again, and
//! a space of many pages is destroyed.

use roottask::{check, Failure, Manager, Outcome};
use vmm::sel4::pacer::Pacer;
use vmm::AllocatorError::NeedsClearing;
use vmm::{Error, Pages, RegionId, RegionOptions, SpaceId, PAGE_BYTES};

use crate::watch::{now, Watch};

/// Pages of the space that is destroyed, where there is memory for so many.
const SPACE_PAGES: usize = 120_000;

/// Pages that one request maps.
const AT_ONCE: usize = 64;

/// What it was done with, and what clearing cost.
pub struct Course {
    pub pacer: Option<Pacer>,
    pub watch: &'static Watch,
    /// Bytes that were cleared in words, and the instructions of that, others' left out.
    pub cleared: u64,
    pub instructions: u64,
    /// The instructions of destroying the space, others' left out.
    pub destroying: u64,
}

impl Course {
    /// All of it. Returns how many pages there were, and how many the space had.
    pub fn run(&mut self, vmm: &mut Manager) -> Outcome<(usize, usize)> {
        let (own, all) = (vmm.own_space(), vmm.stats().allocator.free_bytes() / PAGE_BYTES);
        self.watch.set_step(0);
        let (region, pages) = self.map_all(vmm, own, all)?;
        self.watch.set_step(1);
        vmm.release(region)?;
        self.watch.set_step(2);
        let (region, again) = self.map_all(vmm, own, all)?;
        check!(again >= pages - pages / 16);
        self.watch.set_step(3);
        vmm.release(region)?;
        self.watch.set_step(4);
        let space = vmm.create_space()?;
        let (_, of_space) = self.map_all(vmm, space, SPACE_PAGES.min(pages))?;
        check!(of_space >= SPACE_PAGES.min(pages - pages / 16));
        self.watch.set_step(5);
        let (others, begun) = (self.watch.own(), now());
        vmm.destroy_space(space)?;
        self.destroying = self.since(begun, others);
        Ok((pages, of_space))
    }

    /// Maps `pages` pages in a region of its own, or as many as there are.
    fn map_all(
        &mut self,
        vmm: &mut Manager,
        space: SpaceId,
        pages: usize,
    ) -> Outcome<(RegionId, usize)> {
        let region = vmm.reserve(space, &RegionOptions::new(pages))?;
        let (start, mut mapped) = (region.start().bits(), 0);
        while mapped < pages {
            let count = AT_ONCE.min(pages - mapped);
            match vmm.populate(space, Pages::at(start + mapped * PAGE_BYTES).count(count)) {
                Ok(()) => mapped += count,
                Err(Error::Allocator(NeedsClearing { bytes })) => {
                    if self.clear(vmm, bytes)? == 0 {
                        break;
                    }
                }
                // That was all.
                Err(Error::Allocator(_)) => break,
                Err(error) => return Err(Failure::Manager(error)),
            }
        }
        Ok((region, mapped))
    }

    /// Clears in words: by the pacer, or by one call of this thread's.
    fn clear(&mut self, vmm: &mut Manager, bytes: usize) -> Outcome<usize> {
        let (own, begun) = (self.watch.own(), now());
        let bytes = match &mut self.pacer {
            Some(pacer) => {
                self.watch.begin_wait();
                let cleared = pacer.clear(vmm, bytes)?;
                self.watch.end_wait();
                cleared
            }
            None => vmm.clear(bytes)?,
        };
        self.instructions += self.since(begun, own);
        self.cleared += bytes as u64;
        Ok(bytes)
    }

    /// The instructions since `begun` that are not the other thread's, which had had `own` then.
    fn since(&self, begun: u32, own: u32) -> u64 {
        let others = self.watch.own().wrapping_sub(own);
        u64::from(now().wrapping_sub(begun).wrapping_sub(others))
    }
}
