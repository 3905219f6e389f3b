// SPDX-License-Identifier: BSD-2-Clause
//! Regions and pages: mapped, unmapped, protected, split, moved; devices and frames of a caller's.

use untyped_alloc::Rights;
use vmm::{
    Access, Backing, Blueprint, PageFault, PageSize, Pages, Placement, RegionOptions, ShareOptions,
};

use super::super::scenario::{Leaves, Scenario, Things, resume};
use super::super::setup::{a_space, dirty_frames, edge, large_page, nothing, ten_pages};
use crate::support::{Fixture, PAGE};

/// Ten pages, around a line between two page tables, reserved.
fn reserved(host: &mut Fixture<'_>) -> Things {
    let options = RegionOptions::new(10).at(edge(host.target()));
    let region = host.vmm.reserve(host.vmm.own_space(), &options).expect("room");
    Things { region: Some(region), ..Things::default() }
}

/// Where memory grows that is appended to.
const GROWING: usize = 0x5000_0000;

/// Four of sixteen pages, the others of which are mapped when they are touched, four by a fault.
fn growing(host: &mut Fixture<'_>) -> Things {
    let options = RegionOptions::new(16).at(GROWING).backed(Backing::OnDemand { around: 4 });
    let region = host.vmm.reserve(host.own(), &options).expect("room");
    host.vmm.populate(host.own(), Pages::at(GROWING).count(4)).expect("memory");
    Things { region: Some(region), ..Things::default() }
}

/// Small pages, as many as a large one has.
fn as_many_as_a_large_page(host: &mut Fixture<'_>) -> Things {
    let options = RegionOptions::new(1 << (host.target().large_bits() - 12)).at(0x6000_0000);
    let region = host.vmm.map(host.own(), &options).expect("memory");
    Things { region: Some(region), ..Things::default() }
}

