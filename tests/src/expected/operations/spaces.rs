// SPDX-License-Identifier: BSD-2-Clause
//! Spaces: made, destroyed, limited.

use vmm::{Error, Quota, RegionOptions, Resource};

use super::super::answer::{Expected, Need, Outcome};
use super::super::{Run, Space};

impl Run<'_> {
    pub(super) fn create_space(&mut self) -> Outcome {
        if self.state.spaces.len() >= self.rules.most_spaces {
            return Ok(());
        }
        let id = self.call(Need::pages(2), |_| Expected::success(), |vmm| vmm.create_space())?;
        self.record_space(id);
        let space = self.state.space(id).expect("just entered");
        let null: Vec<_> = space.regions.values().map(|it| (it.start, it.pages)).collect();
        assert_eq!(null, [(0, 1)], "a new space has the null page and nothing else");
        Ok(())
    }

    /// Records a space that was made, with the regions that the manager tells of.
    pub(super) fn record_space(&mut self, id: vmm::SpaceId) {
        assert!(!self.state.all_spaces.contains(&id), "{id:?} was used before");
        let root = self.host.vmm.vspace(id).expect("it was made");
        let space = Space::new(id, root, &self.told(id));
        self.state.all_spaces.push(id);
        self.state.spaces.push(space);
        self.host.spaces.push(id);
    }

    pub(super) fn destroy_space(&mut self, space: u8) -> Outcome {
        self.destroy_id(self.state.space_by(space))
    }

    pub(in super::super) fn destroy_id(&mut self, id: vmm::SpaceId) -> Outcome {
        let expect = |run: &Self| {
            if let Err(expected) = run.space(id) {
                return expected;
            }
            let users = run.state.buffers.iter();
            let users = users.filter(|it| it.live && it.handle.region().space() == id);
            match users.count() {
                _ if id == run.host.own() => Expected::refused(Error::OwnSpace(id)),
                0 => Expected::success(),
                threads => Expected::refused(Error::SpaceInUse { space: id, threads }),
            }
        };
        if let Err(halt) = self.call(Need::NOTHING, expect, |vmm| vmm.destroy_space(id)) {
            if halt.fired {
                self.see_what_is_left(id);
            }
            return Err(halt);
        }
        self.state.spaces.retain(|space| space.id != id);
        self.host.spaces.retain(|&other| other != id);
        if !self.rules.lenient {
            let options = RegionOptions::new(1);
            self.host.refuses(Error::NoSuchSpace(id), |vmm| vmm.map(id, &options));
        }
        Ok(())
    }

    /// Allows so much more than there is of frames, tables and slots, or any number.
    pub(super) fn limit(&mut self, space: u8, more: [Option<u8>; 3]) -> Outcome {
        let id = self.state.space_by(space);
        let mut quota = Quota::UNLIMITED;
        if let Some(space) = self.state.space(id) {
            let limit = |of, more: Option<u8>| {
                more.map_or(usize::MAX, |more| self.used(space, of) + usize::from(more))
            };
            quota.frames = limit(Resource::Frames, more[0]);
            quota.slots = limit(Resource::Slots, more[2]);
            if let (Some(more), Ok(usage)) = (more[1], self.host.vmm.usage(id)) {
                quota.tables = usage.tables + usize::from(more);
            }
        }
        let expect = |run: &Self| run.space(id).map_or_else(|no| no, |_| Expected::success());
        self.call(Need::NOTHING, expect, |vmm| vmm.set_quota(id, quota))?;
        self.state.space_mut(id).quota = quota;
        Ok(())
    }
}
