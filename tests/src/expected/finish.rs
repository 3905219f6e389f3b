// SPDX-License-Identifier: BSD-2-Clause
//! The end of a history: a number that stands for its state, and everything given back.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::Run;

impl Run<'_> {
    /// A number that stands for the state: what there is to see of manager, kernel and reference,
    /// but for ids and serial numbers, which only grow.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = DefaultHasher::new();
        self.host.fingerprint(&mut hash);
        for space in &self.state.spaces {
            for region in space.regions.values() {
                let inside = region.inside.map(|id| id.start());
                (region.start, region.pages, inside).hash(&mut hash);
                format!("{:?}", region.backing).hash(&mut hash);
                (region.rights.bits(), region.ceiling.bits()).hash(&mut hash);
            }
            for reservation in &space.reservations {
                let ceiling = reservation.ceiling.bits();
                (reservation.start, reservation.pages, ceiling).hash(&mut hash);
            }
            (space.quota.frames, space.quota.slots).hash(&mut hash);
        }
        let dead = self.state.dead.last();
        dead.map(|id| (id.start(), self.state.space(id.space()).is_some())).hash(&mut hash);
        for buffer in self.state.buffers.iter().filter(|buffer| buffer.live) {
            buffer.handle.address().hash(&mut hash);
        }
        hash.finish()
    }

    /// Gives everything back, all of which must succeed; spaces with all that is in them, or, if
    /// `one_by_one`, first that, and the spaces remain. `after` is called after each.
    ///
    /// # Panics
    /// When anything is refused.
    pub fn give_all_back(&mut self, one_by_one: bool, after: &mut dyn FnMut(&mut Self)) {
        for number in 0..self.state.threads.len() {
            let mut regions = self.state.threads[number].regions.iter();
            if regions.any(|&id| self.state.region(id).is_some()) {
                self.release_thread(number).expect("threads give back");
                after(self);
            }
        }
        for number in 0..self.state.buffers.len() {
            if self.state.buffers[number].live {
                self.release_buffer(number).expect("buffers are given back");
                after(self);
            }
        }
        if !one_by_one {
            self.destroy_all_spaces(after);
        }
        let ids: Vec<_> = self.state.spaces.iter().map(|space| space.id).collect();
        for id in ids {
            self.release_all_in(id, after);
        }
        for number in 0..self.state.things.len() {
            if self.state.things[number].live {
                self.free_thing(number).expect("objects are given back");
                after(self);
            }
        }
    }

    /// Releases regions first, then reservations: inner ones were entered after those around them.
    fn release_all_in(&mut self, id: vmm::SpaceId, after: &mut dyn FnMut(&mut Self)) {
        let space = self.state.space(id).expect("it is alive");
        let regions = space.regions.values().filter(|region| region.is_memory());
        let all = regions.chain(space.reservations.iter().rev());
        let all: Vec<_> = all.map(|region| region.id).collect();
        for id in all {
            self.release_id(id).expect("regions are given back");
            after(self);
        }
    }

    /// Destroys every space but the manager's own, with all that is in them. `after` is called
    /// after each.
    ///
    /// # Panics
    /// When that is refused.
    pub fn destroy_all_spaces(&mut self, after: &mut dyn FnMut(&mut Self)) {
        while self.state.spaces.len() > 1 {
            let last = self.state.spaces.last().expect("there are two").id;
            self.destroy_id(last).expect("nobody uses it");
            after(self);
        }
    }
}
