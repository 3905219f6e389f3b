// SPDX-License-Identifier: BSD-2-Clause
//! All records: found by number, and by what they belong to. An insertion and a removal keep the
//! counts that objects have of what belongs to them.

use core::cell::Cell;

use intrusive_collections::{Bound, RBTree};
use vmm::{Numbers, Pool};
use vmm_client::objects::{Amounts, Kind, Rights};

use super::capability::{self, Capability};
use super::counts::{add, sub};
use super::mapping::{self, Id, Mapping};
use super::object::{self, Object, What};
use super::supplied::{ByPage, Supplied};

/// The tables, with the nodes that are in none.
pub(crate) struct Tables<'p> {
    pub objects: RBTree<object::ByNumber<'p>>,
    pub charged: RBTree<object::ByPayer<'p>>,
    reservations: RBTree<object::ByOuter<'p>>,
    pub capabilities: RBTree<capability::ByBadge<'p>>,
    of_object: RBTree<capability::ByObject<'p>>,
    derived: RBTree<capability::ByParent<'p>>,
    paid: RBTree<capability::ByPayer<'p>>,
    /// Those that are to be gone.
    pub unwanted: RBTree<capability::Unwanted<'p>>,
    pub mappings: RBTree<mapping::ByToken<'p>>,
    in_space: RBTree<mapping::ByPlace<'p>>,
    of_memory: RBTree<mapping::ByMemory<'p>>,
    through: RBTree<mapping::ByThrough<'p>>,
    mappings_paid: RBTree<mapping::ByPayer<'p>>,
    pub supplied: RBTree<ByPage<'p>>,
    pub free_objects: Pool<'p, Object<'p>>,
    pub free_capabilities: Pool<'p, Capability<'p>>,
    pub free_mappings: Pool<'p, Mapping<'p>>,
    pub free_supplied: Pool<'p, Supplied<'p>>,
    object_numbers: Numbers,
    badges: Numbers,
    tokens: Numbers,
}

/// A mapping that is to be recorded.
#[derive(Clone, Copy)]
pub(crate) struct NewMapping<'p> {
    pub space: &'p Object<'p>,
    pub within: Option<&'p Object<'p>>,
    pub memory: &'p Object<'p>,
    pub through: u32,
    pub payer: &'p Object<'p>,
    pub charge: Amounts,
    pub region: vmm::RegionId,
    pub start: usize,
    pub first: u32,
    pub pages: u32,
    pub rights: Rights,
    pub private: bool,
}

