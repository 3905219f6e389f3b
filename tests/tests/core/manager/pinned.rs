// SPDX-License-Identifier: BSD-2-Clause
//! What the manager stands on stays as it is.

use vmm::{
    Backing, Error, IpcBuffer, Pages, RegionId, RegionOptions, Rights, ShareOptions, Supply,
    ThreadMemory, ThreadOptions, TlsImage,
};
use vmm_tests::support::wrong_kind;

use super::FREE;
use crate::support::{Fixture, PAGE, Target, on_each};

on_each!(
    the_own_space_is_not_cloned,
    pinned_memory_stays_as_it_is,
    what_is_unpinned_is_memory_like_any_other,
    only_so_much_can_be_pinned,
    memory_that_is_no_callers_is_refused_by_its_kind,
);

fn thread(host: &mut Fixture<'_>) -> ThreadMemory {
    let tls = TlsImage { init: &[7; 8], memory_bytes: 16, align: 8, address: 0 };
    let options = ThreadOptions {
        stack_pages: 3,
        guard_pages: 1,
        growing: None,
        tls: Some(tls),
        name: "handler",
    };
    host.vmm.allocate_thread_memory(host.vmm.own_space(), &options).expect("memory")
}

/// A59.
fn the_own_space_is_not_cloned(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    host.refuses(Error::OwnSpace(own), |vmm| vmm.clone_space(own));
    thread(&mut host);
    host.refuses(Error::OwnSpace(own), |vmm| vmm.clone_space(own));
}

/// Every request that would take pages of this region away, or the right to write to them, is
/// refused.
fn refuses_all(host: &mut Fixture<'_>, region: RegionId, start: usize, pages: usize) {
    let own = host.own();
    let pinned = Error::Pinned(region);
    let anywhere = RegionOptions::new(pages);
    host.refuses(pinned, |vmm| vmm.unmap(own, Pages::at(start)));
    host.refuses(pinned, |vmm| vmm.decommit(own, Pages::at(start).count(pages)));
    host.refuses(pinned, |vmm| vmm.decommit_some(own, Pages::at(start).count(pages), 1));
    for rights in [Rights::READ, Rights::READ_WRITE, Rights::empty()] {
        host.refuses(pinned, |vmm| vmm.protect(own, Pages::at(start), rights));
    }
    host.refuses(pinned, |vmm| vmm.release(region));
    host.refuses(pinned, |vmm| vmm.move_region(region, anywhere.placement()));
    host.refuses(pinned, |vmm| vmm.clone_region(region, own, anywhere.placement()));
    host.refuses(pinned, |vmm| vmm.reserve_like(region, own, anywhere.placement()));
    host.refuses(pinned, |vmm| vmm.ipc_buffer_in(region, start));
}

/// A59.
fn pinned_memory_stays_as_it_is(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let memory = thread(&mut host);
    let other = thread(&mut host);
    let paged = RegionOptions::new(4).at(FREE).backed(Backing::Pager { token: 1 });
    host.vmm.reserve(own, &paged).expect("room");
    host.vmm.pin_thread_memory(memory).expect("it is alive");
    host.vmm.pin_thread_memory(memory).expect("once more is the same");
    let stack = (memory.stack.region(), memory.stack.bottom());
    refuses_all(&mut host, stack.0, stack.1, 3);
    let tls = memory.tls.expect("it was asked for");
    let at = tls.thread_pointer() & !(PAGE - 1);
    let region = host.vmm.region_at(own, at).expect("an address").expect("mapped").id;
    refuses_all(&mut host, region, at, 1);
    host.refuses(Error::Pinned(region), |vmm| vmm.clone_tls(tls));
    host.refuses(Error::Pinned(region), |vmm| vmm.split_region(region, 1));
    for (region, page) in [stack, (region, at)] {
        host.refuses(Error::Pinned(region), |vmm| {
            vmm.supply_page(own, FREE, own, page, Supply::Transfer)
        });
    }
    // The buffer, however its id was come by.
    let buffer = memory.ipc_buffer;
    let found = host.vmm.ipc_buffer_at(own, buffer.address()).expect("a buffer");
    for buffer in [buffer, found] {
        let pinned = Error::Pinned(buffer.region());
        host.refuses(pinned, |vmm| vmm.release_ipc_buffer(buffer));
    }
    host.refuses(Error::Pinned(buffer.region()), |vmm| vmm.release_thread_memory(memory));
    // Its neighbours in the arena, and other threads, are not.
    let neighbour: IpcBuffer = other.ipc_buffer;
    assert_eq!(neighbour.region(), buffer.region());
    host.vmm.release_thread_memory(other).expect("not pinned");
    host.check();
}

