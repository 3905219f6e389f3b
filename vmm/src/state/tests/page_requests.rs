// SPDX-License-Identifier: BSD-2-Clause
//! Page requests: queues ordered by ticket.

use std::collections::BTreeMap;
use std::vec::Vec;

use untyped_alloc::CPtr;

use super::choices::Choices;
use super::properties::play;
use crate::state::page_requests::Requests;
use crate::state::threads::Thread;
use crate::types::fault::{Access, PageFault, PageRequest};
use crate::types::ids::ThreadId;

/// Queues of pagers with one token, and the one that has a token for each region.
const QUEUES: [u32; 4] = [0, 1, 2, u32::MAX];

fn request(queue: u32, ticket: u64, number: usize) -> PageRequest {
    PageRequest {
        ticket,
        queue,
        token: number as u32 % 3,
        page: number,
        thread: ThreadId::from_parts(number + 1, 1),
        fault: PageFault { address: number, access: Access::Read, present: false, ip: 1 },
    }
}

#[test]
fn tickets_grow_and_are_never_0() {
    let mut requests = Requests::new();
    assert_eq!([1, 2, 3].map(|_| requests.next_ticket()), [1, 2, 3]);
    requests.last_ticket = u64::from(u32::MAX);
    assert_eq!(requests.next_ticket(), 1 << 32, "a word of a message is no limit");
}

#[test]
fn a_thread_can_wait_again() {
    let thread = Thread::default();
    let mut requests = Requests::new();
    for round in 1..3 {
        let ticket = requests.next_ticket();
        requests.insert(&thread, request(u32::MAX, ticket, 0), CPtr::new(round));
        let waiting = thread.waiting.get().map(|waiting| waiting.parts());
        assert_eq!(waiting, Some((request(u32::MAX, ticket, 0), CPtr::new(round))));
        assert_eq!(requests.remove(0, ticket), None, "that is another queue");
        assert_eq!(
            requests.remove(u32::MAX, ticket),
            Some((request(u32::MAX, ticket, 0), CPtr::new(round)))
        );
        assert!(thread.waiting.get().is_none());
        assert_eq!(requests.after(u32::MAX, 0), None);
    }
}

#[test]
fn any_history_is_that_of_a_map() {
    play(300, 120, |data| {
        let nodes: Vec<Thread<'_>> = (0..10).map(|_| Thread::default()).collect();
        let mut idle: Vec<usize> = (0..10).collect();
        let mut choices = Choices::new(data);
        let mut requests = Requests::new();
        let mut model: BTreeMap<(u32, u64), (PageRequest, CPtr)> = BTreeMap::new();
        let mut last = 0;
        while !choices.is_empty() {
            let queue = choices.pick(&QUEUES);
            if choices.one_in(2) {
                let ticket = choices.below(last as usize + 2) as u64;
                let removed = requests.remove(queue, ticket);
                assert_eq!(removed, model.remove(&(queue, ticket)));
                idle.extend(removed.map(|(request, _)| request.page));
            } else if let Some(thread) = idle.pop() {
                let ticket = requests.next_ticket();
                assert!(ticket > last, "a ticket is greater than all before it");
                last = ticket;
                let (request, reply) = (request(queue, ticket, thread), CPtr::new(500 + thread));
                requests.insert(&nodes[thread], request, reply);
                model.insert((queue, ticket), (request, reply));
            }
            for queue in QUEUES {
                for ticket in (0..last + 2).chain([u64::MAX]) {
                    let found = model.get(&(queue, ticket)).map(|(request, _)| *request);
                    assert_eq!(requests.find(queue, ticket), found);
                    let younger = |((of, number), _): &(&(u32, u64), &(PageRequest, CPtr))| {
                        *of == queue && *number > ticket
                    };
                    let oldest = model.iter().find(younger).map(|(_, (request, _))| *request);
                    assert_eq!(requests.after(queue, ticket), oldest);
                }
            }
        }
    });
}