impl<'p> Tables<'p> {
    /// Empty tables, whose badges and other numbers are at most `most`.
    pub fn up_to(most: u32) -> Tables<'p> {
        Tables {
            objects: RBTree::new(object::ByNumber::new()),
            charged: RBTree::new(object::ByPayer::new()),
            reservations: RBTree::new(object::ByOuter::new()),
            capabilities: RBTree::new(capability::ByBadge::new()),
            of_object: RBTree::new(capability::ByObject::new()),
            derived: RBTree::new(capability::ByParent::new()),
            paid: RBTree::new(capability::ByPayer::new()),
            unwanted: RBTree::new(capability::Unwanted::new()),
            mappings: RBTree::new(mapping::ByToken::new()),
            in_space: RBTree::new(mapping::ByPlace::new()),
            of_memory: RBTree::new(mapping::ByMemory::new()),
            through: RBTree::new(mapping::ByThrough::new()),
            mappings_paid: RBTree::new(mapping::ByPayer::new()),
            supplied: RBTree::new(ByPage::new()),
            free_objects: Pool::new(|node| &node.next_free),
            free_capabilities: Pool::new(|node| &node.next_free),
            free_mappings: Pool::new(|node| &node.next_free),
            free_supplied: Pool::new(|node| &node.next_free),
            object_numbers: Numbers::up_to(most),
            badges: Numbers::up_to(most),
            tokens: Numbers::up_to(most),
        }
    }

    /// Makes `most` the greatest number that is given out from now on.
    pub fn narrow(&mut self, most: u32) {
        self.object_numbers = Numbers::up_to(most);
        self.badges = Numbers::up_to(most);
        self.tokens = Numbers::up_to(most);
    }

    /// Records an object that is nothing yet; `None` when nodes or numbers are out.
    pub fn insert_object(
        &mut self,
        kind: Kind,
        payer: Option<&'p Object<'p>>,
        charge: Amounts,
    ) -> Option<&'p Object<'p>> {
        let objects = &self.objects;
        let number = self.object_numbers.next(|number| !objects.find(&number).is_null())?;
        let node = self.free_objects.alloc()?;
        self.object_numbers.note(number);
        node.number.set(number);
        node.kind.set(Some(kind));
        node.what.set(What::Nothing);
        node.payer.set(payer);
        node.charge.set(charge);
        for count in [&node.committed, &node.mappings, &node.programs, &node.capabilities] {
            count.set(0);
        }
        node.inside.set(0);
        node.clones.set(0);
        node.cloner.set(None);
        node.outer.set(None);
        node.dying.set(false);
        node.partner.set(None);
        node.paged.set(None);
        node.located.set(false);
        for link in [&node.next_dying, &node.last_dying, &node.next_told, &node.last_told] {
            link.set(None);
        }
        node.listed.set(false);
        node.relieved.set(false);
        node.begin_threshold();
        node.waiters.set(0);
        node.next_relieved.set(None);
        node.first_relieved.set(None);
        self.objects.insert(node);
        self.charged.insert(node);
        Some(node)
    }

    /// Forgets an object that nothing belongs to any more.
    pub fn remove_object(&mut self, node: &'p Object<'p>) {
        debug_assert_eq!(node.capabilities.get() + node.mappings.get(), 0);
        let key = (node.payer_number(), node.number.get());
        self.charged.find_mut(&key).remove();
        if let Some(outer) = node.outer.get() {
            self.reservations.find_mut(&(outer.number.get(), node.number.get())).remove();
            node.outer.set(None);
            sub(&outer.inside, 1);
        }
        self.objects.find_mut(&node.number.get()).remove();
        node.what.set(What::Nothing);
        self.free_objects.free(node);
    }

    /// Records a capability; `None` when nodes or badges are out.
    pub fn insert_capability(
        &mut self,
        object: &'p Object<'p>,
        rights: Rights,
        parent: Option<&'p Capability<'p>>,
        payer: &'p Object<'p>,
    ) -> Option<&'p Capability<'p>> {
        let taken = &self.capabilities;
        let badge = self.badges.next(|badge| !taken.find(&badge).is_null())?;
        let node = self.free_capabilities.alloc()?;
        self.badges.note(badge);
        node.badge.set(badge);
        node.object.set(Some(object));
        node.rights.set(rights);
        node.parent.set(parent);
        node.payer.set(Some(payer));
        node.slot.set(vmm::CPtr::NULL);
        node.unwanted.set(false);
        node.waiters.set(0);
        node.revoked.set(None);
        self.capabilities.insert(node);
        self.of_object.insert(node);
        self.derived.insert(node);
        self.paid.insert(node);
        add(&object.capabilities, 1);
        Some(node)
    }

    /// Forgets a capability that none was derived from and nothing is mapped through.
    pub fn remove_capability(&mut self, node: &'p Capability<'p>) {
        let badge = node.badge.get();
        let of = |object: &Cell<Option<&'p Object<'p>>>| {
            object.get().map_or(0, |object| object.number.get())
        };
        let parent = node.parent.get().map_or(0, |parent| parent.badge.get());
        self.of_object.find_mut(&(of(&node.object), badge)).remove();
        self.derived.find_mut(&(parent, badge)).remove();
        self.paid.find_mut(&(of(&node.payer), badge)).remove();
        self.capabilities.find_mut(&badge).remove();
        if node.unwanted.replace(false) {
            self.unwanted.find_mut(&badge).remove();
        }
        if let Some(object) = node.object.take() {
            sub(&object.capabilities, 1);
        }
        self.free_capabilities.free(node);
    }

    /// Records that an object is a reservation in a space, or in another reservation.
    pub fn insert_reservation(&mut self, node: &'p Object<'p>, outer: &'p Object<'p>) {
        node.outer.set(Some(outer));
        self.reservations.insert(node);
        add(&outer.inside, 1);
    }

    /// The first reservation that lies in a space or in another.
    pub fn first_inside(&self, outer: &Object<'p>) -> Option<&'p Object<'p>> {
        let key = (outer.number.get(), 0);
        let found = self.reservations.lower_bound(Bound::Included(&key)).clone_pointer();
        found.filter(|node| node.outer.get().is_some_and(|other| other.is(outer)))
    }

    /// The token of the mapping that is recorded next; `None` when all are in use.
    pub fn next_token(&self) -> Option<u32> {
        self.tokens.next(|token| {
            // Of those that were cut from one, any.
            let first = self.mappings.lower_bound(Bound::Included(&(token, 0))).get();
            first.is_some_and(|node| node.token.get() == token)
        })
    }

    /// Records a mapping by the token that is next; `None` when nodes are out.
    pub fn insert_mapping(&mut self, token: u32, new: &NewMapping<'p>) -> Option<&'p Mapping<'p>> {
        let node = self.free_mappings.alloc()?;
        self.tokens.note(token);
        node.token.set(token);
        node.base.set(0);
        self.record(node, new);
        Some(node)
    }

    /// Records the pages behind the first `new.first - node.first` of a mapping as one of their
    /// own, and that those have the rest: `charge`. `None` when nodes are out.
    pub fn split_mapping(
        &mut self,
        node: &'p Mapping<'p>,
        charge: Amounts,
        new: &NewMapping<'p>,
    ) -> Option<&'p Mapping<'p>> {
        let upper = self.free_mappings.alloc()?;
        let kept = new.first - node.first.get();
        node.pages.set(kept);
        node.charge.set(charge);
        upper.token.set(node.token.get());
        upper.base.set(node.base.get() + kept);
        self.record(upper, new);
        Some(upper)
    }

    fn record(&mut self, node: &'p Mapping<'p>, new: &NewMapping<'p>) {
        node.space.set(Some(new.space));
        node.within.set(new.within);
        node.memory.set(Some(new.memory));
        node.through.set(new.through);
        node.payer.set(Some(new.payer));
        node.charge.set(new.charge);
        node.region.set(Some(new.region));
        node.start.set(new.start);
        node.first.set(new.first);
        node.pages.set(new.pages);
        node.rights.set(new.rights);
        node.private.set(new.private);
        self.link(node);
    }

    fn link(&mut self, node: &'p Mapping<'p>) {
        self.mappings.insert(node);
        self.in_space.insert(node);
        self.of_memory.insert(node);
        self.through.insert(node);
        self.mappings_paid.insert(node);
        count(node, |mappings| add(mappings, 1));
    }

    fn unlink(&mut self, node: &'p Mapping<'p>) {
        let id = node.id();
        let of = |object: &Cell<Option<&'p Object<'p>>>| {
            object.get().map_or(0, |object| object.number.get())
        };
        self.in_space.find_mut(&(of(&node.space), node.start.get())).remove();
        self.of_memory.find_mut(&(of(&node.memory), id)).remove();
        self.through.find_mut(&(node.through.get(), id)).remove();
        self.mappings_paid.find_mut(&(of(&node.payer), id)).remove();
        self.mappings.find_mut(&id).remove();
        count(node, |mappings| sub(mappings, 1));
    }

    /// The token of a mapping once it lies elsewhere: its own, if no other was cut from it; `None`
    /// when all are in use.
    pub fn token_to_move(&self, node: &Mapping<'p>) -> Option<u32> {
        let token = node.token.get();
        let behind = self.mappings.lower_bound(Bound::Excluded(&node.id())).get();
        let alone = node.base.get() == 0 && behind.is_none_or(|other| other.token.get() != token);
        if alone {
            Some(token)
        } else {
            self.next_token()
        }
    }

    /// Records that a mapping has another region and other rights, in a reservation or in none.
    pub fn move_mapping(
        &mut self,
        node: &'p Mapping<'p>,
        token: u32,
        (region, rights): (vmm::RegionId, Rights),
        within: Option<&'p Object<'p>>,
    ) {
        self.unlink(node);
        if token != node.token.get() {
            self.tokens.note(token);
            node.token.set(token);
            node.base.set(0);
        }
        node.within.set(within);
        node.region.set(Some(region));
        node.start.set(region.start().bits());
        node.rights.set(rights);
        self.link(node);
    }

    /// Records that a mapping has the pages of the one behind it too, which is forgotten.
    pub fn join_mapping(
        &mut self,
        lower: &'p Mapping<'p>,
        upper: &'p Mapping<'p>,
        charge: Amounts,
    ) {
        lower.pages.set(lower.pages.get() + upper.pages.get());
        lower.charge.set(charge);
        self.remove_mapping(upper);
    }

    /// Forgets a mapping.
    pub fn remove_mapping(&mut self, node: &'p Mapping<'p>) {
        self.unlink(node);
        node.space.set(None);
        node.memory.set(None);
        node.within.set(None);
        self.free_mappings.free(node);
    }

    /// The capability with a badge.
    pub fn capability(&self, badge: u32) -> Option<&'p Capability<'p>> {
        self.capabilities.find(&badge).clone_pointer()
    }

    /// Notes that a capability is to be gone: it names nothing from now on.
    pub fn leave(&mut self, node: &'p Capability<'p>) {
        if !node.unwanted.replace(true) {
            self.unwanted.insert(node);
        }
    }

    /// The first object that is charged to an account, itself not.
    pub fn first_charged(&self, account: &Object<'p>) -> Option<&'p Object<'p>> {
        let number = account.number.get();
        let found = self.charged.lower_bound(Bound::Included(&(number, 0))).clone_pointer();
        found.filter(|object| object.payer_number() == number)
    }

    /// The first capability to an object behind the badge `behind`.
    pub fn next_of_object(&self, object: &Object<'p>, behind: u32) -> Option<&'p Capability<'p>> {
        let key = (object.number.get(), behind);
        let found = self.of_object.lower_bound(Bound::Excluded(&key)).clone_pointer();
        found.filter(|node| node.object.get().is_some_and(|other| other.is(object)))
    }

    /// The first capability that was derived from another.
    pub fn first_derived(&self, parent: &Capability<'p>) -> Option<&'p Capability<'p>> {
        let key = (parent.badge.get(), 0);
        let found = self.derived.lower_bound(Bound::Included(&key)).clone_pointer();
        found.filter(|node| node.parent.get().is_some_and(|other| other.badge == parent.badge))
    }

    /// The first capability that an account pays for.
    pub fn first_paid(&self, account: &Object<'p>) -> Option<&'p Capability<'p>> {
        let key = (account.number.get(), 0);
        let found = self.paid.lower_bound(Bound::Included(&key)).clone_pointer();
        found.filter(|node| node.payer.get().is_some_and(|other| other.is(account)))
    }

    /// The mapping that the manager asks for a page of, by a token and a number.
    pub fn mapping(&self, token: u32, page: u32) -> Option<&'p Mapping<'p>> {
        let found = self.mappings.upper_bound(Bound::Included(&(token, page))).clone_pointer();
        found.filter(|node| node.token.get() == token && page < node.base_behind())
    }

    /// The mapping behind another, of those that were cut from one and lie as they did.
    pub fn mapping_behind(&self, node: &Mapping<'p>) -> Option<&'p Mapping<'p>> {
        let found = self.mappings.find(&(node.token.get(), node.base_behind())).clone_pointer();
        found.filter(|behind| mapping::is_behind(node, behind))
    }

    /// The mapping before another, of those that were cut from one and lie as they did.
    pub fn mapping_before(&self, node: &Mapping<'p>) -> Option<&'p Mapping<'p>> {
        let page = node.base.get().checked_sub(1)?;
        self.mapping(node.token.get(), page).filter(|before| mapping::is_behind(before, node))
    }

    /// The mapping of a space that begins at an address, or the last that begins below it.
    pub fn mapping_at(&self, space: &Object<'p>, address: usize) -> Option<&'p Mapping<'p>> {
        let key = (space.number.get(), address);
        let found = self.in_space.upper_bound(Bound::Included(&key)).clone_pointer();
        found.filter(|node| node.space.get().is_some_and(|other| other.is(space)))
    }

    /// The mapping of a space that begins at an address.
    pub fn mapping_from(&self, space: &Object<'p>, address: usize) -> Option<&'p Mapping<'p>> {
        self.mapping_at(space, address).filter(|mapping| mapping.start.get() == address)
    }

    /// The first mapping of a memory object.
    pub fn first_of_memory(&self, memory: &Object<'p>) -> Option<&'p Mapping<'p>> {
        let key = (memory.number.get(), (0, 0));
        let found = self.of_memory.lower_bound(Bound::Included(&key)).clone_pointer();
        found.filter(|node| node.memory.get().is_some_and(|other| other.is(memory)))
    }

    /// How many pages of a memory object the mappings of it reach over, from its first page on.
    /// Takes as long as there are mappings of it.
    pub fn end_of_mappings(&self, memory: &Object<'p>) -> u32 {
        let key = (memory.number.get(), (0, 0));
        let from = self.of_memory.lower_bound(Bound::Included(&key));
        let is = |node: &&Mapping<'p>| node.memory.get().is_some_and(|other| other.is(memory));
        let mut at = from;
        let all = core::iter::from_fn(|| {
            let node = at.get();
            at.move_next();
            node
        });
        let ends = all.take_while(is).map(|node| node.first.get() + node.pages.get());
        ends.max().unwrap_or(0)
    }

    /// The first mapping of a memory object behind the one that `behind` identifies.
    pub fn next_of_memory(&self, memory: &Object<'p>, behind: Id) -> Option<&'p Mapping<'p>> {
        let key = (memory.number.get(), behind);
        let found = self.of_memory.lower_bound(Bound::Excluded(&key)).clone_pointer();
        found.filter(|node| node.memory.get().is_some_and(|other| other.is(memory)))
    }

    /// Records a page that a pager supplied; `None` when nodes are out.
    pub fn insert_supplied(&mut self, memory: u32, page: u32) -> Option<&'p Supplied<'p>> {
        let node = self.free_supplied.alloc()?;
        node.memory.set(memory);
        node.page.set(page);
        for flag in [&node.may_write, &node.written, &node.shared, &node.leaves] {
            flag.set(false);
        }
        self.supplied.insert(node);
        Some(node)
    }

    /// Forgets such a page.
    pub fn remove_supplied(&mut self, node: &'p Supplied<'p>) {
        self.supplied.find_mut(&(node.memory.get(), node.page.get())).remove();
        self.free_supplied.free(node);
    }

    /// The record of a page, if it was supplied.
    pub fn supplied(&self, memory: u32, page: u32) -> Option<&'p Supplied<'p>> {
        self.supplied.find(&(memory, page)).clone_pointer()
    }

    /// The same of a page that is not being taken back.
    pub fn there(&self, memory: &Object<'p>, page: u32) -> Option<&'p Supplied<'p>> {
        self.supplied(memory.number.get(), page).filter(|node| !node.leaves.get())
    }

    /// The first page of a memory object that was supplied.
    pub fn first_supplied(&self, memory: u32) -> Option<&'p Supplied<'p>> {
        let found = self.supplied.lower_bound(Bound::Included(&(memory, 0))).clone_pointer();
        found.filter(|node| node.memory.get() == memory)
    }

    /// The first mapping that was made through a capability.
    pub fn first_through(&self, badge: u32) -> Option<&'p Mapping<'p>> {
        let found = self.through.lower_bound(Bound::Included(&(badge, (0, 0)))).clone_pointer();
        found.filter(|node| node.through.get() == badge)
    }

    /// The first mapping that an account pays for.
    pub fn first_mapping_paid(&self, account: &Object<'p>) -> Option<&'p Mapping<'p>> {
        let key = (account.number.get(), (0, 0));
        let found = self.mappings_paid.lower_bound(Bound::Included(&key)).clone_pointer();
        found.filter(|node| node.payer.get().is_some_and(|other| other.is(account)))
    }
}

/// Changes how many mappings the objects count to which one belongs.
#[inline(always)]
fn count(node: &Mapping<'_>, change: impl Fn(&Cell<u32>)) {
    for object in [&node.space, &node.memory, &node.within] {
        if let Some(object) = object.get() {
            change(&object.mappings);
        }
    }
}
