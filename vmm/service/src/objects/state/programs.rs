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
    /// How many have each priority.
    started: [u32; 256],
}

impl<'p> Programs<'p> {
    pub fn new() -> Programs<'p> {
        Programs {
            by_account: RBTree::new(ByAccount::new()),
            by_priority: RBTree::new(ByPriority::new()),
            by_source: RBTree::new(BySource::new()),
            started: [0; 256],
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
            self.by_priority.find_mut(&(old, program.number())).remove();
            self.started[usize::from(old)] -= 1;
        }
        program.counted.set(priority);
        if let Some(new) = priority {
            self.by_priority.insert(program);
            self.started[usize::from(new)] += 1;
        }
    }

    /// How many have a priority.
    pub fn started(&self, priority: u8) -> usize {
        self.started[usize::from(priority)] as usize
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
