//! Threads that fault until they get on, and a plain reference of what they see.

use std::collections::BTreeMap;

use untyped_alloc::Rights;
use vmm::{Access, Backing, FaultClass, PageFault, RegionId, Resolution, Result, SpaceId};
use vmm_tests::model::AccessFault;

use crate::support::{Fixture, PAGE};

/// What happened to a thread that touched an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Touched {
    /// Faults that were resolved before it got on.
    pub faults: usize,
    /// The class of the last one.
    pub class: Option<FaultClass>,
    /// Whether it got on.
    pub done: bool,
}

/// The fault that the machine raises where `access` was refused with `fault`.
pub fn page_fault(address: usize, access: Access, fault: AccessFault) -> PageFault {
    let present = match fault {
        AccessFault::NotMapped { .. } => false,
        AccessFault::Rights { .. } => true,
        other => panic!("{address:#x}: {other:?}"),
    };
    PageFault { address, access, present, ip: 0x804_8000 }
}

/// Tries an access, as a thread in the space; says which fault it has.
pub fn try_access(
    host: &Fixture<'_>,
    space: SpaceId,
    address: usize,
    access: Access,
    tag: u64,
) -> Option<PageFault> {
    let vspace = host.vmm.vspace(space).expect("a space");
    let tried = match access {
        Access::Write => {
            let words = tag.to_le_bytes().repeat(PAGE / 8);
            host.kernel().write(vspace, address & !(PAGE - 1), &words)
        }
        Access::Read | Access::Execute => host.kernel().read(vspace, address, &mut [0]),
    };
    tried.err().map(|fault| page_fault(address, access, fault))
}

/// A thread of the space touches an address, and repeats it after each fault that is resolved.
///
/// # Errors
/// What resolving meets.
pub fn touch(
    host: &mut Fixture<'_>,
    space: SpaceId,
    address: usize,
    access: Access,
    tag: u64,
) -> Result<Touched> {
    let mut touched = Touched { faults: 0, class: None, done: false };
    while let Some(fault) = try_access(host, space, address, access, tag) {
        assert!(touched.faults < 2, "{fault:x?} was resolved twice: {touched:?}");
        match host.vmm.resolve_fault(space, &fault)? {
            Resolution::Resolved(class) => touched.class = Some(class),
            Resolution::Unresolved(class) => {
                return Ok(Touched { class: Some(class), ..touched });
            }
            Resolution::AskPager { token, .. } => {
                return Ok(Touched { class: Some(FaultClass::Pager { token }), ..touched });
            }
        }
        touched.faults += 1;
    }
    Ok(Touched { done: true, ..touched })
}

/// A page as its owner sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    pub tag: u64,
    pub rights: Rights,
}

/// A region in the reference. Pages are numbered from its first usable one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Region {
    pub id: RegionId,
    pub first: usize,
    pub len: usize,
    pub rights: Rights,
    pub backing: Backing,
    pub pages: BTreeMap<usize, Page>,
}

impl Region {
    pub fn address(&self, page: usize) -> usize {
        self.first + page * PAGE
    }

    /// What a fault at `page` maps, beside nothing that is mapped: the pages around it.
    fn fill(&mut self, page: usize, around: usize) {
        let number = |page: usize| self.first / PAGE + page;
        let block = number(page) / around;
        let fresh =
            |other: usize| number(other) / around == block && !self.pages.contains_key(&other);
        let mut first = page;
        while first > 0 && fresh(first - 1) {
            first -= 1;
        }
        let last = (page..self.len).take_while(|&other| fresh(other)).last().expect("is fresh");
        let rights = self.rights;
        self.pages.extend((first..=last).map(|page| (page, Page { tag: 0, rights })));
    }

    /// What a thread's access does: whether it gets on.
    pub fn touch(&mut self, page: usize, access: Access, tag: u64) -> bool {
        let needed = if access == Access::Write { Rights::READ_WRITE } else { Rights::READ };
        if !self.pages.contains_key(&page) {
            match self.backing {
                Backing::OnDemand { around } if self.rights.contains(needed) => {
                    self.fill(page, usize::from(around));
                }
                _ => return false,
            }
        }
        let touched = self.pages.get_mut(&page).expect("is mapped now");
        if !touched.rights.contains(needed) {
            return false;
        }
        if access == Access::Write {
            touched.tag = tag;
        }
        true
    }
}

/// Spaces and what is in them.
#[derive(Clone, Default, Debug)]
pub struct World {
    pub spaces: Vec<(SpaceId, Vec<Region>)>,
}

impl World {
    /// Holds everything that is really mapped against the reference: which pages, with which
    /// contents and rights, and that what can be written is nobody else's.
    ///
    /// # Panics
    /// With the first difference.
    pub fn check(&self, host: &Fixture<'_>) {
        host.check();
        let mut users: BTreeMap<usize, usize> = BTreeMap::new();
        let all: Vec<_> =
            self.spaces.iter().map(|(space, _)| (*space, host.mappings(*space))).collect();
        for (_, mappings) in &all {
            for mapping in mappings.values() {
                *users.entry(mapping.paddr).or_default() += 1;
            }
        }
        for ((space, regions), (_, mappings)) in self.spaces.iter().zip(&all) {
            let mut left = mappings.clone();
            for region in regions {
                for (&page, expected) in &region.pages {
                    let address = region.address(page);
                    let mapping = left.remove(&address);
                    let mapping = mapping.unwrap_or_else(|| panic!("{space:?} lacks {address:#x}"));
                    if !expected.rights.contains(Rights::READ) {
                        continue;
                    }
                    assert_eq!(host.read(*space, address), expected.tag, "{space:?} {address:#x}");
                    let writable = mapping.rights.contains(Rights::WRITE);
                    assert!(expected.rights.contains(Rights::WRITE) || !writable, "{address:#x}");
                    assert!(!writable || users[&mapping.paddr] == 1, "{address:#x} is not alone");
                }
            }
            let own = *space == host.own();
            assert!(own || left.is_empty(), "{space:?} has more: {left:x?}");
        }
    }

    /// The number of a region's space and its own number there.
    pub fn pick(&self, number: usize) -> Option<(usize, usize)> {
        let all: Vec<_> = self
            .spaces
            .iter()
            .enumerate()
            .flat_map(|(space, (_, regions))| (0..regions.len()).map(move |region| (space, region)))
            .collect();
        (!all.is_empty()).then(|| all[number % all.len()])
    }

    pub fn region(&mut self, at: (usize, usize)) -> &mut Region {
        &mut self.spaces[at.0].1[at.1]
    }
}
