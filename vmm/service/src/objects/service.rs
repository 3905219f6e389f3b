// SPDX-License-Identifier: BSD-2-Clause
//! The service itself: what it is made of, and its look-ups.

use core::cell::Cell;

use intrusive_collections::RBTree;
use vmm::{CPtr, Kernel, Memory, Name, Pool, SpaceId, Violation, Vmm};
use vmm_client::objects::{Amounts, Kind, Resource, Rights};

use super::answers::{large_bits, page_rights, refuse, Refused};
use super::reserved::{check_there_are, release_large, reserve_large};
use super::state::account::Account;
use super::state::large::LargePages;
use super::state::mapping::Mapping;
use super::state::object::{Object, What};
use super::state::program::{ByObject, BySpace, Emptied, Program};
use super::state::programs::Programs;
use super::state::queues::Queues;
use super::state::tables::Tables;
use super::state::thread::{ByProgram, Thread};
use super::state::turn::{Shares, Turn};
use super::state::waits::{Free, Waits};
use super::types::{Act, ProgramId, Turnstile, OBJECT_BADGE, OWN_BADGES};
pub(super) use crate::clearing::clearing;

/// The most badges: those below the bit that tells them from badges of faults, but for a few of the
/// server's own threads.
pub(super) const MAX_BADGE: u32 = OBJECT_BADGE as u32 - 1 - OWN_BADGES;

/// Objects and who has capabilities to them.
///
/// One endpoint serves all of them. It is a companion of a [`Vmm`], and every method is to be given
/// the same one.
pub struct Objects<'p> {
    pub(super) endpoint: CPtr,
    pub(super) tables: Tables<'p>,
    /// The large pages that were reserved.
    pub(super) large: LargePages<'p>,
    /// A space in which nothing is: who is to be suspended has it.
    pub(super) empty: SpaceId,
    /// The account of all there is.
    pub(super) root: &'p Object<'p>,
    /// The console.
    pub(super) console: &'p Object<'p>,
    pub(super) programs: RBTree<ByObject<'p>>,
    pub(super) programs_by_space: RBTree<BySpace<'p>>,
    /// The same by what else they are looked for.
    pub(super) found_programs: Programs<'p>,
    pub(super) free_programs: Pool<'p, Program<'p>>,
    pub(super) threads: RBTree<ByProgram<'p>>,
    pub(super) free_threads: Pool<'p, Thread<'p>>,
    /// How many threads are being taken apart alone.
    pub(super) ending: u32,
    /// How many pages the request that is served, or the piece of work, has given back or unmapped.
    pub(super) given_back: u32,
    /// Programs that are being taken apart, and how many of them there are of which a thread may run.
    pub(super) unstopped: u32,
    pub(super) dying_programs: Option<&'p Program<'p>>,
    /// Objects that are being taken apart.
    pub(super) dying: Option<&'p Object<'p>>,
    /// How many requests wait, and the turn of the last.
    pub(super) waiting: u32,
    pub(super) last_turn: u64,
    /// A time slice.
    pub(super) slice: u64,
    /// The program whose message was served last.
    pub(super) current: Option<&'p Program<'p>>,
    /// Its thread, if that was a fault.
    pub(super) current_thread: Option<&'p Thread<'p>>,
    /// The thread that a request has the server start, or bind something to, last.
    pub(super) last_acted: Option<&'p Thread<'p>>,
    /// In whose slot an answer was held last.
    pub(super) last_held: Option<&'p Thread<'p>>,
    /// The one whose slot was named last for a right to answer that is to wait.
    pub(super) last_kept: Option<&'p Thread<'p>>,
    /// Where threads wait, and which of others' slots was looked at last for what nobody waits for.
    pub(super) queues: Queues<'p>,
    pub(super) looked_at: (u32, u32),
    /// Messages that are nobody's.
    pub(super) stray: Turn,
    /// What all programs had, to compare them.
    pub(super) shares: Shares,
    /// The highest priority of programs whose objects are being taken apart.
    pub(super) works_for: Option<u8>,
    /// What was done of that since the others had their turn.
    pub(super) work: Turn,
    /// What tells when they had, while it waits for that.
    pub(super) rests_for: Option<Turnstile>,
    /// What the request that is served has its server do.
    pub(super) act: Option<Act>,
    /// The slot for the next capability that is not the service's, where the last one is kept.
    pub(super) next_foreign: Option<CPtr>,
    /// Objects of which something is to be told now, of their ends or of pages that are waited for;
    /// and how much that is.
    pub(super) telling: Option<&'p Object<'p>>,
    pub(super) notices: u32,
    /// Who waits for a page.
    pub(super) waits: Waits<'p>,
    /// The least that was free since who waits for memory was tried last.
    pub(super) least_free: Free,
    /// How many threads go on now that were suspended.
    pub(super) resumed: u32,
    /// The CNode of a program that ended, until its account has.
    pub(super) emptied: Option<Emptied>,
    /// Whether the fault that is served is that of a page which came too late.
    pub(super) late: bool,
    /// How many threads were looked at to find one, and how many requests that wait were tried
    /// again.
    pub(super) steps: Cell<u64>,
    /// The time, in milliseconds, if there is a clock.
    pub(super) time: Option<u64>,
}

