// SPDX-License-Identifier: BSD-2-Clause
//! A manager on a model kernel.

use std::cell::RefMut;
use std::collections::{BTreeMap, HashSet};
use std::hash::{Hash, Hasher};
use std::ops::Range;

use crate::model::{Arena, Cap, Mapping, ModelKernel, SharedModel};
use untyped_alloc::kernel::Rights;
use untyped_alloc::{Blueprint, CachePolicy, CapPath, ObjectState};
use vmm::{SpaceId, Usage, Vmm};

use super::boot::BootParts;
use super::machine::{Machine, PAGE, Target};

/// The manager on the model kernel.
pub type Manager<'a> = Vmm<'a, SharedModel<'a>>;

/// A manager, and the model kernel below it for looking at what is really so.
pub struct Fixture<'a> {
    /// The manager.
    pub vmm: Manager<'a>,
    /// What it was booted on.
    pub machine: Machine,
    /// The spaces there are; tests that make and destroy some keep this up to date.
    pub spaces: Vec<SpaceId>,
}

impl Fixture<'static> {
    /// A manager on this machine. Its arena is never freed.
    pub fn new(machine: Machine) -> Fixture<'static> {
        Fixture::boot(Box::leak(Box::new(Arena::new())), machine)
    }

    /// A manager on a machine where nothing runs out.
    pub fn roomy(target: Target) -> Fixture<'static> {
        Fixture::new(Machine::roomy(target))
    }

    /// A manager on a machine of 1 MiB.
    pub fn small(target: Target) -> Fixture<'static> {
        Fixture::new(Machine::small(target))
    }
}

/// A manager on a model kernel of IA32 with 32 MiB: what the examples in the documentation of `vmm`
/// have in the place of `vmm::sel4::start`.
pub fn manager() -> Manager<'static> {
    Fixture::roomy(Target::Ia32).vmm
}

impl<'a> Fixture<'a> {
    /// Boots the machine and starts a manager on it.
    pub fn boot(arena: &'a Arena, machine: Machine) -> Fixture<'a> {
        let kernel = ModelKernel::boot(arena, &machine.config);
        let parts = BootParts::of(&kernel, machine.pool_pages);
        let model = SharedModel::new(kernel);
        let vmm = Vmm::new(model, machine.target.architecture(), &parts.info());
        let mut vmm = vmm.expect("the manager starts");
        vmm.limit_clearing(machine.most_cleared);
        vmm.kernel().get().bound_calls(machine.bound());
        if machine.direct_map {
            vmm.make_direct_map().expect("there are addresses and memory");
        }
        let spaces = vec![vmm.own_space()];
        Fixture { vmm, machine, spaces }
    }

    /// The manager's own space.
    pub fn own(&self) -> SpaceId {
        self.vmm.own_space()
    }

    /// The architecture.
    pub fn target(&self) -> Target {
        self.machine.target
    }

    /// The model kernel. Do not hold it across a request.
    pub fn kernel(&self) -> RefMut<'_, ModelKernel<'a>> {
        self.vmm.kernel().get()
    }

    /// Whether all that must always hold does: of the manager, of the kernel, and of both together.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn check(&self) {
        if let Err(violation) = self.vmm.validate() {
            panic!("{violation:?}");
        }
        self.kernel().check_manager();
        assert_eq!(self.kernel().misleading_translations().next(), None, "the TLB is behind");
        let stats = self.vmm.stats();
        assert_eq!(stats.allocator.total_bytes, self.machine.ram_bytes(), "RAM is lost");
        self.check_direct_map(stats.direct_map_frames);
        self.check_kept();
        self.check_stores(stats.spaces);
        self.check_copied();
    }

    /// I61: what counts as copied by a promotion is mapped nowhere, and holds what its copy does.
    #[track_caller]
    fn check_copied(&self) {
        for (space, at, copy) in self.vmm.copied_pages() {
            // Who took it away, or the whole space, was not asked to wait.
            let Ok(Some(page)) = self.vmm.mapping_at(space, at) else { continue };
            let vspace = self.vmm.vspace(space).expect("a space");
            assert_eq!(self.kernel().mapping(vspace, at), None, "{at:#x} is copied, and mapped");
            if page.size_bits == 12 {
                let (mut now, mut then) = ([0; PAGE], [0; PAGE]);
                let own = self.vmm.vspace(self.own()).expect("a space");
                assert!(self.kernel().read_frame(page.frame, &mut now), "{at:#x} has no frame");
                self.kernel().read(own, copy, &mut then).expect("the large frame is mapped");
                assert_eq!(now, then, "{at:#x} was changed since it was copied");
            }
        }
    }

    /// I47: in a store nothing is mapped.
    #[track_caller]
    fn check_stores(&self, spaces: usize) {
        let all = (0..1 << 16).filter_map(|number| self.vmm.space_with_number(number).ok());
        for space in all.take(spaces).filter(|&space| self.vmm.is_store(space) == Ok(true)) {
            let vspace = self.vmm.vspace(space).expect("a space");
            assert!(self.kernel().mappings(vspace).is_empty(), "{space:?} is a store");
        }
    }

    /// I33: there is no capability in a CNode that is kept for whoever wants one next, and none is
    /// derived from its own.
    #[track_caller]
    pub fn check_kept(&self) {
        for block in self.vmm.allocator().inventory() {
            let Usage::Objects(batch) = block.usage else { continue };
            let Blueprint::CNode { radix_bits } = batch.blueprint else { continue };
            let Some((slot, ObjectState::Ready { .. })) = batch.object(0) else { continue };
            let kernel = self.kernel();
            for index in 0..1 << radix_bits {
                let path = CapPath { root: slot, index, depth: radix_bits };
                assert_eq!(kernel.cap_at(path), Some(Cap::Null), "slot {index} of {slot:?}");
            }
            assert!(!kernel.has_derived(slot), "somebody has {slot:?}");
        }
    }

