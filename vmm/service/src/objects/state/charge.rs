// SPDX-License-Identifier: BSD-2-Clause
//! Amounts charged to accounts.
//!
//! ```text
//!   guarantee ◄── charged when the child is made: its limits, once and for all
//!      ▲
//!      └── overcommitted child ◄── charged when it is used: to the child, and to all above it up to
//!                                  the first that is a guarantee
//! ```

use vmm_client::objects::Amounts;

use super::account::{Account, Short};
use super::object::{Object, What};

/// Why an account cannot be charged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    /// It has not that much left itself.
    Own(Short),
    /// One above it has not, and it is no guarantee.
    Above(Short),
}

/// The accounts that bear what is used by this one: itself, and while they are no guarantee those
/// that they were split from.
fn bearers<'p>(account: &'p Object<'p>) -> impl Iterator<Item = (&'p Object<'p>, Account)> {
    let mut next = Some(account);
    core::iter::from_fn(move || {
        let object = next?;
        let account = object.account()?;
        next = object.payer.get().filter(|_| account.overcommit);
        Some((object, account))
    })
}

/// Charges amounts to an account: all of them, or nothing.
pub(crate) fn charge<'p>(account: &'p Object<'p>, amounts: Amounts) -> Result<(), Refused> {
    if let Some(figures) = account.account().filter(|figures| !figures.overcommit) {
        // A guarantee bears it alone.
        set_used_up(account, figures.take(amounts).map_err(Refused::Own)?);
        return Ok(());
    }
    for (object, figures) in bearers(account) {
        figures.take(amounts).map_err(|short| match object.is(account) {
            true => Refused::Own(short),
            false => Refused::Above(short),
        })?;
    }
    for (object, figures) in bearers(account) {
        if let Ok(figures) = figures.take(amounts) {
            set_used_up(object, figures);
        }
    }
    Ok(())
}

/// Sets the figures of an account of which less is left than before.
fn set_used_up<'p>(account: &'p Object<'p>, figures: Account) {
    account.what.set(What::Account(figures));
    if account.threshold.get().is_some_and(|threshold| threshold.is_crossed(&figures)) {
        note_low(account);
    }
}

/// Notes that so little may be left of an account that it is told of: with the root of all.
pub(crate) fn note_low<'p>(account: &'p Object<'p>) {
    if !account.low.replace(true) {
        let root = root_of(account);
        account.next_low.set(root.first_low.replace(Some(account)));
    }
}

/// The account of all there is.
fn root_of<'p>(account: &'p Object<'p>) -> &'p Object<'p> {
    let mut root = account;
    while let Some(above) = root.payer.get() {
        root = above;
    }
    root
}

/// Takes a charge back.
pub(crate) fn refund<'p>(account: &'p Object<'p>, amounts: Amounts) {
    let mut bears = account;
    for (object, figures) in bearers(account) {
        object.what.set(What::Account(figures.give_back(amounts)));
        bears = object;
    }
    relieve(bears);
}

/// The account that bears in the end what is used by this one: the first that is a guarantee.
pub(crate) fn guarantee<'p>(account: &'p Object<'p>) -> &'p Object<'p> {
    bearers(account).last().map_or(account, |(object, _)| object)
}

/// Notes that requests which wait for what a guarantee lacks may be tried again: with the root of all.
fn relieve<'p>(bears: &'p Object<'p>) {
    if bears.waiters.get() == 0 || bears.relieved.replace(true) {
        return;
    }
    let root = root_of(bears);
    bears.next_relieved.set(root.first_relieved.replace(Some(bears)));
}

/// Gives a child amounts of its parent's: of a guarantee, they are the parent's no more.
pub(crate) fn give<'p>(child: &'p Object<'p>, amounts: Amounts) -> Result<(), Refused> {
    let Some(figures) = child.account() else { return Ok(()) };
    let raised = figures.raise(amounts).map_err(Refused::Own)?;
    if let Some(parent) = child.payer.get().filter(|_| !figures.overcommit) {
        charge(parent, amounts)?;
    }
    child.what.set(What::Account(raised));
    relieve(guarantee(child));
    Ok(())
}

/// Takes amounts back from a child that does not use them.
pub(crate) fn take_back<'p>(child: &'p Object<'p>, amounts: Amounts) -> Result<(), Refused> {
    let Some(figures) = child.account() else { return Ok(()) };
    let lowered = figures.lower(amounts).map_err(Refused::Own)?;
    set_used_up(child, lowered);
    if let Some(parent) = child.payer.get().filter(|_| !figures.overcommit) {
        refund(parent, amounts);
    }
    Ok(())
}
