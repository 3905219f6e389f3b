// SPDX-License-Identifier: BSD-2-Clause
//! Registered threads: by badge, up to the last one.

use std::collections::BTreeMap;
use std::vec::Vec;

use untyped_alloc::CPtr;

use super::choices::Choices;
use super::properties::play;
use crate::state::threads::{Thread, Threads};
use crate::types::ids::{SpaceId, ThreadId};
use crate::types::region::Name;
use crate::types::thread::ThreadInfo;

/// The highest badge that a thread can have.
const LAST: u32 = 0x7ff_ffff;

fn info(id: ThreadId) -> ThreadInfo {
    ThreadInfo {
        id,
        space: SpaceId::from_parts(id.badge % 3, 1),
        tcb: CPtr::new(id.badge()),
        fault_endpoint: CPtr::new(id.badge() + 1),
        name: Name::new("thread"),
    }
}

#[test]
fn badges_end_with_27_bits_and_go_round() {
    let nodes = [Thread::default(), Thread::default(), Thread::default()];
    let mut threads = Threads::new();
    assert_eq!(threads.next_id(), Some(ThreadId::from_parts(1, 1)), "0 is no badge");
    threads.insert(&nodes[0], info(ThreadId::from_parts(LAST as usize, 9)));
    let next = threads.next_id().unwrap();
    assert_eq!(next, ThreadId::from_parts(1, 10), "the serial number goes on");
    threads.insert(&nodes[1], info(next));
    assert_eq!(threads.after(0), Some(next));
    assert_eq!(threads.after(1).map(ThreadId::badge), Some(LAST as usize));
    assert_eq!(threads.after(LAST), None);
}

/// A73: badges are used again when they are free, and ids never.
#[test]
fn any_history_is_that_of_a_map() {
    play(400, 120, |data| {
        // Two bits of badges are used up all the time; 27 never.
        let most = [1, 3, 7, LAST][usize::from(data.first().copied().unwrap_or(0) % 4)];
        history(data, most);
    });
}

fn history(data: &[u8], most: u32) {
    let nodes: Vec<Thread<'_>> = (0..9).map(|_| Thread::default()).collect();
    let mut free: Vec<&Thread<'_>> = nodes.iter().collect();
    let mut choices = Choices::new(data);
    let mut threads = Threads::new();
    threads.narrow(most);
    let mut model: BTreeMap<u32, (ThreadInfo, &Thread<'_>)> = BTreeMap::new();
    let mut gone: Vec<ThreadId> = Vec::new();
    let mut last = ThreadId::from_parts(0, 0);
    while !choices.is_empty() {
        if choices.one_in(3) {
            let place = choices.below(model.len());
            let Some((&badge, &(known, node))) = model.iter().nth(place) else { continue };
            let removed = threads.remove(known.id).expect("it is registered");
            assert!(core::ptr::eq(removed, node));
            assert!(threads.remove(known.id).is_none(), "once");
            model.remove(&badge);
            gone.push(known.id);
            free.push(removed);
        } else if let Some(node) = free.pop() {
            let Some(id) = threads.next_id() else {
                assert_eq!(model.len(), most as usize, "all badges are in use");
                free.push(node);
                continue;
            };
            assert_eq!(id.serial, last.serial + 1);
            // The first free badge behind the last one, round and round.
            let round = (last.badge + 1..=most.min(last.badge + 20)).chain(1..=last.badge);
            let free_badge = round.into_iter().find(|badge| !model.contains_key(badge));
            assert_eq!(Some(id.badge), free_badge);
            last = id;
            threads.insert(node, info(id));
            model.insert(id.badge, (info(id), node));
        }
        for id in &gone {
            assert!(threads.info(*id).is_none() && threads.node(*id).is_none(), "{id:?} is stale");
        }
        for badge in 0..most.min(last.badge + 2) + 1 {
            let expected = model.get(&badge);
            assert_eq!(threads.with_badge(badge), expected.map(|(info, _)| *info));
            if let Some((known, node)) = expected {
                assert_eq!(threads.info(known.id), Some(*known));
                assert!(threads.node(known.id).is_some_and(|found| core::ptr::eq(found, *node)));
            }
            let after = model.range(badge + 1..).next().map(|(_, (info, _))| info.id);
            assert_eq!(threads.after(badge), after);
        }
    }
}
