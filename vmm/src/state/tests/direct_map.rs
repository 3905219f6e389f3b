// SPDX-License-Identifier: BSD-2-Clause
//! The direct map: which physical address goes where.

use page_tables::{Geometry, Pages};

use crate::state::direct_map::DirectMap;

const PAGE: usize = 4096;
const START: usize = 0x7000_0000;

#[test]
fn physical_addresses_and_places_lead_to_each_other() {
    let range = Geometry::IA32.range(Pages::at(START).count(2048)).unwrap();
    let map = DirectMap::new(range, 0x40_0000);
    for page in [0, 1, 1023, 1024, 2047] {
        let (paddr, address) = (0x40_0000 + page * PAGE, START + page * PAGE);
        let place = map.address_of(paddr).unwrap();
        assert_eq!(place.bits(), address);
        assert_eq!(map.paddr_of(place), paddr);
    }
    for outside in [0, 0x3f_f000, 0x40_0000 + 2048 * PAGE, usize::MAX] {
        assert!(map.address_of(outside).is_none(), "{outside:#x}");
    }
}

#[test]
fn it_is_complete_once_there_are_tables_to_its_end() {
    let range = Geometry::IA32.range(Pages::at(START).count(1500)).unwrap();
    let mut map = DirectMap::new(range, 0);
    assert!(!map.is_complete());
    map.has_tables_to(START + 1024 * PAGE);
    assert!(!map.is_complete());
    let rest = map.without_tables.unwrap();
    assert_eq!((rest.start().bits(), rest.end()), (START + 1024 * PAGE, START + 1500 * PAGE));
    // The last table covers more than the map.
    map.has_tables_to(START + 2048 * PAGE);
    assert!(map.is_complete());
}
