// SPDX-License-Identifier: BSD-2-Clause
//! Accounts of which little is left, and who is told of that.
//!
//! ```text
//!   charge ──► less is left than the threshold ──► listed ──► told, if that is so still
//! ```
//!
//! What a request takes and gives back before it is answered is not told: whether it is so is asked
//! between two requests.

use vmm::{CPtr, Kernel, Memory, Violation, Vmm};
use vmm_client::objects::{Answer, Resource};

use super::answers::{refuse, Answered};
use super::service::Objects;
use super::state::account::Threshold;
use super::state::charge::note_low;
use super::state::object::Object;

impl<'p> Objects<'p> {
    /// Serves [`vmm_client::objects::Request::TellAccount`].
    pub(super) fn tell_account<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        account: &'p Object<'p>,
        (resource, below): (Resource, u32),
        foreign: CPtr,
    ) -> Answered {
        if below == 0 {
            self.end_threshold(vmm, account).map_err(refuse)?;
            return Ok(Answer::Done {});
        }
        let old = account.threshold.get().map_or(CPtr::NULL, |threshold| threshold.notify);
        self.keep_foreign(vmm, old).map_err(refuse)?;
        self.set_threshold_due(account, false);
        let (armed, notify, due) = (true, foreign, false);
        account.threshold.set(Some(Threshold { resource, below, armed, notify, due }));
        // It may be so already.
        note_low(account);
        Ok(Answer::Done {})
    }

    /// Has told of those accounts of which it is so still that little is left.
    pub(super) fn tell_low(&mut self) {
        while let Some(account) = self.root.first_low.get() {
            self.unlist_low(account);
            let (Some(threshold), Some(figures)) = (account.threshold.get(), account.account())
            else {
                continue;
            };
            if threshold.is_crossed(&figures) {
                account.threshold.set(Some(Threshold { armed: false, ..threshold }));
                self.set_threshold_due(account, true);
            }
        }
    }

    /// Says whether what is told of an account is to be told now.
    pub(super) fn set_threshold_due(&mut self, account: &'p Object<'p>, due: bool) {
        if let Some(threshold) = account.threshold.get() {
            account.threshold.set(Some(Threshold { due, ..threshold }));
            self.tell_of(account, threshold.due, due);
        }
    }

    /// Tells nothing of an account any more, and gives back the slot by which it was told.
    pub(super) fn end_threshold<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        account: &'p Object<'p>,
    ) -> vmm::Result {
        if let Some(threshold) = account.threshold.get() {
            vmm.release_slot(threshold.notify)?;
            self.set_threshold_due(account, false);
            account.threshold.set(None);
        }
        Ok(())
    }

    /// Takes an account off the list of those of which little may be left.
    pub(super) fn unlist_low(&self, account: &Object<'p>) {
        if !account.low.replace(false) {
            return;
        }
        let next = account.next_low.take();
        let mut link = &self.root.first_low;
        while let Some(listed) = link.get() {
            if listed.is(account) {
                return link.set(next);
            }
            link = &listed.next_low;
        }
    }

    /// I75: of an account something is told by a capability that is kept for that. One of which so
    /// little is left that it is to be told is listed; as many are listed as say so.
    pub(super) fn validate_thresholds(&self) -> Result<(), Violation> {
        let mut low = 0;
        for object in self.tables.objects.iter() {
            let at = object.number.get() as usize;
            let hold = |rule, holds: bool| holds.then_some(()).ok_or(Violation { rule, at });
            low += usize::from(object.low.get());
            let Some(threshold) = object.threshold.get() else { continue };
            let Some(figures) = object.account() else {
                return hold("only of accounts a threshold is told", false);
            };
            let kept = threshold.notify != CPtr::NULL && threshold.below != 0;
            hold("a threshold is told by something", kept)?;
            let listed = object.low.get() || !threshold.is_crossed(&figures);
            hold("an account of which little is left is listed", listed)?;
        }
        let first = self.root.first_low.get();
        let listed = || core::iter::successors(first, |object| object.next_low.get()).take(low + 1);
        let same = listed().count() == low && listed().all(|object| object.low.get());
        same.then_some(()).ok_or(Violation { rule: "what is listed as low is found", at: low })
    }
}
