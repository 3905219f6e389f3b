// SPDX-License-Identifier: BSD-2-Clause
//! Memory objects made smaller and larger.
//!
//! ```text
//!   smaller:  pages beyond the new end are given back, MAX_PAGES at a time; their addresses in the
//!             store stay the object's
//!   larger:   within these addresses ── or those behind, if nothing lies there
//!             ── or elsewhere, where there is room for as much again: at most MAX_RUNS runs of
//!             pages move, which takes no kernel call
//! ```

use vmm::{Blame, Kernel, Memory, Pages, Placement, RegionId, RegionOptions, SpaceId, Vmm};
use vmm_client::objects::{Answer, MemoryOptions, Refusal, MAX_PAGES, MAX_RUNS};

use super::answers::{narrow, refuse, short, Answered, Refused};
use super::memory::{check_unlocated, cost, stored};
use super::service::{clearing, Objects};
use super::state::charge::{charge, refund};
use super::state::counts::sub;
use super::state::object::{Object, What};

impl<'p> Objects<'p> {
    /// Serves [`vmm_client::objects::Request::Resize`].
    pub(super) fn resize<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        (memory, payer): (&'p Object<'p>, &'p Object<'p>),
        new: u32,
    ) -> Answered {
        if new == 0 {
            return Err(Refusal::BadLength { pages: new });
        }
        // Its pages lie in the store of the account that it is charged to.
        if !memory.payer.get().is_some_and(|paying| paying.is(payer)) {
            return Err(Refusal::NotPayer {});
        }
        check_unlocated(memory, 0)?;
        let mapped = self.tables.end_of_mappings(memory);
        if new < mapped {
            return Err(Refusal::StillMapped { pages: mapped });
        }
        let (region, pages, options) = match memory.what.get() {
            What::Memory { region, pages, options } => (region, pages, options),
            What::Large { options, .. } => {
                return self.resize_large(vmm, (memory, payer), (options, new));
            }
            _ => return Err(Refusal::Internal {}),
        };
        let (before, after) = (cost(vmm, pages), cost(vmm, new));
        if new <= pages {
            let start = region.start().bits() + ((new as usize) << vmm.geometry().page_bits);
            let (beyond, most) =
                (Pages::at(start).count((pages - new) as usize), MAX_PAGES as usize);
            if new < pages {
                let done = vmm.decommit_some(region.space(), beyond, most).map_err(refuse)?;
                sub(&memory.committed, narrow(done));
                if done >= most {
                    return Ok(Answer::More {});
                }
            }
            memory.what.set(What::Memory { region, pages: new, options });
            memory.charge.set(after);
            refund(payer, before.minus(after).map_err(|_| Refusal::Internal {})?);
            return Ok(Answer::Done {});
        }
        let more = after.minus(before).map_err(|_| Refusal::Internal {})?;
        charge(payer, more).map_err(short)?;
        match grow(vmm, (region, options), new) {
            Ok(region) => {
                memory.what.set(What::Memory { region, pages: new, options });
                memory.charge.set(after);
                Ok(Answer::Done {})
            }
            Err((region, refusal)) => {
                memory.what.set(What::Memory { region, pages, options });
                refund(payer, more);
                Err(refusal)
            }
        }
    }
}

/// Has a region of a store span so many pages; returns it, or it and why it does not.
fn grow<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    (region, options): (RegionId, MemoryOptions),
    pages: u32,
) -> Result<RegionId, (RegionId, Refused)> {
    let failed = |error| (region, refuse(error));
    let has = vmm.region_info(region).map_err(failed)?.range.pages();
    let wanted = pages as usize;
    let extended = match wanted <= has {
        true => Ok(()),
        false => extend(vmm, (region, options), has, wanted),
    };
    match extended {
        Ok(()) => return Ok(region),
        // What lies behind it is in the way.
        Err(error) if error.blame() == Blame::Caller => {}
        Err(error) => return Err(failed(error)),
    }
    let (most, runs) = (MAX_RUNS as usize, vmm.runs_in(region, MAX_RUNS as usize + 1));
    if runs.map_err(failed)? > most {
        return Err((region, Refusal::NoRoom {}));
    }
    // With room for as much again it moves seldom, however often it grows.
    let space = region.space();
    let roomy = wanted.saturating_mul(2);
    let (size, start) = match hole(vmm, space, roomy) {
        Ok(start) => (roomy, start),
        Err(_) => (wanted, hole(vmm, space, wanted).map_err(failed)?),
    };
    let moved =
        clearing(vmm, |vmm| vmm.move_region(region, Placement::at(start))).map_err(failed)?;
    match extend(vmm, (moved, options), has, size) {
        Ok(()) => Ok(moved),
        Err(error) => Err((moved, refuse(error))),
    }
}

/// The address of a hole of so many pages.
fn hole<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    space: SpaceId,
    pages: usize,
) -> vmm::Result<usize> {
    let found = clearing(vmm, |vmm| vmm.reserve(space, &RegionOptions::new(pages)))?;
    vmm.release(found)?;
    Ok(found.start().bits())
}

/// Makes a region that has `has` pages span `pages`, at the addresses behind it.
fn extend<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    (region, options): (RegionId, MemoryOptions),
    has: usize,
    pages: usize,
) -> vmm::Result {
    let behind = region.start().bits() + (has << vmm.geometry().page_bits);
    let like = RegionOptions::new(pages - has).rights(stored(options)).named("memory");
    let more = clearing(vmm, |vmm| vmm.reserve(region.space(), &like.at(behind)))?;
    // That takes no memory.
    let merged = vmm.merge_regions(region, more);
    if merged.is_err() {
        vmm.release(more)?;
    }
    merged
}
