// SPDX-License-Identifier: BSD-2-Clause
//! Accounts: made, given amounts, and what there is to say of them.

use vmm::{Kernel, Memory, Vmm};
use vmm_client::objects::{
    AccountOptions, Amounts, Answer, Kind, MemoryOptions, Refusal, Resource, Rights,
};

use super::answers::{short, Answered, Refused, NODE};
use super::capabilities::Place;
use super::service::Objects;
use super::state::account::{Account, MAX_DEPTH};
use super::state::charge;
use super::state::object::{Object, What};

/// An account: its record, and a space for the pages of its memory objects, with its root table,
/// which is made when it has the first: many have none.
pub(super) const ACCOUNT: Amounts = NODE.with(Resource::Spaces, 1).with(Resource::Pages, 1);

impl<'p> Objects<'p> {
    /// Serves [`vmm_client::objects::Request::CreateAccount`].
    pub(super) fn create_account<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        place: Place<'p>,
        amounts: Amounts,
        options: AccountOptions,
    ) -> Result<&'p Object<'p>, Refused> {
        let rights = Object::all_rights(Kind::Account, MemoryOptions::empty());
        self.create(vmm, place, (Kind::Account, rights, ACCOUNT), |_, _, object| {
            make_account(object, amounts, options)
        })
    }
}

/// Makes an object an account with these amounts.
pub(super) fn make_account<'p>(
    object: &'p Object<'p>,
    amounts: Amounts,
    options: AccountOptions,
) -> Result<What, Refused> {
    let above = object.payer.get().and_then(|payer| payer.account());
    let depth = above.map_or(0, |above| above.depth + 1);
    if depth > MAX_DEPTH {
        return Err(Refusal::TooDeep { most: MAX_DEPTH });
    }
    let overcommit = options.contains(AccountOptions::OVERCOMMIT);
    let waits = options.contains(AccountOptions::WAIT);
    let account = Account { overcommit, waits, depth, ..Account::default() };
    object.what.set(What::Account(account));
    charge::give(object, amounts).map_err(short)?;
    Ok(object.what.get())
}

/// Serves [`vmm_client::objects::Request::Give`].
pub(super) fn give<'p>(
    parent: &'p Object<'p>,
    child: &'p Object<'p>,
    amounts: Amounts,
    back: bool,
) -> Answered {
    if !child.payer.get().is_some_and(|payer| payer.is(parent)) {
        return Err(Refusal::NotRelated {});
    }
    match back {
        false => charge::give(child, amounts).map_err(short)?,
        true => charge::take_back(child, amounts).map_err(short)?,
    }
    Ok(Answer::Done {})
}

/// What there is to say of an account.
pub(super) fn info(account: Account, rights: Rights) -> Answer {
    let mut options = AccountOptions::empty();
    options.set(AccountOptions::OVERCOMMIT, account.overcommit);
    options.set(AccountOptions::WAIT, account.waits);
    Answer::Account { rights, options, limits: account.limits, used: account.used }
}
