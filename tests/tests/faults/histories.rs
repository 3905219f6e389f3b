//! Random histories of clones, faults, unmaps, protects and ends over several spaces, each page held
//! against the reference after each step; with and without a kernel call that is refused.

use proptest::collection::vec;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use untyped_alloc::{KernelError, Rights};
use vmm::{Access, Backing, Error, RegionId, RegionOptions, Result};

use crate::support::{Fixture, Machine, PAGE, Snapshot, Target, on_both};
use crate::world::{Page, Region, World, touch};

on_both!(
    clones_keep_what_they_were_made_of,
    so_they_do_when_kernel_calls_are_refused,
    so_they_do_when_memory_is_short,
);

/// The most spaces and regions of a history.
const MOST_SPACES: usize = 5;
const MOST_REGIONS: usize = 12;

#[derive(Clone, Copy, Debug)]
enum Step {
    Map { space: usize, pages: usize, around: u8, populated: bool, rights: usize },
    CloneRegion { region: usize, into: usize },
    CloneSpace { space: usize },
    Touch { region: usize, page: usize, access: usize },
    Unmap { region: usize, page: usize, pages: usize },
    Protect { region: usize, page: usize, pages: usize, rights: usize },
    Settle { region: usize },
    Release { region: usize },
    Destroy { space: usize },
    NewSpace,
    Trim,
}

const RIGHTS: [Rights; 3] = [Rights::READ_WRITE, Rights::READ, Rights::empty()];

fn step() -> impl Strategy<Value = Step> {
    (0..32u8, 0..64usize, 0..16usize, 0..16usize).prop_map(|(kind, a, b, c)| match kind {
        0..3 => Step::Map {
            space: a,
            pages: b + 1,
            around: 1 << (c % 5),
            populated: c < 8,
            rights: usize::from(c == 15),
        },
        3..7 => Step::CloneRegion { region: a, into: b },
        7 => Step::CloneSpace { space: a },
        8..20 => Step::Touch { region: a, page: b, access: c },
        20..23 => Step::Unmap { region: a, page: b, pages: c + 1 },
        23..26 => Step::Protect { region: a, page: b, pages: c / 3 + 1, rights: c % 3 },
        26 => Step::Settle { region: a },
        27..29 => Step::Release { region: a },
        29 => Step::Destroy { space: a },
        30 => Step::NewSpace,
        _ => Step::Trim,
    })
}

