// SPDX-License-Identifier: BSD-2-Clause
//! Touches, which map memory that comes on demand and break copy-on-write.

use std::ops::Range;

use untyped_alloc::{CPtr, Rights};
use vmm::{Access, Backing, Error, PageFault, Resolution, Resource, Result, SpaceId};

use super::super::answer::{Expected, Need, Outcome};
use super::super::{Contents, Pages, Region, Run, Space};
use crate::support::{Manager, PAGE};

/// What a touch ought to come to.
enum Touch {
    /// The thread gets on, after these pages were mapped, or, where that is too much, the one
    /// touched.
    Done(Range<usize>),
    /// It does not.
    Stopped,
    /// It could if this were not short.
    Short(Error),
}

impl Run<'_> {
    pub(super) fn touch(
        &mut self,
        space: u8,
        pages: Pages,
        off: u16,
        write: bool,
        tag: u64,
    ) -> Outcome {
        let (id, start, _) = self.state.pages_by(space, pages);
        let address = start.saturating_add(usize::from(off));
        self.touch_at(id, address, write, tag)
    }

    /// A thread of a space touches an address.
    pub(super) fn touch_at(
        &mut self,
        id: SpaceId,
        address: usize,
        write: bool,
        tag: u64,
    ) -> Outcome {
        let at = address & !(PAGE - 1);
        let expect = |run: &Self| match run.space(id) {
            Ok(space) => match run.expect_touch(space, address, write) {
                Touch::Short(error) => Expected::refused(error),
                _ => run.perhaps_quota(Expected::success(), space),
            },
            Err(expected) => expected,
        };
        let expected = match self.state.space(id) {
            Some(space) => self.expect_touch(space, address, write),
            None => Touch::Stopped,
        };
        let vspace = self.state.space(id).map(|space| space.root);
        let vspace = vspace.filter(|_| self.may_touch(id, address));
        let need = Need { tables: !self.has_tables(id, at, 1), ..Need::pages(1) };
        let got_on =
            self.call(need, expect, |vmm| try_touch(vmm, id, vspace, (address, write, tag)))?;
        let (fresh, gets_on) = match expected {
            Touch::Done(fresh) => (fresh, true),
            _ => (at..at, false),
        };
        assert_eq!(got_on, gets_on, "touching {address:#x}, write {write}");
        if let (true, Some(vspace)) = (got_on, vspace) {
            self.record_fresh(id, vspace, at, fresh);
            self.state.space_mut(id).pages.get_mut(&at).expect("it is there").deferred = false;
            if write {
                self.state.break_cow(id, at);
                let cell = self.state.space_mut(id).pages[&at].cell;
                self.state.cells[cell] = Contents::Filled(tag);
            }
        }
        Ok(())
    }

    /// What a touch must do.
    fn expect_touch(&self, space: &Space, address: usize, write: bool) -> Touch {
        let needed = if write { Rights::READ_WRITE } else { Rights::READ };
        let at = address & !(PAGE - 1);
        if let Some(page) = space.pages.get(&at) {
            return match page.rights.contains(needed) {
                true => Touch::Done(at..at),
                false => Touch::Stopped,
            };
        }
        let Some(region) = space.region_at(at) else { return Touch::Stopped };
        let Backing::OnDemand { around } = region.backing else { return Touch::Stopped };
        let usable = region.usable();
        if !region.rights.contains(needed) || !usable.contains(&at) {
            return Touch::Stopped;
        }
        if let Some(error) = self.beyond(space, Resource::Frames, 1) {
            return Touch::Short(error);
        }
        let around = usize::from(around);
        let block = at / PAGE / around * around * PAGE;
        let end = block + around * PAGE;
        let fresh = |page: &usize| !space.pages.contains_key(page);
        let below = (block.max(usable.start)..at).step_by(PAGE).rev().take_while(fresh).last();
        let last = (at..end.min(usable.end)).step_by(PAGE).take_while(fresh).last();
        Touch::Done(below.unwrap_or(at)..last.expect("it is fresh") + PAGE)
    }

    /// Whether an address is a caller's to touch: not the program's image, nor the kernel's.
    fn may_touch(&self, id: SpaceId, address: usize) -> bool {
        let region = self.state.space(id).and_then(|space| space.region_at(address));
        address < self.state.target.user_end() && !region.is_some_and(Region::is_the_managers)
    }

    /// Records what a touch of `at` has mapped: `fresh`, or where that is too much, one page.
    fn record_fresh(&mut self, id: SpaceId, vspace: CPtr, at: usize, fresh: Range<usize>) {
        if fresh.is_empty() {
            return;
        }
        let space = self.state.space(id).expect("it was touched");
        let region = *space.region_at(at).expect("it was touched");
        if let Some(large) = self.large_touched(id, at) {
            return self.state.map_fresh(id, large, &region);
        }
        let beyond = self.beyond(space, Resource::Frames, fresh.len() / PAGE).is_some();
        let mapped = |page: &usize| match self.lasts {
            // It may be recorded and not mapped.
            true => self.host.vmm.mapping_at(id, *page) != Ok(None),
            false => self.host.kernel().mapping(vspace, *page).is_some(),
        };
        let found: Vec<usize> = fresh.clone().step_by(PAGE).filter(mapped).collect();
        let all = found.len() == fresh.len() / PAGE;
        assert!(all || found == [at], "{found:x?} were mapped, of {fresh:x?}");
        assert!(!beyond || found == [at], "{fresh:#x?} were mapped, beyond the quota");
        let fresh = if all { fresh } else { at..at + PAGE };
        self.state.map_fresh(id, fresh, &region);
    }
}

/// Touches a page as a thread would, again after each fault that is resolved. Says whether it got
/// on. Without a VSpace it is no thread's to touch: then nothing may be mapped.
fn try_touch(
    vmm: &mut Manager<'_>,
    id: SpaceId,
    vspace: Option<CPtr>,
    (address, write, tag): (usize, bool, u64),
) -> Result<bool> {
    let access = if write { Access::Write } else { Access::Read };
    let at = address & !(PAGE - 1);
    let Some(vspace) = vspace else {
        let fault = PageFault { address, access, present: false, ip: 0 };
        let resolved = vmm.resolve_fault(id, &fault)?;
        assert!(!matches!(resolved, Resolution::Resolved(_)), "{address:#x} is nobody's");
        return Ok(false);
    };
    let words = tag.to_le_bytes().repeat(PAGE / 8);
    for _ in 0..3 {
        let touched = match write {
            true => vmm.kernel().get().write(vspace, at, &words),
            false => vmm.kernel().get().read(vspace, at, &mut [0]),
        };
        if touched.is_ok() {
            return Ok(true);
        }
        let present = vmm.kernel().get().mapping(vspace, at).is_some();
        let fault = PageFault { address, access, present, ip: 0 };
        match vmm.resolve_fault(id, &fault)? {
            Resolution::Resolved(_) => {}
            _ => return Ok(false),
        }
    }
    panic!("a fault at {address:#x} was resolved three times");
}
