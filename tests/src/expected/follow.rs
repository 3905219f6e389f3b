// SPDX-License-Identifier: BSD-2-Clause
//! What is left of a request that did not come to its end.
//!
//! Here, and here alone, the reference asks the manager what it has recorded: which of several
//! right states a request was left in is not foreseen. Each thing that is learnt is checked to be
//! one of them.

use untyped_alloc::Rights;
use vmm::SpaceId;

use super::Run;
use super::parts::Page;

impl Run<'_> {
    /// Follows a step: `fired` if a kernel call failed as it was to, `midst` if it may have done a
    /// part.
    pub(super) fn follow(&mut self, fired: bool, midst: bool) {
        if fired {
            // What the kernel would not let go waits in the quarantine.
            if let Err(violation) = self.host.vmm.validate() {
                panic!("{violation:?}");
            }
            if self.rules.trims {
                self.host.vmm.trim().expect("nothing fails now");
            }
        }
        // What was refused has changed nothing; what was short may have.
        if fired || midst {
            self.follow_cow();
        }
        if fired && self.lasts {
            self.check_undone();
        }
        if fired || midst {
            self.see_managers_regions();
        }
    }

    /// Forgets the pages of a space that are not mapped any more.
    pub(super) fn see_what_is_left(&mut self, id: SpaceId) {
        let vmm = &self.host.vmm;
        let Some(space) = self.state.spaces.iter_mut().find(|space| space.id == id) else { return };
        space.pages.retain(|&at, _| vmm.mapping_at(id, at).is_ok_and(|found| found.is_some()));
    }

    fn all_pages(&self) -> Vec<(SpaceId, usize, Page)> {
        let spaces = self.state.spaces.iter();
        let pages =
            spaces.flat_map(|space| space.pages.iter().map(|(&at, &page)| (space.id, at, page)));
        pages.collect()
    }

    /// Pages may have got memory of their own although what was to follow failed, and the mark of
    /// copy-on-write may have come or gone where nobody else has the memory.
    pub(super) fn follow_cow(&mut self) {
        for (id, at, page) in self.all_pages() {
            let told = self.host.vmm.mapping_at(id, at).ok().flatten();
            let Some(cow) = told.map(|told| told.copy_on_write) else { continue };
            if page.cow && !cow {
                self.state.break_cow(id, at);
            } else if cow && !page.cow {
                assert_eq!(self.state.users(page.cell), 1, "{at:#x} of {id:?} is shared");
                let page = self.state.space_mut(id).pages.get_mut(&at);
                page.expect("it is mapped").cow = true;
            }
        }
    }

    /// Where every call from one on failed, undoing failed too; after `trim` every page is mapped
    /// with its rights all the same.
    fn check_undone(&self) {
        for (id, at, page) in self.all_pages().into_iter().filter(|(_, _, page)| !page.deferred) {
            let vspace = self.host.vmm.vspace(id).expect("alive");
            let all = match self.host.vmm.geometry().has_no_execute {
                true => Rights::READ_WRITE_EXECUTE,
                false => Rights::READ_WRITE,
            };
            let cow = if page.cow { Rights::WRITE } else { Rights::empty() };
            let wanted = page.rights & (all - cow);
            let found = self.host.kernel().mapping(vspace, at);
            let right = |rights: Rights| !wanted.contains(Rights::READ) || rights == wanted;
            let found = found.map(|found| found.rights);
            assert!(found.is_some_and(right), "{at:#x} of {id:?} is {found:?}, not {wanted:?}");
        }
    }
}