/// A history, and before each step perhaps the number of the kernel call that is refused.
fn explore(machine: Machine, cases: u32, refuse: bool) {
    let mut config =
        Config { failure_persistence: None, max_shrink_iters: 4000, ..Config::default() };
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = RngSeed::Fixed(0xc0117);
    }
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    let refused = (0..if refuse { 24usize } else { 1 }).prop_map(|n| n % 20);
    let steps = vec((step(), refused), 1..60);
    let outcome = TestRunner::new(config).run(&steps, |steps| {
        Run::new(&machine).all(&steps);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// A9, I6, I7.
fn clones_keep_what_they_were_made_of(target: Target) {
    explore(Machine::roomy(target), 150, false);
}

/// A9, A13.
fn so_they_do_when_kernel_calls_are_refused(target: Target) {
    explore(Machine::roomy(target), 150, true);
}

fn so_they_do_when_memory_is_short(target: Target) {
    let ram = vec![(0x100_0000, 17), (0x80_0000, 16), (0x70_2000, 13)];
    explore(Machine::with_ram(target, ram), 150, true);
}

struct Run {
    host: Fixture<'static>,
    world: World,
    next_tag: u64,
}

impl Run {
    fn new(machine: &Machine) -> Run {
        let mut host = Fixture::new(machine.clone());
        host.vmm.trim().expect("trimming");
        Run { host, world: World::default(), next_tag: 1 }
    }

    fn all(mut self, steps: &[(Step, usize)]) {
        let before = Snapshot::settled(&mut self.host);
        let own = self.host.own();
        self.world.spaces.push((own, Vec::new()));
        for &(step, refused) in steps {
            if refused != 0 {
                self.host.kernel().fail_nth(refused, KernelError::NotEnoughMemory);
            }
            let done = self.step(step);
            let left = self.host.kernel().disarm();
            match done {
                Ok(()) => {}
                // Whatever was refused: everybody sees what was seen before, and once more it works,
                // unless memory is short.
                Err(error) => {
                    assert!(refused != 0 && !left || is_short(&error), "{step:?}: {error:?}");
                    self.world.check(&self.host);
                    let again = self.step(step);
                    assert!(again.as_ref().err().is_none_or(is_short), "{step:?}: {again:?}");
                }
            }
            self.world.check(&self.host);
        }
        self.end();
        self.host.check();
        before.assert_same(&Snapshot::settled(&mut self.host));
    }

    fn end(&mut self) {
        for (space, regions) in std::mem::take(&mut self.world.spaces).into_iter().rev() {
            if space != self.host.own() {
                self.host.vmm.destroy_space(space).expect("nobody uses it");
                continue;
            }
            for region in regions {
                self.host.vmm.release(region.id).expect("it is there");
            }
        }
    }

    fn step(&mut self, step: Step) -> Result {
        let spaces = self.world.spaces.len();
        match step {
            Step::Map { space, pages, around, populated, rights } => {
                self.map(space % spaces, pages, around, populated, RIGHTS[rights])
            }
            Step::CloneRegion { region, into } => {
                self.with(region, |run, at| run.clone_region(at, into % spaces).map(|_| ()))
            }
            Step::CloneSpace { space } => self.clone_space(space % spaces),
            Step::Touch { region, page, access } => {
                self.with(region, |run, at| run.touch(at, page, access))
            }
            Step::Unmap { region, page, pages } => {
                self.with(region, |run, at| run.unmap(at, page, pages))
            }
            Step::Protect { region, page, pages, rights } => {
                self.with(region, |run, at| run.protect(at, page, pages, RIGHTS[rights]))
            }
            Step::Settle { region } => {
                self.with(region, |run, at| run.host.vmm.settle(run.world.region(at).id))
            }
            Step::Release { region } => self.with(region, Run::release),
            Step::Destroy { space } => self.destroy(space % spaces),
            Step::NewSpace if spaces < MOST_SPACES => {
                let space = self.host.vmm.create_space()?;
                self.world.spaces.push((space, Vec::new()));
                Ok(())
            }
            Step::NewSpace => Ok(()),
            Step::Trim => self.host.vmm.trim(),
        }
    }

    fn with(
        &mut self,
        region: usize,
        act: impl FnOnce(&mut Run, (usize, usize)) -> Result,
    ) -> Result {
        self.world.pick(region).map_or(Ok(()), |at| act(self, at))
    }

    fn is_full(&self) -> bool {
        self.world.spaces.iter().map(|(_, regions)| regions.len()).sum::<usize>() >= MOST_REGIONS
    }

    fn map(
        &mut self,
        space: usize,
        pages: usize,
        around: u8,
        populated: bool,
        rights: Rights,
    ) -> Result {
        if self.is_full() {
            return Ok(());
        }
        let backing = Backing::OnDemand { around };
        let backing = if populated { Backing::Explicit } else { backing };
        let options = RegionOptions::new(pages).guarded(1, 1).rights(rights).backed(backing);
        let into = self.world.spaces[space].0;
        let id = match populated {
            true => self.host.vmm.map(into, &options)?,
            false => self.host.vmm.reserve(into, &options)?,
        };
        let filled = if populated { 0..pages } else { 0..0 };
        self.world.spaces[space].1.push(Region {
            id,
            first: id.start().bits() + PAGE,
            len: pages,
            rights,
            backing,
            pages: filled.map(|page| (page, Page { tag: 0, rights })).collect(),
        });
        Ok(())
    }

    fn clone_region(&mut self, at: (usize, usize), into: usize) -> Result<Option<RegionId>> {
        if self.is_full() {
            return Ok(None);
        }
        let original = self.world.region(at).clone();
        let space = self.world.spaces[into].0;
        let id = self.host.vmm.clone_region(original.id, space, &RegionOptions::new(1))?;
        let first = id.start().bits() + PAGE;
        self.world.spaces[into].1.push(Region { id, first, ..original });
        Ok(Some(id))
    }

    fn clone_space(&mut self, space: usize) -> Result {
        let (id, regions) = self.world.spaces[space].clone();
        if self.world.spaces.len() >= MOST_SPACES || self.is_full() {
            return Ok(());
        }
        let clone = match self.host.vmm.clone_space(id) {
            // What lies in our own space beside the program's image has no room anywhere else.
            Err(Error::Overlap { .. }) if id == self.host.own() => return Ok(()),
            clone => clone?,
        };
        let at = |region: &Region| {
            let found = self.host.vmm.region_at(clone, region.first).expect("a space");
            found.expect("it was cloned").id
        };
        let regions =
            regions.iter().map(|region| Region { id: at(region), ..region.clone() }).collect();
        self.world.spaces.push((clone, regions));
        Ok(())
    }

    fn touch(&mut self, at: (usize, usize), page: usize, access: usize) -> Result {
        let access = [Access::Write, Access::Write, Access::Read][access % 3];
        let (space, tag) = (self.world.spaces[at.0].0, self.next_tag);
        let region = self.world.region(at);
        let page = page % region.len;
        let (address, mut after) = (region.address(page), region.clone());
        let gets_on = after.touch(page, access, tag);
        // Short of memory, fewer pages may be mapped than could be; the reference follows.
        let touched = touch(&mut self.host, space, address, access, tag)?;
        assert_eq!(touched.done, gets_on, "{touched:?} {access:?} {page} of {after:?}");
        let host = &self.host;
        after.pages.retain(|&other, _| {
            let asked = other == page || self.world.spaces[at.0].1[at.1].pages.contains_key(&other);
            asked || host.vmm.mapping_at(space, after.first + other * PAGE) != Ok(None)
        });
        *self.world.region(at) = after;
        self.next_tag += 1;
        Ok(())
    }

    fn range(&mut self, at: (usize, usize), page: usize, pages: usize) -> (usize, usize, usize) {
        let region = self.world.region(at);
        let page = page % region.len;
        let pages = pages.min(region.len - page);
        (page, pages, region.address(page))
    }

    fn unmap(&mut self, at: (usize, usize), page: usize, pages: usize) -> Result {
        let (page, pages, start) = self.range(at, page, pages);
        let space = self.world.spaces[at.0].0;
        let result = self.host.vmm.unmap(space, start, pages);
        let region = self.world.region(at);
        let hole = (page..page + pages).find(|page| !region.pages.contains_key(page));
        if let Some(hole) = hole {
            assert_eq!(result, Err(Error::NotMapped { address: region.address(hole) }));
            return Ok(());
        }
        let done = match result {
            Err(Error::Kernel { done, .. }) => done,
            Err(error) => return Err(error),
            Ok(()) => pages,
        };
        region.pages.retain(|other, _| !(page..page + done).contains(other));
        // The rest is another step's business.
        Ok(())
    }

    fn protect(&mut self, at: (usize, usize), page: usize, pages: usize, rights: Rights) -> Result {
        let (page, pages, start) = self.range(at, page, pages);
        let space = self.world.spaces[at.0].0;
        let result = self.host.vmm.protect(space, start, pages, rights);
        let region = self.world.region(at);
        if (page..page + pages).any(|page| !region.pages.contains_key(&page)) {
            assert!(matches!(result, Err(Error::NotMapped { .. })), "{result:?}");
            return Ok(());
        }
        let done = match result {
            Err(Error::Kernel { done, .. }) => done,
            Err(error) => return Err(error),
            Ok(()) => pages,
        };
        for (_, changed) in region.pages.range_mut(page..page + done) {
            changed.rights = rights;
        }
        Ok(())
    }

    fn release(&mut self, at: (usize, usize)) -> Result {
        let id = self.world.region(at).id;
        match self.host.vmm.release(id) {
            Ok(()) => {
                self.world.spaces[at.0].1.remove(at.1);
                Ok(())
            }
            Err(error) => {
                self.forget_unmapped();
                Err(error)
            }
        }
    }

    fn destroy(&mut self, space: usize) -> Result {
        let id = self.world.spaces[space].0;
        if id == self.host.own() {
            return Ok(());
        }
        match self.host.vmm.destroy_space(id) {
            Ok(()) => {
                self.world.spaces.remove(space);
                Ok(())
            }
            Err(error) => {
                self.forget_unmapped();
                Err(error)
            }
        }
    }

    /// A release or an end that was refused in its midst says what is left by what is recorded.
    fn forget_unmapped(&mut self) {
        let vmm = &self.host.vmm;
        for (space, regions) in &mut self.world.spaces {
            for region in regions {
                let first = region.first;
                let recorded =
                    |page: &usize| vmm.mapping_at(*space, first + page * PAGE) != Ok(None);
                region.pages.retain(|page, _| recorded(page));
            }
        }
    }
}

fn is_short(error: &Error) -> bool {
    error.blame() == vmm::Blame::Resource
}
