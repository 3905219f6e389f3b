// SPDX-License-Identifier: BSD-2-Clause
//! Spaces by id, and what changes one.

use std::boxed::Box;
use std::collections::BTreeMap;
use std::vec::Vec;

use page_tables::Geometry;

use super::choices::{address, Choices};
use super::extent_model::Like;
use super::properties::play;
use super::region_model::spec;
use crate::state::extent_node::ExtentNode;
use crate::state::region::Region;
use crate::state::space::{Space, Spaces};
use crate::types::ids::SpaceId;
use crate::types::quota::Quota;
use crate::types::region::Kind;

#[test]
fn a_change_is_seen_and_looking_is_none() {
    let (region, extent) = (Region::default(), ExtentNode::default());
    let space = Space::default();
    assert!(!space.is_unchanged(), "nobody watches it yet");
    space.watch();
    let changed = || {
        let changed = !space.is_unchanged();
        space.watch();
        changed
    };
    space.regions_mut().start(&region, spec(1, 0, Kind::Boot), Geometry::IA32.user_end, 12);
    assert!(changed());
    let _ = space.extents_mut().insert(&extent, Like::SMALL.extent(4096, 1, 1));
    assert!(changed());
    let quota = Quota { frames: 3, ..Quota::UNLIMITED };
    space.set_quota(quota);
    assert!(changed());
    assert_eq!(space.quota(), quota);
    assert!(space.regions().at(address(0)).is_some() && space.extents().iter().count() == 1);
    space.extents().extend(&extent, (1, 4096));
    assert!(!changed(), "neither looking nor a page that was foreseen");
    space.set_quota(quota);
    assert!(changed(), "it may have changed");
    drop((space.regions_mut(), space.extents_mut()));
    assert!(changed());
}

#[test]
fn any_history_of_spaces_is_that_of_a_map() {
    play(200, 80, |data| {
        // A space frees nothing when it goes, but the compiler cannot know: so these stay.
        let mut free: Vec<&'static Space<'static>> =
            (0..8).map(|_| &*Box::leak(Box::new(Space::default()))).collect();
        let mut choices = Choices::new(data);
        let mut spaces = Spaces::new();
        let mut model: BTreeMap<u32, &Space<'static>> = BTreeMap::new();
        while !choices.is_empty() {
            // Some have the same rest, so they take the same place among those looked up last.
            let id = choices.pick(&[0, 1, 2, 3, 8, 9, 16, 4, 5, u32::MAX - 1, u32::MAX]);
            if choices.one_in(2) {
                let removed = spaces.remove(SpaceId::from_parts(id, 7));
                let expected = model.remove(&id);
                assert_eq!(removed.map(core::ptr::from_ref), expected.map(core::ptr::from_ref));
                free.extend(removed);
            } else if let Some(node) = free.pop_if(|_| !model.contains_key(&id)) {
                node.id.set(SpaceId::from_parts(id, 7));
                spaces.insert(node);
                model.insert(id, node);
            }
            let pointers: Vec<*const Space<'_>> = spaces.iter().map(core::ptr::from_ref).collect();
            let expected: Vec<*const Space<'_>> =
                model.values().map(|space| core::ptr::from_ref(*space)).collect();
            assert_eq!(pointers, expected, "by number");
            for id in (0..18).chain([u32::MAX - 2, u32::MAX - 1, u32::MAX]) {
                let found = spaces.find(SpaceId::from_parts(id, 7)).map(core::ptr::from_ref);
                assert_eq!(found, model.get(&id).map(|space| core::ptr::from_ref(*space)));
                assert!(spaces.find(SpaceId::from_parts(id, 6)).is_none(), "that one is gone");
                let after = spaces.after(id).map(|space| space.id.get().number);
                let later = model.keys().find(|later| **later > id).copied();
                assert_eq!(after, later);
            }
        }
    });
}
