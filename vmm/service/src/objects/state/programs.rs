// SPDX-License-Identifier: BSD-2-Clause
//! Programs by what else they are looked for: their account, their priority, what they clone.

use intrusive_collections::{Bound, RBTree};

use super::object::Object;
use super::program::{ByAccount, ByPriority, BySource, Cloning, Program};

/// The trees. In the second and third are those that have been started, or make a clone.
pub(crate) struct Programs<'p> {
    by_account: RBTree<ByAccount<'p>>,
    by_priority: RBTree<ByPriority<'p>>,
    by_source: RBTree<BySource<'p>>,
}

impl<'p> Programs<'p> {
    pub fn new() -> Programs<'p> {
        Programs {
            by_account: RBTree::new(ByAccount::new()),
            by_priority: RBTree::new(ByPriority::new()),
            by_source: RBTree::new(BySource::new()),
        }
    }

    /// Records a program with its account.
    pub fn insert(&mut self, program: &'p Program<'p>) {
        self.by_account.insert(program);
    }

    /// Forgets one that has no priority and makes no clone.
    pub fn remove(&mut self, program: &Program<'p>) {
        self.by_account.find_mut(&(program.account_number(), program.number())).remove();
    }

    /// The program that has an account.
    pub fn with_account(&self, account: &Object<'p>) -> Option<&'p Program<'p>> {
        let key = (account.number.get(), 0);
        let found = self.by_account.lower_bound(Bound::Included(&key)).clone_pointer();
        found.filter(|program| program.account_number() == key.0)
    }

    /// Says what priority a program has from now on, if any.
    pub fn set_priority(&mut self, program: &'p Program<'p>, priority: Option<u8>) {
        if let Some(old) = program.counted.get() {
            let left = self.started(old) - 1;
            self.by_priority.find_mut(&(old, program.number())).remove();
            self.count(old, left);
        }
        program.counted.set(priority);
        if let Some(new) = priority {
            let all = self.started(new) + 1;
            self.by_priority.insert(program);
            self.count(new, all);
        }
    }

    /// The first of a priority: it knows how many there are. A table of all priorities would be too
    /// large for the stacks that a server is made on.
    fn first_of(&self, priority: u8) -> Option<&'p Program<'p>> {
        self.of_priority(priority).next()
    }

    fn count(&self, priority: u8, started: usize) {
        if let Some(first) = self.first_of(priority) {
            first.alike.set(started as u32);
        }
    }

    /// How many have a priority.
    pub fn started(&self, priority: u8) -> usize {
        self.first_of(priority).map_or(0, |first| first.alike.get() as usize)
    }

    /// Those of a priority.
    pub fn of_priority(&self, priority: u8) -> impl Iterator<Item = &'p Program<'p>> + use<'_, 'p> {
        let mut at = self.by_priority.lower_bound(Bound::Included(&(priority, 0)));
        core::iter::from_fn(move || {
            let program = at.clone_pointer().filter(|it| it.counted.get() == Some(priority));
            at.move_next();
            program
        })
    }

    /// Says what clone a program makes from now on, if any.
    pub fn set_cloning(&mut self, program: &'p Program<'p>, cloning: Option<Cloning<'p>>) {
        if program.cloning.get().is_some() {
            self.by_source.find_mut(&(program.source(), program.number())).remove();
        }
        program.cloning.set(cloning);
        if cloning.is_some() {
            self.by_source.insert(program);
        }
    }

    /// One that makes a clone of a memory object.
    pub fn cloning(&self, source: &Object<'p>) -> Option<&'p Program<'p>> {
        let key = (source.number.get(), 0);
        let found = self.by_source.lower_bound(Bound::Included(&key)).clone_pointer();
        found.filter(|program| program.source() == key.0)
    }

    /// How many are in each tree.
    pub fn counts(&self) -> [usize; 3] {
        [
            self.by_account.iter().count(),
            self.by_priority.iter().count(),
            self.by_source.iter().count(),
        ]
    }
}
