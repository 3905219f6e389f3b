// SPDX-License-Identifier: BSD-2-Clause
//! What must hold of the model itself, whatever was invoked.

use std::collections::{HashMap, HashSet};

use untyped_alloc::CPtr;

use super::kernel::ModelKernel;
use super::state::arch::mask;
use super::state::cap::Cap;
use super::state::objects::ObjectKind;
use super::state::slots::SlotId;
use super::state::tables::Entry;

/// An entry of a paging structure that leads to memory that is no longer what it was mapped as.
///
/// seL4 5.0.0 lets user space make these, by deleting a mapped copy of a frame's capability before
/// the others, or remapping a frame whose table was unmapped. A memory manager must never.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dangling {
    /// The table with the entry.
    pub table: usize,
    /// Which entry.
    pub index: usize,
    /// Where it leads.
    pub paddr: usize,
}

impl ModelKernel<'_> {
    /// How many objects of `kind` are alive, those of the boot included. Linear: for tests' ends.
    pub fn live(&self, kind: ObjectKind) -> usize {
        self.objects.iter().filter(|(_, object)| object.kind == kind).count()
    }

    /// How many destroyed CNodes and threads still have slots that were not emptied.
    pub fn zombies(&self) -> usize {
        let caps = self.slots.occupied().map(|(_, slot)| slot.cap);
        caps.filter(|cap| matches!(cap, Cap::Zombie { .. })).count()
    }

    /// Asserts that the model is sound: the derivation list is well formed and agrees with what
    /// memory lies within what, watermarks lie above all children, objects have capabilities and
    /// capabilities have objects, ASIDs name VSpaces.
    ///
    /// # Panics
    /// When it is not. Takes time proportional to all capabilities.
    pub fn check(&self) {
        self.check_links();
        self.check_descendants();
        self.check_objects();
        self.check_places();
        for (asid, root) in self.asids.iter() {
            let object = self.objects.get(root);
            let alive = object.is_some_and(|object| object.kind == ObjectKind::Table);
            assert!(alive, "ASID {asid} names {root:#x}, where no table is");
        }
    }

    /// [`check`](Self::check), and that a well-behaved manager is at work: nothing dangles, every
    /// mapping is remembered by a capability, and book-keeping is still mapped where it was
    /// adopted.
    ///
    /// # Panics
    /// When it is not so.
    pub fn check_manager(&self) {
        self.check();
        assert_eq!(self.dangling(), [], "entries that lead nowhere");
        assert_eq!(self.forgotten(), [], "mappings that no capability remembers");
        assert!(self.adopted_in_place(), "adopted book-keeping is no longer mapped");
    }

    fn check_links(&self) {
        for (id, slot) in self.slots.occupied() {
            if let Some(next) = slot.next {
                assert_eq!(self.slots.get(next).prev, Some(id), "{next:?} does not know {id:?}");
            }
            if let Some(prev) = slot.prev {
                assert_eq!(self.slots.get(prev).next, Some(id), "{prev:?} does not know {id:?}");
                assert!(!self.cap_in(prev).is_null(), "{prev:?} is empty and in the list");
            }
        }
    }

    /// Whether a capability descends from the one at `cptr` in the caller's CSpace.
    pub fn has_derived(&self, cptr: CPtr) -> bool {
        self.slot_of(cptr).is_some_and(|slot| self.child(slot).is_some())
    }

    /// The slots whose capabilities descend from the one in `slot`.
    fn descendants(&self, slot: SlotId) -> Vec<SlotId> {
        let mut found = Vec::new();
        let mut at = self.slots.get(slot).next;
        while let Some(next) = at.filter(|&next| self.is_parent(slot, next)) {
            found.push(next);
            at = self.slots.get(next).next;
        }
        found
    }

    /// Every capability to memory within an untyped descends from it, and lies below its
    /// watermark. Ancestors' capabilities to the same memory are the exception.
    fn check_descendants(&self) {
        let mut by_address: Vec<_> = self
            .slots
            .occupied()
            .filter_map(|(id, slot)| Some((slot.cap.memory(&self.arch)?, id)))
            .collect();
        by_address.sort();
        for (id, slot) in self.slots.occupied() {
            let Cap::Untyped { base, size_bits, used, .. } = slot.cap else {
                continue;
            };
            let last = base | mask(size_bits);
            let below: HashSet<SlotId> = self.descendants(id).into_iter().collect();
            let from = by_address.partition_point(|&((at, _), _)| at < base);
            let inside = by_address[from..].iter().take_while(|&&((at, _), _)| at <= last);
            for &((at, bits), other) in inside {
                let same_memory = (at, bits) == (base, size_bits);
                let larger = bits > size_bits;
                if other == id || larger || same_memory && !below.contains(&other) {
                    continue;
                }
                assert!(below.contains(&other), "{other:?} is in {id:?} and not below it");
                let top = at - base + (1 << bits);
                assert!(
                    top <= used,
                    "{other:?} ends {top:#x} bytes into {base:#x}, above {used:#x}"
                );
            }
        }
    }

    fn check_objects(&self) {
        let mut seen: HashSet<usize> = HashSet::new();
        let mut zombies: HashMap<usize, SlotId> = HashMap::new();
        for (id, slot) in self.slots.occupied() {
            let (Some(kind), Some((base, bits))) =
                (slot.cap.object_kind(), slot.cap.memory(&self.arch))
            else {
                continue;
            };
            let object = self.objects.get(base);
            let object = object.unwrap_or_else(|| panic!("{id:?}: no object for {:?}", slot.cap));
            assert_eq!((object.kind, object.size_bits), (kind, bits), "{id:?}: {:?}", slot.cap);
            if let Cap::Zombie { .. } = slot.cap {
                assert_eq!(zombies.insert(base, id), None, "two zombies of {base:#x}");
            }
            seen.insert(base);
        }
        for (base, object) in self.objects.iter() {
            assert!(seen.contains(&base), "no capability to {object:?} at {base:#x}");
            let thread = object.kind == ObjectKind::Tcb;
            assert_eq!(thread, self.tcbs.contains_key(&base), "{base:#x}: {object:?}");
        }
    }

    /// Where capabilities remember to be mapped is a place that exists.
    fn check_places(&self) {
        for (id, slot) in self.slots.occupied() {
            let (mapped, bits) = match slot.cap {
                Cap::Frame { mapped: Some(place), size_bits, .. } => (place, size_bits),
                Cap::Table { mapped: Some(place), level, .. } if level > 0 => {
                    (place, self.arch.shifts[usize::from(level) - 1])
                }
                _ => continue,
            };
            assert!(mapped.asid != 0, "{id:?} is mapped under no ASID");
            assert!(mapped.vaddr.is_multiple_of(1 << bits), "{id:?} is mapped out of line");
        }
    }

    /// Entries that lead to memory that is no longer a frame, or a frame of another size.
    pub fn dangling(&self) -> Vec<Dangling> {
        let mut found = Vec::new();
        for (table, index, entry) in self.tables.iter() {
            let (paddr, kind) = match entry {
                Entry::Page { paddr, .. } => (paddr, ObjectKind::Frame),
                Entry::Table(paddr) if self.objects.get(table).is_some() => {
                    (paddr, ObjectKind::Table)
                }
                _ => continue,
            };
            if self.objects.get(paddr).is_none_or(|object| object.kind != kind) {
                found.push(Dangling { table, index, paddr });
            }
        }
        found
    }

    /// Mappings in live VSpaces that no capability remembers: ASID and virtual address.
    pub fn forgotten(&self) -> Vec<(usize, usize)> {
        let mut remembered = HashSet::new();
        for (_, slot) in self.slots.occupied() {
            if let Cap::Frame { base, mapped: Some(place), .. } = slot.cap {
                remembered.insert((place.asid, place.vaddr, base));
            }
        }
        let mut found = Vec::new();
        for (asid, root) in self.asids.iter() {
            for (vaddr, mapping) in self.mappings_of(root) {
                if !remembered.contains(&(asid, vaddr, mapping.paddr)) {
                    found.push((asid, vaddr));
                }
            }
        }
        found
    }
}