/// A59.
fn what_is_unpinned_is_memory_like_any_other(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let memory = thread(&mut host);
    host.vmm.pin_thread_memory(memory).expect("it is alive");
    host.vmm.unpin_thread_memory(memory);
    host.vmm
        .protect(own, Pages::at(memory.stack.bottom()), Rights::READ)
        .expect("not pinned any more");
    host.vmm.release_thread_memory(memory).expect("not pinned any more");
    let gone = Error::NoSuchRegion(memory.stack.region());
    host.refuses(gone, |vmm| vmm.pin_thread_memory(memory));
    host.vmm.unpin_thread_memory(memory);
    host.check();
}

/// A59.
fn only_so_much_can_be_pinned(target: Target) {
    let mut host = Fixture::roomy(target);
    let most = 16;
    let all: Vec<ThreadMemory> = (0..most).map(|_| thread(&mut host)).collect();
    for &memory in &all {
        host.vmm.pin_thread_memory(memory).expect("room");
    }
    let memory = thread(&mut host);
    let error = Error::TooManyPinned { most };
    assert_eq!(error.blame(), vmm::Blame::Resource);
    host.refuses(error, |vmm| vmm.pin_thread_memory(memory));
    host.vmm.unpin_thread_memory(all[3]);
    host.vmm.pin_thread_memory(memory).expect("room again");
}

/// A59: the image, book-keeping, temporary slots.
fn memory_that_is_no_callers_is_refused_by_its_kind(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let (mut at, mut seen) = (0, 0);
    thread(&mut host);
    while let Some(info) = host.vmm.next_region(own, at).expect("a space") {
        at = info.range.end();
        let callers = matches!(info.kind, vmm::Kind::Memory | vmm::Kind::Stack);
        // The null page has no page between its guards.
        if callers || info.guard_below == info.range.pages() {
            continue;
        }
        seen += 1;
        let (region, first) = (info.id, info.range.start().bits() + info.guard_below * PAGE);
        let anywhere = RegionOptions::new(1);
        let error = wrong_kind(region);
        host.refuses(error, |vmm| vmm.unmap(own, Pages::at(first)));
        host.refuses(error, |vmm| vmm.decommit(own, Pages::at(first)));
        host.refuses(error, |vmm| vmm.decommit_some(own, Pages::at(first), 1));
        host.refuses(error, |vmm| vmm.protect(own, Pages::at(first), Rights::empty()));
        host.refuses(error, |vmm| vmm.release(region));
        host.refuses(error, |vmm| vmm.move_region(region, anywhere.placement()));
        host.refuses(error, |vmm| vmm.split_region(region, 1));
        host.refuses(error, |vmm| vmm.clone_region(region, own, anywhere.placement()));
        host.refuses(error, |vmm| vmm.share(own, Pages::at(first), own, &ShareOptions::new()));
        host.refuses(error, |vmm| vmm.ipc_buffer_in(region, first));
    }
    assert!(seen >= 5, "image, boot's pages, book-keeping, temporary slots, buffers: {seen}");
    host.refuses(Error::OwnSpace(own), |vmm| vmm.destroy_space(own));
}
