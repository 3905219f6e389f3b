// SPDX-License-Identifier: BSD-2-Clause
//! Who waits for a page, or for memory for one, by what ends that: the page, its mapping, the time,
//! who asks next.

use intrusive_collections::{Bound, RBTree};

use super::supplied::{Order, PageWait, Phase};
use super::thread::{ByDeadline, ByMapping, ByOrder, ByPage, Thread};

/// Free memory in two ways of counting, in bytes: what frames are cut from, and what is in no frame
/// that is used. Each grows by what the other does not see.
pub(crate) type Free = [usize; 2];

/// The trees. In each a thread is found by what was noted of its wait last.
pub(crate) struct Waits<'p> {
    by_page: RBTree<ByPage<'p>>,
    by_mapping: RBTree<ByMapping<'p>>,
    by_deadline: RBTree<ByDeadline<'p>>,
    by_order: RBTree<ByOrder<'p>>,
    /// How many go on now, and how many wait for memory.
    due: u32,
    lacking: u32,
}

impl<'p> Waits<'p> {
    pub fn new() -> Waits<'p> {
        Waits {
            by_page: RBTree::new(ByPage::new()),
            by_mapping: RBTree::new(ByMapping::new()),
            by_deadline: RBTree::new(ByDeadline::new()),
            by_order: RBTree::new(ByOrder::new()),
            due: 0,
            lacking: 0,
        }
    }

    /// Says what a thread waits for from now on.
    pub fn set(&mut self, thread: &'p Thread<'p>, wait: Option<PageWait>) {
        self.remove(thread);
        thread.paging.set(wait);
        let Some(wait) = wait else { return };
        if wait.is_wanted() {
            self.by_page.insert(thread);
        }
        if wait.waits() {
            self.by_mapping.insert(thread);
        }
        self.lacking += u32::from(wait.lacks());
        if wait.deadline().is_some() {
            self.by_deadline.insert(thread);
        }
        if let Some(order) = wait.order() {
            self.by_order.insert(thread);
            self.due += u32::from(order == Order::GoesOn);
        }
    }

    /// Notes that the pager of a thread that waits was told, or was not.
    pub fn set_told(&mut self, thread: &'p Thread<'p>, told: bool) {
        let Some(wait) = thread.paging.get() else { return };
        let phase = Phase::Waits { told };
        if !wait.waits() || wait.phase == phase {
            return;
        }
        // In the other trees it stays where it is.
        if told {
            self.by_order.find_mut(&(Order::Untold(wait.memory), wait.turn)).remove();
        }
        thread.paging.set(Some(PageWait { phase, ..wait }));
        if !told {
            self.by_order.insert(thread);
        }
    }

    /// Forgets a thread.
    pub fn remove(&mut self, thread: &Thread<'p>) {
        let Some(wait) = thread.paging.get() else { return };
        if wait.is_wanted() {
            self.by_page.find_mut(&wait.by_page()).remove();
        }
        if wait.waits() {
            self.by_mapping.find_mut(&wait.by_mapping()).remove();
        }
        self.lacking -= u32::from(wait.lacks());
        if let Some(until) = wait.deadline() {
            self.by_deadline.find_mut(&(until, wait.turn)).remove();
        }
        if let Some(order) = wait.order() {
            self.by_order.find_mut(&(order, wait.turn)).remove();
            self.due -= u32::from(order == Order::GoesOn);
        }
        thread.paging.set(None);
    }

    /// The one that waits for a page of a memory object since the turn behind `behind`.
    pub fn for_page(&self, memory: u32, page: u32, behind: u64) -> Option<&'p Thread<'p>> {
        let found = self.by_page.lower_bound(Bound::Excluded(&(memory, page, behind)));
        found.clone_pointer().filter(|thread| {
            thread.paging.get().is_some_and(|it| (it.memory, it.page) == (memory, page))
        })
    }

    /// The one that waits for a page of a memory object behind this page and turn.
    pub fn of_memory(&self, memory: u32, behind: (u32, u64)) -> Option<&'p Thread<'p>> {
        let found = self.by_page.lower_bound(Bound::Excluded(&(memory, behind.0, behind.1)));
        let found = found.clone_pointer();
        found.filter(|thread| thread.paging.get().is_some_and(|wait| wait.memory == memory))
    }

    /// The one that waits for a page of a mapping, by numbers that the manager asks for it by.
    pub fn at(&self, token: u32, asked: &core::ops::Range<u32>) -> Option<&'p Thread<'p>> {
        let found = self.by_mapping.lower_bound(Bound::Included(&(token, asked.start, 0)));
        found.clone_pointer().filter(|thread| {
            let wait = thread.paging.get();
            wait.is_some_and(|wait| wait.token == token && asked.contains(&wait.asked))
        })
    }

    /// The first that has waited for too long, and the time at which that is so.
    pub fn next_late(&self) -> Option<(&'p Thread<'p>, u64)> {
        let first = self.by_deadline.front().clone_pointer()?;
        Some((first, first.paging.get()?.deadline()?))
    }

    /// The one that waits longest for a page of a memory object of which its pager was not told.
    pub fn untold(&self, memory: u32) -> Option<&'p Thread<'p>> {
        self.first(Order::Untold(memory))
    }

    /// The next that goes on now.
    pub fn going_on(&self) -> Option<&'p Thread<'p>> {
        match self.due {
            0 => None,
            _ => self.first(Order::GoesOn),
        }
    }

    /// How many wait for memory.
    pub fn lacking(&self) -> u32 {
        self.lacking
    }

    /// The one that waits longest for memory.
    pub fn first_lacking(&self) -> Option<&'p Thread<'p>> {
        match self.lacking {
            0 => None,
            _ => self.first(Order::Lacks),
        }
    }

    fn first(&self, order: Order) -> Option<&'p Thread<'p>> {
        let found = self.by_order.lower_bound(Bound::Included(&(order, 0))).clone_pointer();
        found.filter(|thread| thread.paging.get().and_then(|it| it.order()) == Some(order))
    }

    /// How many are in each tree: by page, by mapping, by deadline, by order.
    pub fn counts(&self) -> [usize; 4] {
        [
            self.by_page.iter().count(),
            self.by_mapping.iter().count(),
            self.by_deadline.iter().count(),
            self.by_order.iter().count(),
        ]
    }
}