impl<'p> Objects<'p> {
    /// A service whose messages and faults come to `endpoint`, and all whose accounts together may
    /// use `amounts`: those are guarantees, so there is to be as much; but for `u32::MAX` of a
    /// resource, of which nothing is promised. Of large pages ([`Resource::LargePages`]) there is:
    /// they are set aside now, cleared, and nobody else gets their memory. So that it can be had in
    /// such pieces, this is to come before what takes much memory. No other amount takes anything.
    ///
    /// # Errors
    /// [`vmm::Error::Allocator`] with `OutOfMemory` or `OutOfSlots` when there is less memory, or
    /// there are fewer slots, than that; those of [`Vmm::map`] and [`Vmm::create_space`]: it takes
    /// five pages for its own book-keeping, for good, and one for each 46 large pages (73 on IA32);
    /// and a space.
    pub fn new<K: Kernel + Memory<'p>>(
        vmm: &mut Vmm<'p, K>,
        endpoint: CPtr,
        amounts: Amounts,
    ) -> vmm::Result<Self> {
        check_there_are(vmm, amounts)?;
        let mut tables = Tables::up_to(MAX_BADGE);
        let mut free_programs = Pool::new(|node: &Program<'p>| &node.next_free);
        let mut free_threads = Pool::new(|node: &Thread<'p>| &node.next_free);
        let (programs, threads) = (&mut free_programs, &mut free_threads);
        clearing(vmm, |vmm| refill(vmm, &mut tables, (programs, threads)))?;
        let mut large = reserve_large(vmm, amounts.of(Resource::LargePages))?;
        let empty = match clearing(vmm, Vmm::create_space) {
            Ok(empty) => empty,
            Err(error) => {
                release_large(vmm, &mut large)?;
                return Err(error);
            }
        };
        let root = tables.insert_object(Kind::Account, None, Amounts::NONE);
        // The pool was just filled.
        let root = root.ok_or(vmm::Error::OutOfBadges)?;
        let account = Account { limits: amounts, ..Account::default() };
        root.what.set(What::Account(account));
        let console = tables.insert_object(Kind::Console, Some(root), Amounts::NONE);
        let console = console.ok_or(vmm::Error::OutOfBadges)?;
        console.what.set(What::Console);
        Ok(Objects {
            endpoint,
            tables,
            large,
            empty,
            root,
            console,
            programs: RBTree::new(ByObject::new()),
            programs_by_space: RBTree::new(BySpace::new()),
            found_programs: Programs::new(),
            free_programs,
            threads: RBTree::new(ByProgram::new()),
            free_threads,
            ending: 0,
            given_back: 0,
            unstopped: 0,
            dying_programs: None,
            dying: None,
            waiting: 0,
            last_turn: 0,
            slice: u64::MAX,
            current: None,
            current_thread: None,
            last_acted: None,
            last_held: None,
            last_kept: None,
            queues: Queues::new(),
            looked_at: (0, 0),
            stray: Turn::default(),
            shares: Shares::default(),
            works_for: None,
            work: Turn::default(),
            rests_for: None,
            act: None,
            next_foreign: None,
            telling: None,
            notices: 0,
            waits: Waits::new(),
            least_free: [0; 2],
            resumed: 0,
            emptied: None,
            late: false,
            steps: Cell::new(0),
            time: None,
        })
    }

    /// Ends the service, of which no program is left, nor anything to reap: large pages are memory
    /// as any other again.
    ///
    /// # Errors
    /// Those of [`Vmm::release`] and [`Vmm::destroy_space`].
    pub fn close<K: Kernel + Memory<'p>>(mut self, vmm: &mut Vmm<'p, K>) -> vmm::Result {
        release_large(vmm, &mut self.large)?;
        vmm.destroy_space(self.empty)
    }

    /// Makes `most` the greatest badge, and the greatest number of anything else, from now on: for
    /// tests that go through all of them.
    #[doc(hidden)]
    pub fn narrow_numbers(&mut self, most: u32) {
        self.tables.narrow(most);
    }

    /// Takes pages for `count` records of each kind: for tests that compare what is free.
    ///
    /// # Errors
    /// Those of [`Vmm::map`].
    #[doc(hidden)]
    pub fn stretch<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        count: usize,
    ) -> vmm::Result {
        let Objects { tables, free_programs, free_threads, .. } = self;
        while tables.free_objects.available() < count {
            vmm.adopt_bookkeeping_page(&mut tables.free_objects)?;
        }
        while tables.free_capabilities.available() < count {
            vmm.adopt_bookkeeping_page(&mut tables.free_capabilities)?;
        }
        while tables.free_mappings.available() < count {
            vmm.adopt_bookkeeping_page(&mut tables.free_mappings)?;
        }
        while tables.free_supplied.available() < count {
            vmm.adopt_bookkeeping_page(&mut tables.free_supplied)?;
        }
        while free_threads.available() < count {
            vmm.adopt_bookkeeping_page(free_threads)?;
        }
        while free_programs.available() < count {
            vmm.adopt_bookkeeping_page(free_programs)?;
        }
        Ok(())
    }

    /// Brings the pools above what one request takes.
    pub(super) fn refill<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
    ) -> Result<(), Refused> {
        let Objects { tables, free_programs, free_threads, .. } = self;
        clearing(vmm, |vmm| refill(vmm, tables, (free_programs, free_threads))).map_err(refuse)
    }

    /// How many threads were looked at so far to find one, and how many requests that wait were
    /// tried again: for tests of what others' threads cost.
    #[doc(hidden)]
    pub fn steps(&self) -> u64 {
        self.steps.get()
    }

    /// How many objects, capabilities, mappings and programs there are.
    pub fn counts(&self) -> [usize; 4] {
        let tables = &self.tables;
        [
            tables.objects.iter().count(),
            tables.capabilities.iter().count(),
            tables.mappings.iter().count(),
            self.programs.iter().count(),
        ]
    }

    /// What all accounts together may use, and what of it is used or was given to programs.
    pub fn amounts(&self) -> (Amounts, Amounts) {
        self.root.account().map_or(Default::default(), |root| (root.limits, root.used))
    }

    /// The program that runs in a space, while it lives.
    pub fn program_in(&self, space: SpaceId) -> Option<ProgramId> {
        self.program(ProgramId(space)).map(|_| ProgramId(space))
    }

    /// A program's name, for people.
    pub fn name(&self, program: ProgramId) -> Option<Name> {
        self.program(program).map(|program| program.name.get())
    }

    /// The record of a program that lives.
    pub(super) fn program(&self, id: ProgramId) -> Option<&'p Program<'p>> {
        let node = self.programs_by_space.find(&Some(id.0)).clone_pointer();
        node.filter(|program| !program.dying.get())
    }

    /// The program whose own capability has this badge, while it lives.
    pub(super) fn sender(&self, badge: usize) -> Option<&'p Program<'p>> {
        let badge = u32::try_from(badge ^ OBJECT_BADGE).ok()?;
        let node = self.tables.capability(badge)?;
        // Another capability to a program lets its holder do something with it, and not as it.
        let object = node.object.get().filter(|_| node.rights.get().contains(Rights::ACT))?;
        let program = self.programs.find(&object.number.get()).clone_pointer();
        program.filter(|program| !program.dying.get())
    }

    /// Checks what must hold of the records of accounts, objects, capabilities and mappings, and
    /// that the manager has what they say. O(n²) in their number; no kernel call.
    ///
    /// # Errors
    /// The first rule found broken.
    pub fn validate<K: Kernel + Memory<'p>>(&self, vmm: &Vmm<'p, K>) -> Result<(), Violation> {
        self.tables.validate()?;
        self.validate_held()?;
        self.validate_threads()?;
        self.validate_queues()?;
        self.validate_waiting()?;
        self.validate_suspension()?;
        self.validate_programs()?;
        self.validate_children()?;
        self.validate_thresholds()?;
        self.validate_clones()?;
        self.validate_time()?;
        self.validate_emptied()?;
        self.validate_paged(vmm)?;
        self.validate_told()?;
        self.validate_lacking()?;
        self.validate_large(vmm)?;
        for node in self.tables.capabilities.iter().filter(|node| node.slot.get() != CPtr::NULL) {
            let at = node.badge.get() as usize;
            if OBJECT_BADGE | at > vmm.highest_badge() {
                return Err(Violation { rule: "no badge is above the highest", at });
            }
        }
        for mapping in self.tables.mappings.iter() {
            let info = mapping.region.get().and_then(|region| vmm.region_info(region).ok());
            let lies = info.is_some_and(|info| {
                info.range.start().bits() == mapping.start.get()
                    && info.range.pages() == mapping.pages.get() as usize
            });
            let at = mapping.token.get() as usize;
            if !lies {
                return Err(Violation { rule: "a mapping's region is where it is recorded", at });
            }
            self.validate_private(vmm, mapping)?;
            if !self.has_its_rights(vmm, mapping) {
                return Err(Violation { rule: "a page has no right that its mapping lacks", at });
            }
        }
        for object in self.tables.objects.iter() {
            let at = object.number.get() as usize;
            let lives = match object.what.get() {
                What::Memory { region, pages, .. } | What::Physical { region, pages, .. } => {
                    let info = vmm.region_info(region);
                    let stays = !object.located.get() || vmm.may_region_move(region) == Ok(false);
                    stays && info.is_ok_and(|info| info.range.pages() >= pages as usize)
                }
                What::Space(space) => vmm.vspace(space).is_ok(),
                What::Reservation { region, pages, .. } => {
                    let info = vmm.region_info(region);
                    info.is_ok_and(|info| info.range.pages() == pages as usize)
                }
                _ => true,
            };
            if !lives {
                return Err(Violation { rule: "an object has what it stands for", at });
            }
        }
        Ok(())
    }

    /// Whether no page of a mapping has more rights than that, nor that more than its region
    /// allows.
    fn has_its_rights<K: Kernel + Memory<'p>>(&self, vmm: &Vmm<'p, K>, of: &Mapping<'p>) -> bool {
        let (Some(region), rights) = (of.region.get(), page_rights(of.rights.get())) else {
            return false;
        };
        let page = |page| of.start.get() + ((page as usize) << vmm.geometry().page_bits);
        let large = of.memory.get().filter(|memory| memory.is_large());
        let bits = large.map_or(0, |_| large_bits(vmm.geometry()) - vmm.geometry().page_bits);
        let pages = (0..of.pages.get()).step_by(1 << bits);
        let mut mapped = pages.map(|nth| vmm.mapping_at(region.space(), page(nth)));
        vmm.region_info(region).is_ok_and(|info| info.ceiling.contains(rights))
            && mapped.all(|page| {
                page.is_ok_and(|page| page.is_none_or(|page| rights.contains(page.rights)))
            })
    }
}

fn refill<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    tables: &mut Tables<'p>,
    (programs, threads): (&mut Pool<'p, Program<'p>>, &mut Pool<'p, Thread<'p>>),
) -> vmm::Result<()> {
    // A program takes three objects and five capabilities.
    if tables.free_objects.available() < 4 {
        vmm.adopt_bookkeeping_page(&mut tables.free_objects)?;
    }
    if tables.free_capabilities.available() < 6 {
        vmm.adopt_bookkeeping_page(&mut tables.free_capabilities)?;
    }
    if tables.free_mappings.available() < 1 {
        vmm.adopt_bookkeeping_page(&mut tables.free_mappings)?;
    }
    if programs.available() < 1 {
        vmm.adopt_bookkeeping_page(programs)?;
    }
    if threads.available() < 1 {
        vmm.adopt_bookkeeping_page(threads)?;
    }
    Ok(())
}
