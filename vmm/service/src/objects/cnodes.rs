// SPDX-License-Identifier: BSD-2-Clause
//! What becomes of the CNodes of programs that end.
//!
//! ```text
//!   program ends ──► its CNode: revoked, so nobody has a capability to it
//!                       │ what is in it ends with its account ......... or may not
//!                       ▼ its account has ended: it is empty               ▼
//!                    kept for the next program                          destroyed
//! ```
//!
//! The kernel destroys a CNode slot by slot, an empty one like any other. A program that was never
//! given a capability of the kernel's by others, and whose capabilities are all paid by its own
//! account, has nothing in its CNode but copies of those, of kernel objects that its account pays
//! for, and of the CNode's own: each of them is revoked when its account ends. To exchange others
//! it takes an endpoint that both sides have, which one of them is given first.
//!
//! The root of a CSpace is the service's: what was in there are the program's CNode, and endpoints
//! of threads that are gone.

use vmm::{Kernel, Memory, SpaceId, Violation, Vmm};

use super::service::Objects;
use super::state::object::Object;
use super::state::program::{Emptied, Program};

impl<'p> Objects<'p> {
    /// Gives back the CNodes of a program of which no thread is left. One kernel call for each, as
    /// a rule.
    pub(super) fn end_cspace<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        program: &Program<'p>,
        space: SpaceId,
    ) -> vmm::Result {
        if let Some(cnode) = program.cnode.get() {
            let account = program.account.get().filter(|_| !program.shares.get());
            match account.filter(|_| self.emptied.is_none()) {
                Some(account) => {
                    let (account, cnode) = (account.number.get(), vmm.part_from(space, cnode)?);
                    self.emptied = Some(Emptied { account, cnode });
                }
                None => vmm.free_for(space, cnode)?,
            }
            program.cnode.set(None);
        }
        if let Some(root) = program.root.get() {
            vmm.free_unchanged(root)?;
            program.root.set(None);
        }
        Ok(())
    }

    /// Gives back the CNode that an account has emptied by its end, if it has; returns whether
    /// there was one.
    pub(super) fn end_emptied<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        account: &Object<'p>,
    ) -> vmm::Result<bool> {
        let its = |emptied: &Emptied| emptied.account == account.number.get();
        let Some(emptied) = self.emptied.filter(its) else { return Ok(false) };
        vmm.free_unchanged(emptied.cnode)?;
        self.emptied = None;
        Ok(true)
    }

    /// I33: a CNode waits for an account that ends, or whose program does: that is taken apart first.
    pub(super) fn validate_emptied(&self) -> Result<(), Violation> {
        let Some(Emptied { account, .. }) = self.emptied else { return Ok(()) };
        let found = self.tables.objects.find(&account);
        let ends = |account: &Object<'p>| {
            let program = self.found_programs.with_account(account);
            program.map_or(account.dying.get(), |program| program.dying.get())
        };
        match found.get().is_some_and(ends) {
            true => Ok(()),
            false => Err(Violation { rule: "a CNode is emptied by an end", at: account as usize }),
        }
    }
}
