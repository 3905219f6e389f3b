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

fn info(number: usize) -> ThreadInfo {
    ThreadInfo {
        space: SpaceId(number as u32 % 3),
        tcb: CPtr::new(number),
        fault_endpoint: CPtr::new(number + 1),
        name: Name::new("thread"),
    }
}

#[test]
fn badges_end_with_27_bits() {
    let nodes = [Thread::default(), Thread::default(), Thread::default()];
    let mut threads = Threads::new();
    assert_eq!(threads.next_badge(), Some(1), "0 is no badge");
    threads.insert(&nodes[0], LAST - 1, info(0));
    assert_eq!(threads.next_badge(), Some(LAST));
    threads.insert(&nodes[1], LAST, info(1));
    assert_eq!(threads.next_badge(), None);
    threads.remove(ThreadId(LAST)).unwrap();
    assert_eq!(threads.next_badge(), None, "no badge is used twice");
    assert_eq!(threads.after(ThreadId(0)), Some(ThreadId(LAST - 1)));
    assert_eq!(threads.after(ThreadId(LAST - 1)), None);
}

#[test]
fn any_history_is_that_of_a_map() {
    play(300, 120, |data| {
        let nodes: Vec<Thread<'_>> = (0..12).map(|_| Thread::default()).collect();
        let mut free: Vec<&Thread<'_>> = nodes.iter().collect();
        let mut choices = Choices::new(data);
        let mut threads = Threads::new();
        let mut model: BTreeMap<u32, (ThreadInfo, &Thread<'_>)> = BTreeMap::new();
        let mut last = 0;
        while !choices.is_empty() {
            if choices.one_in(2) {
                let badge = 1 + choices.below(last as usize + 1) as u32;
                let removed = threads.remove(ThreadId(badge));
                let expected = model.remove(&badge).map(|(_, node)| node);
                assert!(removed.is_none() == expected.is_none());
                if let (Some(removed), Some(expected)) = (removed, expected) {
                    assert!(core::ptr::eq(removed, expected));
                    free.push(removed);
                }
            } else if let Some(node) = free.pop() {
                // Some are registered and not seen to the end: badges need not be consecutive.
                last = threads.next_badge().unwrap() + choices.pick(&[0, 0, 1, 5]);
                threads.insert(node, last, info(last as usize));
                model.insert(last, (info(last as usize), node));
            }
            assert_eq!(threads.next_badge(), Some(last + 1));
            for badge in 0..last + 2 {
                let expected = model.get(&badge);
                assert_eq!(threads.info(ThreadId(badge)), expected.map(|(info, _)| *info));
                let node = threads.node(ThreadId(badge));
                assert_eq!(node.is_some(), expected.is_some());
                assert!(node.is_none_or(|node| core::ptr::eq(node, expected.unwrap().1)));
                let after = model.range(badge + 1..).next().map(|(badge, _)| ThreadId(*badge));
                assert_eq!(threads.after(ThreadId(badge)), after);
            }
        }
    });
}
