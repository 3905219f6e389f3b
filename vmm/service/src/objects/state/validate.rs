// SPDX-License-Identifier: BSD-2-Clause
//! The check of what must always hold of the records (I26 to I28, and of I39 what they say).

use intrusive_collections::Bound;
use vmm::{RegionId, Violation};
use vmm_client::objects::{Amounts, Kind, Resource, Rights, PAGE_BYTES};

use super::capability::Capability;
use super::mapping::Mapping;
use super::object::{Object, What};
use super::tables::Tables;

/// What a capability costs the account that pays for it.
pub(crate) const CAPABILITY: Amounts =
    Amounts::NONE.with(Resource::Badges, 1).with(Resource::Slots, 1).with(Resource::Nodes, 1);

/// The address behind the last page of a reservation.
fn end_of(region: RegionId, pages: u32) -> usize {
    region.start().bits() + pages as usize * PAGE_BYTES
}

fn hold(rule: &'static str, at: u32, holds: bool) -> Result<(), Violation> {
    holds.then_some(()).ok_or(Violation { rule, at: at as usize })
}

impl<'p> Tables<'p> {
    /// Checks all that must hold of the records by themselves. O(n²) in their number.
    ///
    /// # Errors
    /// The first rule found broken, with the number of the record.
    pub fn validate(&self) -> Result<(), Violation> {
        self.objects.iter().try_for_each(|object| self.validate_object(object))?;
        self.capabilities.iter().try_for_each(|node| self.validate_capability(node))?;
        let unwanted = self.capabilities.iter().filter(|node| node.unwanted.get()).count();
        let listed = self.unwanted.iter().count();
        hold("what is to be gone is found", 0, unwanted == listed)?;
        self.mappings.iter().try_for_each(|node| self.validate_mapping(node))
    }

    fn lives(&self, object: Option<&Object<'p>>) -> bool {
        let found = object.and_then(|object| self.objects.find(&object.number.get()).get());
        found.zip(object).is_some_and(|(found, object)| core::ptr::eq(found, object))
    }

