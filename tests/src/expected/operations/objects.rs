// SPDX-License-Identifier: BSD-2-Clause
//! Kernel objects, slots, and memory that is not the manager's.

use untyped_alloc::Blueprint;
use vmm::{Kind, Objects};

use super::super::answer::{Expected, Need, Outcome, Refusal};
use super::super::choose::{STALE, pick};
use super::super::parts::{Contents, Held, Origin, Thing};
use super::super::{RegionRequest, Run};
use crate::support::PAGE;

/// The allocator's refusal, of whatever kind.
const ALLOCATOR: Refusal = Refusal::Named("Allocator");

impl Run<'_> {
    pub(super) fn allocate(&mut self, blueprint: Blueprint) -> Outcome {
        let expect = |_: &Self| Expected::success();
        let object = self.call(Need::pages(4), expect, |vmm| vmm.allocate(blueprint))?;
        self.hold(Thing::One(object, blueprint));
        Ok(())
    }

    pub(super) fn allocate_many(&mut self, blueprint: Blueprint, count: usize) -> Outcome {
        let expect = |_: &Self| Expected::unless((count == 0).then_some(ALLOCATOR));
        let need = Need::pages(4 * count);
        let objects = self.call(need, expect, |vmm| vmm.allocate_many(blueprint, count))?;
        self.hold(Thing::Many(objects, blueprint));
        Ok(())
    }

    pub(super) fn alloc_slots(&mut self, count: usize) -> Outcome {
        let wrong = count == 0 || count > 256;
        let expect = |_: &Self| Expected::unless(wrong.then_some(ALLOCATOR));
        let first = self.call(Need::pages(1), expect, |vmm| vmm.alloc_slots(count))?;
        for slot in (0..count).map(|index| first.offset(index)) {
            assert!(self.host.kernel().is_empty_slot(slot), "{slot:?} is taken");
        }
        self.hold(Thing::Slots(first, count));
        Ok(())
    }

    fn hold(&mut self, thing: Thing) {
        self.state.things.push(Held { thing, live: true, buffer: None, used: false });
    }

    pub(super) fn free(&mut self, which: u8, threads: bool) -> Outcome {
        let all: Vec<usize> = match threads {
            true => self.state.tcbs().collect(),
            false => {
                let all = self.state.things.iter().enumerate();
                let all = all.filter(|(_, held)| held.live || which >= STALE);
                all.map(|(number, _)| number).collect()
            }
        };
        pick(&all, which).map_or(Ok(()), |number| self.free_thing(number))
    }

    pub(in super::super) fn free_thing(&mut self, number: usize) -> Outcome {
        let Held { thing, live, .. } = self.state.things[number];
        let mapped = self.state.is_mapped(number);
        let expect = |_: &Self| {
            let mapped = mapped.then_some(Refusal::Named("InUse"));
            Expected::unless((!live).then_some(ALLOCATOR)).or(mapped)
        };
        match thing {
            Thing::One(object, _) => self.call(Need::NOTHING, expect, |vmm| vmm.free(object))?,
            Thing::Many(many, _) => self.call(Need::NOTHING, expect, |vmm| vmm.free_many(many))?,
            // Slots given back twice may be another's by now, so that is not tried.
            Thing::Slots(..) if !live => {}
            Thing::Slots(first, count) => {
                self.call(Need::NOTHING, expect, |vmm| vmm.free_slots(first, count))?;
            }
        }
        self.state.things[number].live = false;
        self.state.things[number].buffer = None;
        Ok(())
    }

    pub(super) fn physical(&mut self, space: u8, paddr: usize, request: &RegionRequest) -> Outcome {
        let (id, target) = (self.state.space_by(space), self.state.target);
        let inside = request.inside.and_then(|which| self.state.inside_by(which));
        let wrong = (!paddr.is_multiple_of(PAGE)).then_some(ALLOCATOR);
        let expect = |run: &Self| match run.space(id) {
            Ok(space) => {
                let place = run.place(space, request, inside).or(wrong).perhaps(Some("Allocator"));
                let place = place.perhaps(Some("PhysicalInUse"));
                run.perhaps_quota(place, space)
            }
            Err(expected) => expected,
        };
        let places = expect(self).places;
        let options = request.options(target, inside);
        let need = Need::pages(0);
        let made = self.call(need, expect, |vmm| vmm.map_physical(id, paddr, &options))?;
        let region = self.record(made, request, inside, Kind::Memory, &places);
        // Devices are never cleared.
        let mut devices = self.host.machine.config.devices.iter();
        let device = devices.any(|&(base, bits)| (base..base + (1 << bits)).contains(&paddr));
        let holds = if device { Contents::Unknown } else { Contents::Filled(0) };
        self.state.map_new(id, region.usable(), &region, Origin::Physical, holds);
        Ok(())
    }

    /// The live frames of a thing.
    fn frames(&self, number: usize) -> Option<Objects> {
        match self.state.things[number] {
            Held {
                thing: Thing::Many(frames, Blueprint::Frame { size_bits: 12 }),
                live: true,
                ..
            } => Some(frames),
            _ => None,
        }
    }

    pub(super) fn map_objects(&mut self, space: u8, which: u8, request: &RegionRequest) -> Outcome {
        let (id, target) = (self.state.space_by(space), self.state.target);
        let all: Vec<usize> =
            (0..self.state.things.len()).filter(|&it| self.frames(it).is_some()).collect();
        let Some(number) = pick(&all, which) else { return Ok(()) };
        let frames = self.frames(number).expect("chosen for them");
        let inside = request.inside.and_then(|which| self.state.inside_by(which));
        let request = RegionRequest { pages: frames.len(), ..*request };
        let expect = |run: &Self| match run.space(id) {
            Ok(space) => {
                let mapped = run.state.is_mapped(number).then_some(Refusal::Named("InUse"));
                run.perhaps_quota(run.place(space, &request, inside).or(mapped), space)
            }
            Err(expected) => expected,
        };
        let places = expect(self).places;
        let options = request.options(target, inside);
        let need = Need::pages(0);
        let made = self.call(need, expect, |vmm| vmm.map_objects(id, frames, &options))?;
        let region = self.record(made, &request, inside, Kind::Memory, &places);
        let dirty = std::mem::replace(&mut self.state.things[number].used, true);
        let holds = if dirty { Contents::Unknown } else { Contents::Filled(0) };
        self.state.map_new(id, region.usable(), &region, Origin::Objects(number), holds);
        Ok(())
    }
}
