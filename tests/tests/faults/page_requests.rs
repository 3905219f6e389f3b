// SPDX-License-Identifier: BSD-2-Clause
//! Faults that wait for a pager: kept by thread, found by ticket.

use vmm::{Access, Blueprint, CPtr, Error, PageFault, SpaceId, ThreadId};

use crate::support::{Fixture, Snapshot, Target, on_both};

on_both!(
    requests_are_found_in_the_order_they_came,
    only_the_pager_asked_can_answer,
    a_thread_waits_for_one_page_at_a_time,
    a_thread_that_is_forgotten_waits_no_more,
    the_right_to_answer_is_where_it_was_given_to_be,
    threads_of_a_space_keep_it,
);

const TOKEN: u32 = 5;
const OTHER: u32 = 6;

struct Scene {
    host: Fixture<'static>,
    space: SpaceId,
    endpoint: CPtr,
    before: Snapshot,
}

impl Scene {
    fn new(target: Target) -> Scene {
        let mut host = Fixture::small(target);
        let space = host.vmm.create_space().expect("a space");
        host.spaces.push(space);
        let endpoint = host.vmm.allocate(Blueprint::Endpoint).expect("memory").slot();
        let before = Snapshot::settled(&mut host);
        Scene { host, space, endpoint, before }
    }

    fn thread(&mut self) -> ThreadId {
        let tcb = CPtr::new(vmm_tests::model::slot::TCB);
        let made = self.host.vmm.register_thread(self.space, tcb, self.endpoint, "thread");
        made.expect("there is memory")
    }

    /// The thread's fault waits for page `page` of `token`; returns the ticket.
    fn wait(&mut self, thread: ThreadId, token: u32, page: usize) -> u64 {
        let fault = PageFault { address: page << 12, access: Access::Read, present: false, ip: 0 };
        let vmm = &mut self.host.vmm;
        let reply = vmm.reply_slot(thread).expect("a slot");
        vmm.begin_request(thread, fault, token, page, reply).expect("a thread").ticket
    }

    fn end(&mut self, token: u32, ticket: u64) -> usize {
        let (request, reply) = self.host.vmm.end_request(token, ticket).expect("it waits");
        self.host.vmm.free_slots(reply, 1).expect("it was taken");
        request.page
    }

    fn pages(&self, token: u32) -> Vec<usize> {
        let (mut found, mut last) = (Vec::new(), 0);
        while let Some(request) = self.host.vmm.next_request(token, last) {
            assert_eq!(self.host.vmm.request(token, request.ticket), Ok(request));
            found.push(request.page);
            last = request.ticket;
        }
        found
    }

    /// Everything is as it was before the first thread.
    fn ends(mut self, threads: &[ThreadId]) {
        for &thread in threads {
            self.host.vmm.unregister_thread(thread).expect("it is registered");
        }
        self.host.check();
        self.before.assert_same(&Snapshot::settled(&mut self.host));
    }
}

fn requests_are_found_in_the_order_they_came(target: Target) {
    let mut scene = Scene::new(target);
    let threads: Vec<ThreadId> = (0..6).map(|_| scene.thread()).collect();
    let mut tickets = Vec::new();
    for (number, &thread) in threads.iter().enumerate().rev() {
        let token = if number % 2 == 0 { TOKEN } else { OTHER };
        tickets.push((scene.wait(thread, token, number), token, number));
    }
    assert_eq!((scene.pages(TOKEN), scene.pages(OTHER)), (vec![4, 2, 0], vec![5, 3, 1]));
    assert!(tickets.is_sorted() && tickets[0].0 != 0, "tickets grow: {tickets:?}");
    for (ticket, token, number) in tickets {
        assert_eq!(scene.end(token, ticket), number);
        assert!(!scene.pages(token).contains(&number));
    }
    scene.ends(&threads);
}

fn only_the_pager_asked_can_answer(target: Target) {
    let mut scene = Scene::new(target);
    let thread = scene.thread();
    let ticket = scene.wait(thread, TOKEN, 3);
    for (token, ticket) in [(OTHER, ticket), (TOKEN, ticket + 1), (TOKEN, 0), (0, 0)] {
        let refused = Error::NoSuchRequest { ticket };
        assert_eq!(scene.host.vmm.end_request(token, ticket), Err(refused));
        assert_eq!(scene.host.vmm.request(token, ticket), Err(refused));
    }
    assert_eq!(scene.end(TOKEN, ticket), 3);
    let again = scene.host.vmm.end_request(TOKEN, ticket);
    assert_eq!(again, Err(Error::NoSuchRequest { ticket }), "once answered it is gone");
    scene.ends(&[thread]);
}