    fn validate_object(&self, object: &Object<'p>) -> Result<(), Violation> {
        let number = object.number.get();
        let payer = object.payer.get();
        hold("an object's payer is an account that lives", number, {
            payer.is_none_or(|payer| self.lives(Some(payer)) && payer.account().is_some())
        })?;
        let leads = |node: &&Capability<'p>| node.object.get().is_some_and(|to| to.is(object));
        let capabilities = self.capabilities.iter().filter(leads).count();
        hold("an object counts its capabilities", number, {
            capabilities == object.capabilities.get() as usize
        })?;
        let is = |other: Option<&Object<'p>>| other.is_some_and(|other| other.is(object));
        let mapped = |node: &&Mapping<'p>| {
            is(node.space.get()) || is(node.memory.get()) || is(node.within.get())
        };
        let mappings = self.mappings.iter().filter(mapped).count();
        hold("an object counts its mappings", number, {
            mappings == object.mappings.get() as usize
        })?;
        let within = self.objects.iter().filter(|other| is(other.outer.get())).count();
        hold("an object counts its reservations", number, within == object.inside.get() as usize)?;
        self.validate_reservation(object)?;
        let What::Account(account) = object.what.get() else { return Ok(()) };
        hold("an account uses no more than it has", number, {
            account.limits.minus(account.used).is_ok()
        })?;
        hold("what an account uses is what is charged to it", number, {
            self.charged_to(object) == Ok(account.used)
        })
    }

    fn validate_reservation(&self, object: &Object<'p>) -> Result<(), Violation> {
        let number = object.number.get();
        let Some(outer) = object.outer.get() else { return Ok(()) };
        hold("a reservation lies in what lives", number, self.lives(Some(outer)))?;
        let What::Reservation { region, pages, ceiling } = object.what.get() else { return Ok(()) };
        let (start, end) = (region.start().bits(), end_of(region, pages));
        match outer.what.get() {
            What::Space(space) => {
                hold("a reservation is in its space", number, region.space() == space)
            }
            What::Reservation { region: around, pages, ceiling: limit } => {
                let inside = around.start().bits() <= start && end <= end_of(around, pages);
                hold("a reservation lies in the one around it", number, inside)?;
                hold("a reservation's ceiling is below", number, limit.contains(ceiling))
            }
            _ => hold("a reservation lies in a space", number, false),
        }
    }

    /// What is charged to an account: by its objects, capabilities and mappings, by its children
    /// that are guarantees, and by what those use that are none.
    fn charged_to(&self, account: &Object<'p>) -> Result<Amounts, Resource> {
        let is = |payer: Option<&Object<'p>>| payer.is_some_and(|payer| payer.is(account));
        let mut sum = Amounts::NONE;
        for object in self.objects.iter().filter(|object| is(object.payer.get())) {
            sum = sum.plus(object.charge.get())?;
            if let What::Account(child) = object.what.get() {
                sum = sum.plus(if child.overcommit { child.used } else { child.limits })?;
            }
        }
        for _ in self.capabilities.iter().filter(|node| is(node.payer.get())) {
            sum = sum.plus(CAPABILITY)?;
        }
        for mapping in self.mappings.iter().filter(|node| is(node.payer.get())) {
            sum = sum.plus(mapping.charge.get())?;
        }
        Ok(sum)
    }

    fn validate_capability(&self, node: &Capability<'p>) -> Result<(), Violation> {
        let badge = node.badge.get();
        hold("a badge is no 0", badge, badge != 0)?;
        hold("a capability leads to an object that lives", badge, self.lives(node.object.get()))?;
        hold("a capability's payer lives", badge, self.lives(node.payer.get()))?;
        let Some(parent) = node.parent.get() else { return Ok(()) };
        let found = self.capability(parent.badge.get());
        hold("a capability's parent lives", badge, {
            found.is_some_and(|found| core::ptr::eq(found, parent))
        })?;
        let number = |node: &Capability<'p>| node.object.get().map(|object| object.number.get());
        // Or to the first thread of a program that the parent is to.
        let first = node.object.get().is_some_and(|object| match object.what.get() {
            What::Thread(program, _) => number(parent) == Some(program),
            // It is being taken apart.
            _ => object.kind.get() == Some(Kind::Thread) && object.dying.get(),
        });
        let same = number(node) == number(parent);
        hold("a capability is to its parent's object", badge, same || first)?;
        hold("a capability has no right that its parent lacks", badge, {
            parent.rights.get().contains(node.rights.get())
        })
    }

    fn validate_mapping(&self, node: &Mapping<'p>) -> Result<(), Violation> {
        let token = node.token.get();
        let (space, memory) = (node.space.get(), node.memory.get());
        hold("a mapping's objects live", token, self.lives(space) && self.lives(memory))?;
        hold("a mapping's payer lives", token, self.lives(node.payer.get()))?;
        let pages = match memory.map(|memory| memory.what.get()) {
            Some(
                What::Memory { pages, .. }
                | What::Physical { pages, .. }
                | What::Large { pages, .. },
            ) => u64::from(pages),
            _ => 0,
        };
        let end = u64::from(node.first.get()) + u64::from(node.pages.get());
        hold("a mapping lies inside its memory object", token, end <= pages)?;
        let through = self.capability(node.through.get());
        let leads = |node: &Capability<'p>| node.object.get().zip(memory);
        hold("a mapping was made through a capability to its memory object", token, {
            through.and_then(leads).is_some_and(|(object, memory)| object.is(memory))
        })?;
        let rights = node.rights.get();
        // What is written of a private mapping are copies of its own.
        let taken = if node.private.get() { Rights::READ } else { rights };
        let readable = through.is_some_and(|node| node.rights.get().contains(Rights::READ));
        hold("a mapping was made through a capability that may read", token, readable)?;
        let allowed = through.is_some_and(|node| node.rights.get().contains(taken));
        hold("a mapping has no right that its capability lacks", token, allowed)?;
        let behind = self.mappings.lower_bound(Bound::Excluded(&node.id())).get();
        let next = behind.filter(|next| next.token.get() == token);
        hold("parts of a mapping are apart", token, {
            next.is_none_or(|next| node.base_behind() <= next.base.get())
        })?;
        let Some(within) = node.within.get() else { return Ok(()) };
        let same = space.is_some_and(|space| within.space().0.is(space));
        hold("a mapping's reservation is in its space", token, self.lives(Some(within)) && same)?;
        let What::Reservation { region, pages, ceiling } = within.what.get() else {
            return hold("a mapping lies in a reservation", token, false);
        };
        let start = node.start.get();
        let lies = region.start().bits() <= start && start < end_of(region, pages);
        hold("a mapping lies in its reservation", token, lies)?;
        hold("a mapping's rights are below the ceiling", token, ceiling.contains(rights))
    }
}
