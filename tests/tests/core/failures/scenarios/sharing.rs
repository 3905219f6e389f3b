// SPDX-License-Identifier: BSD-2-Clause
//! Pages that several have: shared and cloned, and given back by either.

use untyped_alloc::Rights;
use vmm::{Pages, Placement, RegionOptions, ShareOptions};

use super::super::scenario::{Leaves, Scenario, Things};
use super::super::setup::{
    a_space, cow_pair, edge, large_page, pages_and_place, pages_and_space, shared,
};
use crate::support::PAGE;

pub const SHARING: &[Scenario] = &[
    Scenario {
        name: "share",
        leaves: Leaves::Nothing,
        setup: pages_and_space,
        request: |host, things| {
            let options = ShareOptions::new().at(0x5000_0000).rights(Rights::READ);
            let from = edge(host.target()) + 2 * PAGE;
            host.vmm
                .share(host.vmm.own_space(), Pages::at(from).count(6), things.space(), &options)
                .map(drop)
        },
    },
    Scenario {
        name: "release what is shared, its owner first",
        leaves: Leaves::Progress,
        setup: shared,
        request: |host, things| host.vmm.release(things.region()),
    },
    Scenario {
        name: "release a shared copy",
        leaves: Leaves::Progress,
        setup: shared,
        request: |host, things| host.vmm.release(things.other.expect("set up")),
    },
    Scenario {
        name: "clone a region",
        leaves: Leaves::Nothing,
        setup: pages_and_space,
        request: |host, things| {
            let place = Placement::at(0x5000_0000);
            host.vmm.clone_region(things.region(), things.space(), place).map(drop)
        },
    },
    Scenario {
        name: "clone a large page",
        leaves: Leaves::Nothing,
        setup: |host| Things { space: a_space(host).space, ..large_page(host) },
        request: |host, things| {
            let place = Placement::at(0x6000_0000);
            host.vmm.clone_region(things.region(), things.space(), place).map(drop)
        },
    },
    Scenario {
        name: "clone a space",
        leaves: Leaves::Nothing,
        setup: |host| {
            let things = a_space(host);
            for at in [0x1000_0000, 0x5000_0000] {
                host.vmm.map(things.space(), &RegionOptions::new(4).at(at)).expect("memory");
            }
            things
        },
        request: |host, things| {
            let clone = host.vmm.clone_space(things.space())?;
            host.spaces.push(clone);
            Ok(())
        },
    },
    Scenario {
        name: "clone the middle of a region into another",
        leaves: Leaves::Nothing,
        setup: pages_and_place,
        request: |host, things| {
            let into = things.other.expect("set up");
            let done = host.vmm.clone_pages(things.region(), 2, into, 5)?;
            assert_eq!(done, 5);
            Ok(())
        },
    },
    Scenario {
        name: "share into the middle of a region",
        leaves: Leaves::Nothing,
        setup: pages_and_place,
        request: |host, things| {
            let (own, from) = (host.own(), edge(host.target()) + 2 * PAGE);
            host.vmm.share_into(own, Pages::at(from).count(6), things.other.expect("set up"), 3)
        },
    },
    Scenario {
        name: "move a page into the middle of a region",
        leaves: Leaves::Nothing,
        setup: pages_and_place,
        request: |host, things| {
            let (own, from) = (host.own(), edge(host.target()) + 2 * PAGE);
            host.vmm.transfer_into(own, from, things.other.expect("set up"), 3)
        },
    },
    Scenario {
        name: "release a clone",
        leaves: Leaves::Progress,
        setup: cow_pair,
        request: |host, things| host.vmm.release(things.other.expect("set up")),
    },
    Scenario {
        name: "unmap a page amid those of a clone",
        leaves: Leaves::Progress,
        setup: cow_pair,
        request: |host, things| host.vmm.unmap(things.space(), Pages::at(0x5000_0000 + 4 * PAGE)),
    },
    Scenario {
        name: "unmap a page amid those that a clone has",
        leaves: Leaves::Progress,
        setup: cow_pair,
        request: |host, _| {
            host.vmm.unmap(host.vmm.own_space(), Pages::at(edge(host.target()) + 6 * PAGE))
        },
    },
];