fn a_thread_waits_for_one_page_at_a_time(target: Target) {
    let mut scene = Scene::new(target);
    let thread = scene.thread();
    let first = scene.wait(thread, TOKEN, 1);
    // It was set going by somebody else, and faulted elsewhere.
    let second = scene.wait(thread, OTHER, 2);
    assert_ne!(first, second);
    assert_eq!((scene.pages(TOKEN), scene.pages(OTHER)), (vec![], vec![2]));
    assert_eq!(scene.end(OTHER, second), 2);
    scene.ends(&[thread]);
}

fn a_thread_that_is_forgotten_waits_no_more(target: Target) {
    let mut scene = Scene::new(target);
    let (thread, other) = (scene.thread(), scene.thread());
    scene.wait(thread, TOKEN, 1);
    scene.wait(other, TOKEN, 2);
    scene.host.vmm.unregister_thread(thread).expect("it is registered");
    assert_eq!(scene.pages(TOKEN), [2]);
    let gone = Err(Error::NoSuchThread(thread));
    assert_eq!(scene.host.vmm.unregister_thread(thread), gone);
    assert_eq!(scene.host.vmm.reply_slot(thread), Err(Error::NoSuchThread(thread)));
    scene.ends(&[other]);
}

/// A62.
fn the_right_to_answer_is_where_it_was_given_to_be(target: Target) {
    let mut scene = Scene::new(target);
    let (thread, other) = (scene.thread(), scene.thread());
    let fault = PageFault { address: 0x1000, access: Access::Read, present: false, ip: 0 };
    let endpoint = scene.endpoint;
    let vmm = &mut scene.host.vmm;
    let reply = vmm.reply_slot(thread).expect("a slot");
    let own = vmm.alloc_slots(1).expect("a slot");
    let path = vmm.allocator().path(own);
    vmm.copy_cap(path, endpoint, vmm::Rights::all()).expect("an empty slot");
    let not_for_it = |slot| Error::NoReplySlot(slot);
    for (thread, slot) in [(other, reply), (thread, own), (other, own), (thread, endpoint)] {
        let begun = vmm.begin_request(thread, fault, TOKEN, 1, slot);
        assert_eq!(begun.expect_err("it is for something else"), not_for_it(slot));
    }
    let nobodys = |slot| Error::Allocator(untyped_alloc::Error::NotAllocated(slot));
    // What was given for a thread and not used is given for it again.
    assert_eq!(vmm.free_slots(reply, 1), Err(nobodys(reply)));
    assert_eq!(vmm.reply_slot(thread), Ok(reply));
    let ticket = vmm.begin_request(thread, fault, TOKEN, 1, reply).expect("its own").ticket;
    let again = vmm.begin_request(thread, fault, TOKEN, 1, reply).expect_err("a request has it");
    assert_eq!(again, not_for_it(reply));
    assert_eq!(vmm.free_slots(reply, 1), Err(nobodys(reply)));
    assert_eq!(vmm.release_slot(reply), Err(nobodys(reply)));
    assert_eq!(vmm.next_request(TOKEN, 0).expect("it waits still").ticket, ticket);
    // What is in a slot of the caller's is there still.
    vmm.copy_cap(path, endpoint, vmm::Rights::all()).expect_err("it is occupied");
    vmm.end_request(TOKEN, ticket).expect("it waits");
    vmm.release_slot(reply).expect("the caller's now");
    vmm.release_slot(own).expect("the caller's");
    // One that is given and not used goes with the thread.
    vmm.reply_slot(other).expect("a slot");
    scene.ends(&[thread, other]);
}

fn threads_of_a_space_keep_it(target: Target) {
    let mut scene = Scene::new(target);
    let thread = scene.thread();
    let (space, threads) = (scene.space, 1);
    let in_use = Err(Error::SpaceInUse { space, threads });
    assert_eq!(scene.host.vmm.destroy_space(space), in_use);
    scene.ends(&[thread]);
}