    /// I23: each frame in the direct map is at its place, and there are so many.
    #[track_caller]
    fn check_direct_map(&self, frames: usize) {
        let direct = self.direct_map();
        let vspace = self.vmm.vspace(self.own()).expect("a space");
        let all = self.kernel().mappings(vspace).into_iter();
        let there: Vec<_> = all.filter(|(at, _)| direct.contains(at)).collect();
        assert_eq!(there.len(), frames, "frames in the direct map are counted");
        let lowest = self.machine.config.ram.iter().map(|&(paddr, _)| paddr).min();
        let span = 1 << self.target().large_bits();
        let first = lowest.map_or(0, |paddr| paddr / span * span);
        for (at, mapping) in there {
            assert_eq!(at - direct.start, mapping.paddr - first, "{at:#x} is its place");
            let cached = mapping.cache == CachePolicy::WriteBack;
            assert!(cached && mapping.rights == Rights::READ_WRITE, "{at:#x}: {mapping:?}");
        }
    }

    /// What is mapped in a space beyond what was mapped at boot, as the hardware sees it, and
    /// beyond the direct map.
    pub fn mappings(&self, space: SpaceId) -> BTreeMap<usize, Mapping> {
        let vspace = self.vmm.vspace(space).expect("a space");
        let kernel = self.kernel();
        let facts = kernel.facts();
        let boot = facts.image.start..facts.boot_info + 2 * PAGE;
        let own = vspace == facts.vspace;
        let direct = self.direct_map();
        let found = kernel.mappings(vspace).into_iter();
        let there = |vaddr: &usize| boot.contains(vaddr) || direct.contains(vaddr);
        found.filter(|(vaddr, _)| !(own && there(vaddr))).collect()
    }

    /// The addresses of the direct map; none without one.
    pub fn direct_map(&self) -> Range<usize> {
        let mut at = 0;
        while let Some(region) = self.vmm.next_region(self.own(), at).expect("the own space") {
            if region.name.as_str() == "direct map" {
                return region.range.start().bits()..region.range.end();
            }
            at = region.range.end();
        }
        0..0
    }

    /// Every physical page that is mapped in `spaces` is mapped once.
    #[track_caller]
    pub fn assert_no_frame_twice(&self, spaces: &[SpaceId]) {
        let mut seen = HashSet::new();
        for &space in spaces {
            for (vaddr, mapping) in self.mappings(space) {
                for at in (0..1usize << mapping.size_bits).step_by(PAGE) {
                    let paddr = mapping.paddr + at;
                    assert!(seen.insert(paddr), "{paddr:#x} at {vaddr:#x} is mapped elsewhere too");
                }
            }
        }
    }

    /// Fills a page with a tag, as a thread in the space would.
    #[track_caller]
    pub fn write(&self, space: SpaceId, vaddr: usize, tag: u64) {
        let vspace = self.vmm.vspace(space).expect("a space");
        let words = tag.to_le_bytes().repeat(PAGE / 8);
        self.kernel().write(vspace, vaddr, &words).expect("the page can be written");
    }

    /// The tag a page is filled with; 0 for a clear one.
    #[track_caller]
    pub fn read(&self, space: SpaceId, vaddr: usize) -> u64 {
        let words = self.words(space, vaddr);
        assert!(words.iter().all(|&word| word == words[0]), "{vaddr:#x} is torn");
        words[0]
    }

    /// All a page holds, word by word.
    #[track_caller]
    pub fn words(&self, space: SpaceId, vaddr: usize) -> Vec<u64> {
        let vspace = self.vmm.vspace(space).expect("a space");
        let mut page = [0; PAGE];
        self.kernel().read(vspace, vaddr, &mut page).expect("the page can be read");
        page.chunks(8).map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes"))).collect()
    }

    /// A number that tells contents of a page apart.
    pub fn digest(&self, space: SpaceId, vaddr: usize) -> u64 {
        let mix = |sum: u64, word: &u64| sum.wrapping_mul(0x0100_0000_01b3).wrapping_add(*word);
        self.words(space, vaddr).iter().fold(0, mix)
    }

    /// Hashes what can be seen of manager and kernel, but for ids, serial numbers and counters that
    /// only grow.
    pub fn fingerprint(&self, hash: &mut impl Hasher) {
        let mut text = String::new();
        for &space in &self.spaces {
            let first = text.len();
            self.vmm.dump(space, &mut text).expect("a string takes it");
            // Its number.
            let line = text[first..].find('\n').expect("a first line");
            text.drain(first..first + line);
            let stats = self.vmm.space_stats(space).expect("a space");
            (stats.extents, stats.tables, stats.empty_tables).hash(hash);
            for vaddr in self.mappings(space).into_keys() {
                let page = self.vmm.mapping_at(space, vaddr).expect("a space").expect("a page");
                (page.frame, page.rights.bits(), page.copy_on_write, page.source as u8).hash(hash);
            }
        }
        self.vmm.allocator().dump_untypeds(&mut text).expect("a string takes it");
        self.vmm.allocator().dump_slots(&mut text).expect("a string takes it");
        let stats = self.vmm.stats();
        (stats.bookkeeping_bytes_used, stats.quarantined, stats.kept_tables).hash(hash);
        (text, self.kernel().fingerprint()).hash(hash);
    }
}
