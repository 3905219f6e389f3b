// SPDX-License-Identifier: BSD-2-Clause
//! Where threads wait, by what lets them go on: nothing looks through all of them.
//!
//! ```text
//!   a thread's record ── place ──► (queue, order) ──► the tree of places, in which each is once
//!                    ── whose it keeps something ──► the tree by programs
//! ```
//!
//! A record changes, and then [`Queues::update`] is called: the places in the trees are those that
//! were noted last.

use intrusive_collections::{Bound, RBTree};

use super::place::{Course, Place, Queue};
use super::thread::{ByCourse, ByPlace, ByTold, ByWhose, Thread};

/// The trees.
pub(crate) struct Queues<'p> {
    by_place: RBTree<ByPlace<'p>>,
    by_whose: RBTree<ByWhose<'p>>,
    by_course: RBTree<ByCourse<'p>>,
    by_told: RBTree<ByTold<'p>>,
    /// How many threads have a slot, and are not being taken apart; and how much is given now.
    places: u32,
    due: u32,
}

impl<'p> Queues<'p> {
    pub fn new() -> Queues<'p> {
        Queues {
            by_place: RBTree::new(ByPlace::new()),
            by_whose: RBTree::new(ByWhose::new()),
            by_course: RBTree::new(ByCourse::new()),
            by_told: RBTree::new(ByTold::new()),
            places: 0,
            due: 0,
        }
    }

    /// Notes what a thread's record says now.
    pub fn update(&mut self, thread: &'p Thread<'p>) {
        let (place, whose) = (thread.place(), thread.held.get().map_or(0, |held| held.whose));
        if place != thread.noted.place.get() {
            self.unplace(thread);
            thread.noted.place.set(place);
            self.due += u32::from(place.0.is_due());
            if place.0 != Queue::None {
                self.by_place.insert(thread);
            }
        }
        if whose != thread.noted.whose.get() {
            self.unown(thread);
            thread.noted.whose.set(whose);
            if whose != 0 {
                self.by_whose.insert(thread);
            }
        }
        self.count(thread, thread.has_place());
        let course = thread.course();
        if course != thread.noted.course.get() {
            self.uncourse(thread);
            thread.noted.course.set(course);
            if course != Course::None {
                self.by_course.insert(thread);
            }
        }
        let tells = thread.tells();
        if tells != thread.noted.tells.get() {
            self.untell(thread);
            thread.noted.tells.set(tells);
            if tells.0 != 0 {
                self.by_told.insert(thread);
            }
        }
    }

    /// Forgets a thread.
    pub fn remove(&mut self, thread: &Thread<'p>) {
        self.unplace(thread);
        self.unown(thread);
        self.uncourse(thread);
        self.untell(thread);
        self.count(thread, false);
    }

    /// The first that is given now, or goes on, in this queue: mostly there is none in either.
    pub fn first_due(&self, queue: Queue) -> Option<&'p Thread<'p>> {
        match self.due {
            0 => None,
            _ => self.first(queue),
        }
    }

    /// How many slots there are.
    pub fn places(&self) -> u32 {
        self.places
    }

    fn count(&mut self, thread: &Thread<'p>, counts: bool) {
        match (thread.noted.counted.replace(counts), counts) {
            (false, true) => self.places += 1,
            (true, false) => self.places -= 1,
            _ => {}
        }
    }

    fn unplace(&mut self, thread: &Thread<'p>) {
        // What is noted is what it is found by.
        let place = thread.noted.place.get();
        if place.0 != Queue::None {
            self.by_place.find_mut(&(place, thread.key())).remove();
            self.due -= u32::from(place.0.is_due());
        }
        thread.noted.place.set(Place::default());
    }

    fn unown(&mut self, thread: &Thread<'p>) {
        let whose = thread.noted.whose.get();
        if whose != 0 {
            self.by_whose.find_mut(&(whose, thread.key())).remove();
        }
        thread.noted.whose.set(0);
    }

    fn uncourse(&mut self, thread: &Thread<'p>) {
        let course = thread.noted.course.get();
        if course != Course::None {
            self.by_course.find_mut(&(course, thread.key())).remove();
        }
        thread.noted.course.set(Course::None);
    }

    fn untell(&mut self, thread: &Thread<'p>) {
        let tells = thread.noted.tells.get();
        if tells.0 != 0 {
            self.by_told.find_mut(&tells).remove();
        }
        thread.noted.tells.set((0, 0));
    }

    /// How many are in one, in the course of something, and wait to be told of a page.
    pub fn counts(&self) -> [usize; 3] {
        let [places, courses] = [self.by_place.iter().count(), self.by_course.iter().count()];
        [places, courses, self.by_told.iter().count()]
    }

    /// The thread by whose slot is to be told of a page of a memory object, behind this turn.
    pub fn told_of(&self, memory: u32, behind: u64) -> Option<&'p Thread<'p>> {
        if self.by_told.is_empty() {
            return None;
        }
        let found = self.by_told.lower_bound(Bound::Excluded(&(memory, behind))).clone_pointer();
        found.filter(|thread| thread.noted.tells.get().0 == memory)
    }

    /// The first that is in the course of this.
    pub fn in_course(&self, course: Course) -> Option<&'p Thread<'p>> {
        if self.by_course.is_empty() {
            return None;
        }
        let found = self.by_course.lower_bound(Bound::Included(&(course, (0, 0)))).clone_pointer();
        found.filter(|thread| thread.noted.course.get() == course)
    }

    /// The first of a queue.
    pub fn first(&self, queue: Queue) -> Option<&'p Thread<'p>> {
        self.behind(((queue, 0), (0, 0)))
    }

    /// The one of the same queue that comes behind this place.
    pub fn behind(&self, key: (Place, (u32, u32))) -> Option<&'p Thread<'p>> {
        let found = self.by_place.lower_bound(Bound::Excluded(&key)).clone_pointer();
        found.filter(|thread| thread.noted.place.get().0 == key.0 .0)
    }

    /// The next that waits for memory, whatever guarantee lacks it.
    pub fn next_waiting(&self, behind: (Place, (u32, u32))) -> Option<&'p Thread<'p>> {
        let found = self.by_place.lower_bound(Bound::Excluded(&behind)).clone_pointer();
        found.filter(|thread| matches!(thread.noted.place.get().0, Queue::Waiting(_)))
    }

    /// The next thread, behind this one, whose slot keeps something of a program.
    pub fn next_of(&self, whose: u32, behind: (u32, u32)) -> Option<&'p Thread<'p>> {
        let found = self.by_whose.lower_bound(Bound::Excluded(&(whose, behind))).clone_pointer();
        found.filter(|thread| thread.noted.whose.get() == whose)
    }
}
