// SPDX-License-Identifier: BSD-2-Clause
//! The token for nodes that were made ready, and pages that are cut off a range.

use page_tables::{Geometry, Pages};

use super::choices::PAGE;
use crate::state::reserve::{split_first, Reserve};

#[test]
fn pages_come_off_the_start_of_a_range() {
    let user_end = Geometry::IA32.user_end;
    let mut range = Geometry::IA32.range(Pages::at(user_end - 3 * PAGE).count(3)).ok();
    for left in (0..3).rev() {
        let first = split_first(&mut range).unwrap();
        assert_eq!((first.start().bits(), first.pages()), (user_end - (left + 1) * PAGE, 1));
        assert_eq!(range.map_or(0, |range| range.pages()), left);
    }
    assert_eq!((split_first(&mut range), range), (None, None));
}

#[test]
fn the_token_is_good_for_what_it_promises() {
    let mut reserve = Reserve::full();
    (0..Reserve::REGIONS).for_each(|_| reserve.spend_region());
    (0..Reserve::EXTENTS).for_each(|_| reserve.spend_extent());
    (0..Reserve::TABLES).for_each(|_| reserve.spend_table());
    reserve.credit_extent();
    reserve.spend_extent();
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "more than the reserve holds")]
fn no_region_more() {
    let mut reserve = Reserve::full();
    (0..=Reserve::REGIONS).for_each(|_| reserve.spend_region());
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "more than the reserve holds")]
fn no_extent_more() {
    let mut reserve = Reserve::as_it_is();
    (0..=Reserve::EXTENTS).for_each(|_| reserve.spend_extent());
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "more than the reserve holds")]
fn no_table_more() {
    let mut reserve = Reserve::as_it_is();
    (0..=Reserve::TABLES).for_each(|_| reserve.spend_table());
}