pub const MAPPING: &[Scenario] = &[
    Scenario {
        name: "append pages",
        leaves: Leaves::Nothing,
        setup: growing,
        request: |host, _| {
            host.vmm.populate(host.vmm.own_space(), Pages::at(GROWING + 4 * PAGE).count(5))
        },
    },
    Scenario {
        name: "append the pages around a touch",
        leaves: Leaves::Nothing,
        setup: growing,
        request: |host, _| {
            let address = GROWING + 4 * PAGE + 8;
            let fault = PageFault { address, access: Access::Write, present: false, ip: 0 };
            host.vmm.resolve_fault(host.vmm.own_space(), &fault).map(drop)
        },
    },
    Scenario {
        name: "map over the edge of a page table",
        leaves: Leaves::Nothing,
        setup: nothing,
        request: |host, _| {
            let options = RegionOptions::new(10).at(edge(host.target())).guarded(1, 1);
            host.vmm.map(host.vmm.own_space(), &options).map(drop)
        },
    },
    Scenario {
        name: "map frames that were used",
        leaves: Leaves::Nothing,
        setup: dirty_frames,
        request: |host, _| {
            host.vmm.map(host.vmm.own_space(), &RegionOptions::new(12).at(0x5000_0000)).map(drop)
        },
    },
    Scenario {
        name: "map in another space",
        leaves: Leaves::Nothing,
        setup: a_space,
        request: |host, things| {
            let options = RegionOptions::new(10).at(edge(host.target()));
            host.vmm.map(things.space(), &options).map(drop)
        },
    },
    Scenario {
        name: "populate the middle",
        leaves: Leaves::Nothing,
        setup: reserved,
        request: |host, _| {
            host.vmm
                .populate(host.vmm.own_space(), Pages::at(edge(host.target()) + 2 * PAGE).count(6))
        },
    },
    Scenario {
        name: "map a large page",
        leaves: Leaves::Nothing,
        setup: nothing,
        request: |host, _| {
            let bits = host.target().large_bits();
            let options = RegionOptions::new(1 << (bits - 12)).at(0x6000_0000);
            let options = options.page_size(PageSize::Large { bits });
            host.vmm.map(host.vmm.own_space(), &options).map(drop)
        },
    },
    Scenario {
        name: "promote small pages to a large page",
        leaves: Leaves::Nothing,
        setup: as_many_as_a_large_page,
        request: |host, _| {
            let count = 1 << (host.target().large_bits() - 12);
            let made =
                host.vmm.promote(host.vmm.own_space(), Pages::at(0x6000_0000).count(count))?;
            assert_eq!(made, 1);
            Ok(())
        },
    },
    Scenario {
        name: "unmap the middle",
        leaves: Leaves::Progress,
        setup: ten_pages,
        request: |host, things| {
            let from = edge(host.target()) + (2 + things.done) * PAGE;
            let outcome =
                host.vmm.unmap(host.vmm.own_space(), Pages::at(from).count(6 - things.done));
            resume(things, outcome)
        },
    },
    Scenario {
        name: "pages with contents, over a table's line",
        leaves: Leaves::Nothing,
        setup: reserved,
        request: |host, _| {
            let from = edge(host.target()) + PAGE - 100;
            host.vmm.populate_from(host.vmm.own_space(), from, &[7; 3 * PAGE])
        },
    },
    Scenario {
        name: "decommit the middle, with holes",
        leaves: Leaves::Progress,
        setup: ten_pages,
        request: |host, _| {
            let from = edge(host.target()) + 2 * PAGE;
            host.vmm.decommit(host.vmm.own_space(), Pages::at(from).count(6))
        },
    },
    Scenario {
        name: "unmap part of a large page",
        leaves: Leaves::Progress,
        setup: large_page,
        request: |host, things| {
            let from = 0x6000_0000 + (2 + things.done) * PAGE;
            let outcome =
                host.vmm.unmap(host.vmm.own_space(), Pages::at(from).count(3 - things.done));
            resume(things, outcome)
        },
    },
    Scenario {
        name: "protect the middle",
        leaves: Leaves::Progress,
        setup: ten_pages,
        request: |host, _| {
            let from = edge(host.target()) + 2 * PAGE;
            host.vmm.protect(host.vmm.own_space(), Pages::at(from).count(6), Rights::READ)
        },
    },
    Scenario {
        name: "protect part of a large page",
        leaves: Leaves::Progress,
        setup: large_page,
        request: |host, _| {
            host.vmm.protect(
                host.vmm.own_space(),
                Pages::at(0x6000_0000 + 2 * PAGE).count(3),
                Rights::READ,
            )
        },
    },
    Scenario {
        name: "release a region",
        leaves: Leaves::Progress,
        setup: ten_pages,
        request: |host, things| host.vmm.release(things.region()),
    },
    Scenario {
        name: "split a region",
        leaves: Leaves::Nothing,
        setup: ten_pages,
        request: |host, things| host.vmm.split_region(things.region(), 3).map(drop),
    },
    Scenario {
        name: "split a region in the midst of a large page",
        leaves: Leaves::Nothing,
        setup: large_page,
        request: |host, things| host.vmm.split_region(things.region(), 3).map(drop),
    },
    Scenario {
        name: "move a region",
        leaves: Leaves::Nothing,
        setup: ten_pages,
        request: |host, things| {
            host.vmm.move_region(things.region(), Placement::at(0x5000_0000)).map(drop)
        },
    },
    Scenario {
        name: "map a device",
        leaves: Leaves::Nothing,
        setup: nothing,
        request: |host, _| {
            let options = RegionOptions::new(3).at(0x5000_0000);
            let paddr = host.machine.device() + PAGE;
            host.vmm.map_physical(host.vmm.own_space(), paddr, &options).map(drop)
        },
    },
    Scenario {
        name: "unmap a device",
        leaves: Leaves::Progress,
        setup: |host| {
            let (own, options) = (host.own(), RegionOptions::new(3).at(0x5000_0000));
            let paddr = host.machine.device() + PAGE;
            let region = host.vmm.map_physical(own, paddr, &options).expect("a device");
            Things { region: Some(region), ..Things::default() }
        },
        request: |host, things| host.vmm.release(things.region()),
    },
    Scenario {
        name: "map a device into a region",
        leaves: Leaves::Nothing,
        setup: reserved,
        request: |host, things| {
            let paddr = host.machine.device() + 5 * PAGE;
            host.vmm.map_physical_into(things.region(), 2, paddr, 7)
        },
    },
    Scenario {
        name: "share a device",
        leaves: Leaves::Nothing,
        setup: |host| {
            let (own, options) = (host.own(), RegionOptions::new(3).at(0x5000_0000));
            let paddr = host.machine.device() + PAGE;
            let region = host.vmm.map_physical(own, paddr, &options).expect("a device");
            Things { region: Some(region), ..a_space(host) }
        },
        request: |host, things| {
            let (own, pages) = (host.vmm.own_space(), Pages::at(0x5000_0000).count(3));
            host.vmm.share(own, pages, things.space(), &ShareOptions::new()).map(drop)
        },
    },
    Scenario {
        name: "leave a device to whom it was shared with",
        leaves: Leaves::Progress,
        setup: |host| {
            let (own, options) = (host.own(), RegionOptions::new(3).at(0x5000_0000));
            let paddr = host.machine.device() + PAGE;
            let region = host.vmm.map_physical(own, paddr, &options).expect("a device");
            let (pages, shared) = (Pages::at(0x5000_0000 + PAGE), ShareOptions::new());
            host.vmm.share(own, pages, own, &shared.at(0x6000_0000)).expect("room");
            Things { region: Some(region), ..Things::default() }
        },
        request: |host, things| host.vmm.release(things.region()),
    },
    Scenario {
        name: "unmap a device that its owner has left",
        leaves: Leaves::Progress,
        setup: |host| {
            let (own, options) = (host.own(), RegionOptions::new(3).at(0x5000_0000));
            let paddr = host.machine.device() + PAGE;
            let region = host.vmm.map_physical(own, paddr, &options).expect("a device");
            let (pages, shared) = (Pages::at(0x5000_0000).count(3), ShareOptions::new());
            let view = host.vmm.share(own, pages, own, &shared.at(0x6000_0000)).expect("room");
            host.vmm.release(region).expect("a region");
            Things { region: Some(view), ..Things::default() }
        },
        request: |host, things| host.vmm.release(things.region()),
    },
    Scenario {
        name: "map frames of the caller's",
        leaves: Leaves::Nothing,
        setup: |host| {
            let frame = Blueprint::Frame { size_bits: 12 };
            let frames = host.vmm.allocate_many(frame, 8).expect("memory");
            Things { objects: Some(frames), ..Things::default() }
        },
        request: |host, things| {
            let options = RegionOptions::new(8).at(edge(host.target()));
            let frames = things.objects.expect("set up");
            host.vmm.map_objects(host.vmm.own_space(), frames, &options).map(drop)
        },
    },
    Scenario {
        name: "unmap a page amid a caller's",
        leaves: Leaves::Progress,
        setup: |host| {
            let frames = host.vmm.allocate_many(Blueprint::Frame { size_bits: 12 }, 8);
            let frames = frames.expect("memory");
            let (own, options) = (host.own(), RegionOptions::new(8).at(0x5000_0000));
            host.vmm.map_objects(own, frames, &options).expect("memory");
            Things { objects: Some(frames), ..Things::default() }
        },
        request: |host, _| host.vmm.unmap(host.vmm.own_space(), Pages::at(0x5000_0000 + 3 * PAGE)),
    },
];
