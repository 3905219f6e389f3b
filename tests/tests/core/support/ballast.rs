// SPDX-License-Identifier: BSD-2-Clause
//! What keeps a machine short: all memory, slots or nodes but n are taken away.

use vmm::{Blueprint, CPtr, Object, Pages, RegionId, RegionOptions, Rights};

use super::{Fixture, PAGE};

/// More than any request needs.
pub const ENOUGH: usize = 40;

/// What keeps the machine short.
#[derive(Default)]
pub struct Ballast {
    objects: Vec<Object>,
    slots: Vec<CPtr>,
    regions: Vec<RegionId>,
}

impl Ballast {
    /// Takes all memory but `left` pages, no two of which make a larger block.
    pub fn of_memory(host: &mut Fixture<'_>, left: usize) -> Ballast {
        let mut ballast = Ballast::default();
        let page = Blueprint::Untyped { size_bits: 12 };
        for _ in 0..2 * ENOUGH {
            ballast.objects.push(host.vmm.allocate(page).expect("a machine large enough"));
        }
        for size_bits in (4..25).rev() {
            let piece = Blueprint::Untyped { size_bits };
            while let Ok(object) = host.vmm.allocate(piece) {
                ballast.objects.push(object);
            }
        }
        for index in 0..left {
            // Every second of them: what remains between keeps them apart.
            host.vmm.free(ballast.objects.remove(index)).expect("an object");
        }
        ballast
    }

    /// Takes all memory, and all frames of batches that others have but `left`, which need not lie
    /// side by side.
    #[allow(dead_code)] // for the suite `objects`, which has this module too
    pub fn of_frames(host: &mut Fixture<'_>, left: usize) -> Ballast {
        let own = host.vmm.own_space();
        let one = RegionOptions::new(1);
        let single = |_| host.vmm.map(own, &one).expect("a machine large enough");
        let single: Vec<_> = (0..ENOUGH).map(single).collect();
        let mut ballast = Ballast::of_memory(host, 0);
        for bits in (0..9).rev() {
            while let Ok(region) = host.vmm.map(own, &RegionOptions::new(1 << bits)) {
                ballast.regions.push(region);
            }
        }
        for (index, region) in single.into_iter().enumerate() {
            match index < left {
                true => host.vmm.release(region).expect("a region"),
                false => ballast.regions.push(region),
            }
        }
        ballast
    }

    /// Takes all slots but `left`, and so much memory that the CSpace cannot grow.
    pub fn of_slots(host: &mut Fixture<'_>, left: usize) -> Ballast {
        let mut ballast = Ballast::of_memory(host, ENOUGH);
        while let Ok(slot) = host.vmm.alloc_slots(1) {
            ballast.slots.push(slot);
        }
        for slot in ballast.slots.split_off(ballast.slots.len() - left) {
            host.vmm.free_slots(slot, 1).expect("it was taken");
        }
        ballast
    }

    /// Takes all memory, and all nodes but `left`.
    pub fn of_nodes(host: &mut Fixture<'_>, left: usize) -> Ballast {
        let mut ballast = Ballast::of_memory(host, 0);
        let options = RegionOptions::new(1).within(0x7000_0000..0x7fff_f000);
        while let Ok(region) = host.vmm.reserve(host.vmm.own_space(), &options) {
            ballast.regions.push(region);
        }
        let first = ballast.regions.len().saturating_sub(left);
        for region in ballast.regions.split_off(first) {
            host.vmm.release(region).expect("a region");
        }
        ballast
    }

    /// Takes all memory, and all slots but `left`.
    #[allow(dead_code)] // as before
    pub fn of_all_slots(host: &mut Fixture<'_>, left: usize) -> Ballast {
        let mut ballast = Ballast::of_memory(host, 0);
        while let Ok(slot) = host.vmm.alloc_slots(1) {
            ballast.slots.push(slot);
        }
        for slot in ballast.slots.split_off(ballast.slots.len().saturating_sub(left)) {
            host.vmm.free_slots(slot, 1).expect("it was taken");
        }
        ballast
    }

    /// Takes all memory, all nodes of regions, and those of extents but for `left` pages amid others.
    #[allow(dead_code)] // as before
    pub fn of_extents(host: &mut Fixture<'_>, left: usize) -> Ballast {
        let (own, options) = (host.vmm.own_space(), RegionOptions::new(1024));
        let region = host.vmm.map(own, &options).expect("a machine large enough");
        let mut ballast = Ballast::of_nodes(host, 0);
        let page = |number: usize| Pages::at(region.start().bits() + (2 * number + 1) * PAGE);
        let protect = |host: &mut Fixture<'_>, number: usize, rights: Rights| {
            host.vmm.protect(own, page(number), rights)
        };
        let apart = (0..511).take_while(|&number| protect(host, number, Rights::READ).is_ok());
        let apart = apart.count();
        assert!(apart < 511, "no nodes are left");
        for number in apart.saturating_sub(left)..apart {
            protect(host, number, Rights::READ_WRITE).expect("nodes come back");
        }
        ballast.regions.push(region);
        ballast
    }

    /// The same with these objects, to be freed with it.
    #[allow(dead_code)] // as before
    pub fn and(mut self, objects: Vec<Object>) -> Ballast {
        self.objects.extend(objects);
        self
    }

    pub fn drop(self, host: &mut Fixture<'_>) {
        for region in self.regions {
            host.vmm.release(region).expect("a region");
        }
        for slot in self.slots {
            host.vmm.free_slots(slot, 1).expect("it was taken");
        }
        for object in self.objects {
            host.vmm.free(object).expect("an object");
        }
    }
}
