// SPDX-License-Identifier: BSD-2-Clause
//! What the manager offers to whoever writes a server, by itself: bounded decommitting, threads put
//! together in one call, the ends of a wait for a page.

use untyped_alloc::KernelError;
use untyped_alloc::kernel::Rights as PageRights;
use vmm::{
    Access, Backing, Blueprint, CPtr, Error, FaultClass, FaultEndpoint, PageFault, Pages, Quota,
    RegionId, RegionOptions, RequestEnd, Resolution, Resource, SpaceId, Supply, ThreadCSpace,
    ThreadId, ThreadOptions, ThreadParts, ThreadSpec, TlsImage,
};
use vmm_tests::model::CallKind;
use vmm_tests::support::{not_mapped, outside_region, wrong_kind};

use crate::support::{Fixture, PAGE, Snapshot, Target};

fn with_space() -> (Fixture<'static>, SpaceId) {
    let mut host = Fixture::small(Target::Ia32);
    let space = host.vmm.create_space().unwrap();
    host.spaces.push(space);
    (host, space)
}

fn mapped(host: &Fixture<'_>, region: RegionId, pages: usize) -> Vec<usize> {
    let first = host.vmm.region_info(region).unwrap();
    let first = first.range.start().bits() + first.guard_below * PAGE;
    let at = |page: &usize| host.vmm.mapping_at(region.space(), first + page * PAGE).unwrap();
    (0..pages).filter(|page| at(page).is_some()).collect()
}

#[test]
fn decommitting_some_goes_from_below_and_stops_in_time() {
    let (mut host, space) = with_space();
    let before = Snapshot::settled(&mut host);
    let region = host.vmm.map(space, &RegionOptions::new(10).guarded(1, 1)).unwrap();
    let start = region.start().bits();
    host.vmm.unmap(space, Pages::at(start + 3 * PAGE).count(2)).unwrap();
    assert_eq!(mapped(&host, region, 10), [0, 1, 4, 5, 6, 7, 8, 9]);
    let some = |host: &mut Fixture<'static>, start, pages, most| {
        let calls = host.kernel().calls(CallKind::PageUnmap);
        let done = host.vmm.decommit_some(space, Pages::at(start).count(pages), most);
        host.check();
        (done, host.kernel().calls(CallKind::PageUnmap) - calls)
    };
    // Guards and holes are in the range, and cost nothing.
    assert_eq!(some(&mut host, start, 12, 3), (Ok(3), 3));
    assert_eq!(mapped(&host, region, 10), [5, 6, 7, 8, 9]);
    assert_eq!(some(&mut host, start, 8, 3), (Ok(2), 2));
    assert_eq!(mapped(&host, region, 10), [7, 8, 9]);
    assert_eq!(some(&mut host, start, 12, 0), (Ok(0), 0));
    assert_eq!(some(&mut host, start, 12, 3), (Ok(3), 3));
    assert_eq!(some(&mut host, start, 12, 3), (Ok(0), 0));
    host.vmm.release(region).unwrap();
    before.assert_same(&Snapshot::settled(&mut host));
}

#[test]
fn decommitting_some_is_refused_outside_of_memory() {
    let (mut host, space) = with_space();
    let region = host.vmm.map(space, &RegionOptions::new(4)).unwrap();
    let start = region.start().bits();
    let buffer = host.vmm.allocate_ipc_buffer(space).unwrap();
    let end = start + 4 * PAGE;
    let outside = outside_region(end);
    host.refuses(outside, |vmm| vmm.decommit_some(space, Pages::at(start).count(5), 9));
    let at = buffer.region().start().bits();
    host.refuses(wrong_kind(buffer.region()), |vmm| vmm.decommit_some(space, Pages::at(at), 9));
    let large = host.vmm.own_space();
    let boot = host.vmm.next_region(large, 0).unwrap().unwrap();
    let first = boot.range.start().bits();
    host.refuses(wrong_kind(boot.id), |vmm| vmm.decommit_some(large, Pages::at(first), 9));
    // A refusal in the middle says how far it got.
    host.kernel().fail_nth_of(CallKind::PageUnmap, 3, KernelError::IllegalOperation);
    let failed = host.vmm.decommit_some(space, Pages::at(start).count(4), 9);
    assert!(matches!(failed, Err(Error::Kernel { done: 2, .. })), "{failed:?}");
    assert_eq!(mapped(&host, region, 4), [2, 3]);
    assert_eq!(host.vmm.decommit_some(space, Pages::at(start).count(4), 9), Ok(2));
    host.check();
}

const IMAGE: TlsImage<'static> =
    TlsImage { init: b"variables", memory_bytes: 60, align: 4, address: 0 };

/// A machine, and a thread to be made on it: registered, with a CNode, a stack, an IPC buffer and a
/// copy of thread-local storage.
fn with_thread_to_make() -> (Fixture<'static>, ThreadSpec<'static>) {
    let (mut host, space) = with_space();
    let endpoint = host.vmm.allocate(Blueprint::Endpoint).unwrap().slot();
    let cnode = host.vmm.allocate(Blueprint::CNode { radix_bits: 4 }).unwrap().slot();
    let tls = host.vmm.allocate_tls(space, &IMAGE, "original").unwrap();
    let new = ThreadSpec {
        space,
        memory: ThreadOptions {
            stack_pages: 2,
            guard_pages: 1,
            growing: None,
            tls: None,
            name: "thread",
        },
        tls_copy: Some(tls),
        cspace: ThreadCSpace::CNode { cnode, radix_bits: 4 },
        faults: FaultEndpoint::Registered { endpoint, at: Some(CPtr::new(5)) },
    };
    (host, new)
}

/// The state of a machine, but for whether the original of copies may be written to at once: after
/// a copy that depends on when the manager learns that the copy is gone.
fn state(host: &mut Fixture<'static>, new: &ThreadSpec<'_>) -> Snapshot {
    let mut state = Snapshot::settled(host);
    let original = new.tls_copy.unwrap().thread_pointer() & !(PAGE - 1);
    let page = state.pages.get_mut(&new.space).and_then(|pages| pages.get_mut(&original));
    page.expect("the original is mapped").0.rights = PageRights::READ;
    state
}

#[test]
fn a_thread_is_made_in_one_call_and_released_in_one() {
    let (mut host, new) = with_thread_to_make();
    let (space, mut parts) = (new.space, ThreadParts::default());
    let before = state(&mut host, &new);
    let made = host.vmm.allocate_thread(&new, &mut parts).unwrap();
    host.check();
    let view = host.kernel().tcb(made.tcb.slot()).unwrap();
    assert_eq!(view.fault_endpoint, 5);
    assert_eq!(view.ipc_buffer, made.memory.ipc_buffer.address());
    let (id, capability) = made.registered.unwrap();
    let info = host.vmm.thread(id).unwrap();
    assert_eq!((info.space, info.tcb, info.fault_endpoint), (space, made.tcb.slot(), capability));
    assert_eq!(host.vmm.usage(space).unwrap().objects, 1, "the TCB counts");

    host.vmm.stop_thread(&mut parts).unwrap();
    assert_eq!(host.vmm.thread(id), Err(Error::NoSuchThread(id)));
    assert!(parts.memory().is_some() && parts.tcb().is_none() && parts.id().is_none());
    host.vmm.release_thread(&mut parts).unwrap();
    assert!(parts.is_empty());
    host.vmm.release_thread(&mut parts).unwrap();
    before.assert_same(&state(&mut host, &new));
}

#[test]
fn a_thread_in_the_managers_cspace_uses_the_capability_where_it_is() {
    let (mut host, space) = with_space();
    let endpoint = host.vmm.allocate(Blueprint::Endpoint).unwrap().slot();
    let mut parts = ThreadParts::default();
    for (faults, registered) in [
        (FaultEndpoint::None, false),
        (FaultEndpoint::At(endpoint), false),
        (FaultEndpoint::Registered { endpoint, at: None }, true),
    ] {
        let new = ThreadSpec {
            space,
            memory: ThreadOptions {
                stack_pages: 1,
                guard_pages: 1,
                growing: None,
                tls: Some(IMAGE),
                name: "thread",
            },
            tls_copy: None,
            cspace: ThreadCSpace::Manager,
            faults,
        };
        // What the parts were before is released.
        let made = host.vmm.allocate_thread(&new, &mut parts).unwrap();
        assert_eq!(host.vmm.usage(space).unwrap().objects, 1);
        let expected = match (faults, made.registered) {
            (FaultEndpoint::None, None) => CPtr::NULL,
            (FaultEndpoint::At(cptr), None) => cptr,
            (_, Some((_, capability))) => capability,
            other => panic!("{other:?}"),
        };
        assert_eq!(made.registered.is_some(), registered);
        let view = host.kernel().tcb(made.tcb.slot()).unwrap();
        assert_eq!(view.fault_endpoint, expected.bits());
        host.check();
    }
    host.vmm.release_thread(&mut parts).unwrap();
    host.check();
}

#[test]
fn a_thread_can_have_a_stack_that_grows() {
    let (mut host, space) = with_space();
    let before = Snapshot::settled(&mut host);
    let new = ThreadSpec {
        space,
        memory: ThreadOptions {
            stack_pages: 4,
            guard_pages: 2,
            growing: Some(1),
            tls: None,
            name: "thread",
        },
        tls_copy: None,
        cspace: ThreadCSpace::Manager,
        faults: FaultEndpoint::None,
    };
    let mut parts = ThreadParts::default();
    let stack = host.vmm.allocate_thread(&new, &mut parts).unwrap().memory.stack;
    let pages = |host: &Fixture<'_>| {
        let at = (stack.guard()..stack.top()).step_by(PAGE);
        at.filter(|page| host.vmm.mapping_at(space, *page).unwrap().is_some()).collect::<Vec<_>>()
    };
    assert_eq!(pages(&host), []);
    let touch = |host: &mut Fixture<'_>, address| {
        let fault = PageFault { address, access: Access::Write, present: false, ip: 0 };
        host.vmm.resolve_fault(space, &fault).unwrap()
    };
    let grown = Resolution::Resolved(FaultClass::StackGrowth { around: 1 });
    assert_eq!(touch(&mut host, stack.top() - 4), grown);
    assert_eq!(pages(&host), [stack.top() - PAGE]);
    let guard = Resolution::Unresolved(FaultClass::Guard);
    assert_eq!(touch(&mut host, stack.bottom() - 4), guard);
    assert_eq!(touch(&mut host, stack.bottom() - 2 * PAGE), guard);
    host.check();
    host.vmm.release_thread(&mut parts).unwrap();
    before.assert_same(&Snapshot::settled(&mut host));
}

/// Each kernel call refused in turn, and then that call with all after it.
#[test]
fn a_thread_that_cannot_be_made_leaves_nothing() {
    for persistent in [false, true] {
        let mut refusals = 0;
        for nth in 1.. {
            let (mut host, new) = with_thread_to_make();
            let before = state(&mut host, &new);
            let error = KernelError::IllegalOperation;
            match persistent {
                true => host.kernel().fail_from(nth, error),
                false => host.kernel().fail_nth(nth, error),
            }
            let mut parts = ThreadParts::default();
            let made = host.vmm.allocate_thread(&new, &mut parts);
            let refused = host.kernel().injected_failures();
            host.kernel().disarm();
            host.check();
            assert!(persistent || made.is_ok() || parts.is_empty(), "call {nth}: {parts:?}");
            // What the kernel would not take back is taken back now.
            host.vmm.release_thread(&mut parts).unwrap();
            before.assert_same(&state(&mut host, &new));
            // Where memory is ready, a refused call for more of it is no failure.
            if refused == 0 {
                break;
            }
            refusals += usize::from(made.is_err());
        }
        assert!(refusals > 10, "{refusals} calls were refused");
    }
}

const TOKEN: u32 = 5;

/// Threads that wait for page 1 of a region, and the pager's page.
struct Waits {
    host: Fixture<'static>,
    space: SpaceId,
    region: RegionId,
    endpoint: CPtr,
    page: usize,
}

impl Waits {
    fn new() -> Waits {
        let (mut host, space) = with_space();
        let endpoint = host.vmm.allocate(Blueprint::Endpoint).unwrap().slot();
        let options = RegionOptions::new(4).backed(Backing::Pager { token: TOKEN });
        let region = host.vmm.reserve(space, &options).unwrap();
        let own = host.own();
        let page = host.vmm.map(own, &RegionOptions::new(1)).unwrap().start().bits();
        Waits { host, space, region, endpoint, page }
    }

    /// A thread that waits; returns its ticket and the slot of the right to answer it.
    fn wait(&mut self) -> (ThreadId, u64, CPtr) {
        let tcb = CPtr::new(vmm_tests::model::slot::TCB);
        let thread = self.host.vmm.register_thread(self.space, tcb, self.endpoint, "thread");
        let thread = thread.unwrap();
        let address = self.region.start().bits() + PAGE;
        let fault = PageFault { address, access: Access::Write, present: false, ip: 0 };
        let waits = self.host.vmm.wait_for_page(TOKEN, thread, fault, (TOKEN, 1));
        let (request, reply) = waits.unwrap();
        assert_eq!(self.host.vmm.request(TOKEN, request.ticket), Ok(request));
        (thread, request.ticket, reply)
    }

    fn supply(&mut self, ticket: u64) -> vmm::Result<RequestEnd> {
        let own = self.host.own();
        let end = self.host.vmm.supply_request(TOKEN, ticket, own, self.page, Supply::Share);
        self.host.check();
        end
    }

    /// Nobody waits under this ticket, and its slot can be given back.
    fn over(&mut self, ticket: u64, reply: CPtr) {
        let gone = Err(Error::NoSuchRequest { ticket });
        assert_eq!(self.host.vmm.request(TOKEN, ticket), gone);
        assert_eq!(self.supply(ticket).map(|_| ()), Err(Error::NoSuchRequest { ticket }));
        let refused = self.host.vmm.refuse_request(TOKEN, ticket).map(|_| ());
        assert_eq!(refused, Err(Error::NoSuchRequest { ticket }));
        self.host.vmm.release_slot(reply).unwrap();
        self.host.check();
    }

    fn is_mapped(&self) -> bool {
        let at = self.region.start().bits() + PAGE;
        self.host.vmm.mapping_at(self.space, at).unwrap().is_some()
    }
}

#[test]
fn a_page_that_is_supplied_ends_the_wait_and_others_meet_it() {
    let mut waits = Waits::new();
    let [(_, first, reply), (_, second, other)] = [(); 2].map(|()| waits.wait());
    assert_eq!(waits.supply(first), Ok(RequestEnd::Supplied { reply }));
    assert!(waits.is_mapped());
    assert_eq!(waits.supply(second), Ok(RequestEnd::NotTaken { reply: other }));
    waits.over(first, reply);
    waits.over(second, other);
}

#[test]
fn a_wait_for_a_region_that_is_gone_is_stale() {
    let mut waits = Waits::new();
    let [(_, first, reply), (_, second, other)] = [(); 2].map(|()| waits.wait());
    let request = waits.host.vmm.request(TOKEN, first).unwrap();
    assert!(!waits.host.vmm.request_is_stale(&request));
    waits.host.vmm.release(waits.region).unwrap();
    assert!(waits.host.vmm.request_is_stale(&request));
    assert_eq!(waits.supply(first), Ok(RequestEnd::Stale { reply }));
    waits.over(first, reply);
    // Another pager's region lies there now: a page of this one is none of its.
    let backing = Backing::Pager { token: TOKEN + 1 };
    let options = RegionOptions::new(4).at(waits.region.start().bits()).backed(backing);
    waits.host.vmm.reserve(waits.space, &options).unwrap();
    assert_eq!(waits.supply(second), Ok(RequestEnd::Stale { reply: other }));
    assert!(!waits.is_mapped());
    waits.over(second, other);

    let (_, third, reply) = waits.wait();
    let refused = waits.host.vmm.refuse_request(TOKEN, third);
    assert_eq!(refused, Ok(RequestEnd::Stale { reply }));
    waits.over(third, reply);
}

#[test]
fn a_space_at_its_limit_ends_the_wait_unresolved() {
    let mut waits = Waits::new();
    let (thread, ticket, reply) = waits.wait();
    let used = waits.host.vmm.usage(waits.space).unwrap();
    let limit = Quota { frames: used.frames, ..Quota::UNLIMITED };
    waits.host.vmm.set_quota(waits.space, limit).unwrap();
    match waits.supply(ticket) {
        Ok(RequestEnd::Unresolved { request, reply: at, error: Some(error) }) => {
            assert_eq!((request.thread, request.ticket, at), (thread, ticket, reply));
            let (space, limit) = (waits.space, used.frames);
            let resource = Resource::Frames;
            assert_eq!(error, Error::OutOfQuota { space, resource, limit, used: limit, wanted: 1 });
        }
        other => panic!("{other:?}"),
    }
    waits.over(ticket, reply);
}

/// What is wrong with the page is the pager's to hear of, and the thread waits on.
#[test]
fn a_page_that_the_pager_has_not_got_ends_no_wait() {
    let mut waits = Waits::new();
    let (_, ticket, reply) = waits.wait();
    let own = waits.host.own();
    waits.host.vmm.unmap(own, Pages::at(waits.page)).unwrap();
    assert_eq!(waits.supply(ticket), Err(not_mapped(waits.page)));
    waits.host.vmm.populate(own, Pages::at(waits.page)).unwrap();
    assert_eq!(waits.supply(ticket), Ok(RequestEnd::Supplied { reply }));
    waits.over(ticket, reply);
}

#[test]
fn a_refusal_or_the_end_of_the_pager_leaves_the_wait_unresolved() {
    let mut waits = Waits::new();
    let made = [(); 3].map(|()| waits.wait());
    let refused = waits.host.vmm.refuse_request(TOKEN, made[1].1).unwrap();
    let rest = core::iter::from_fn(|| waits.host.vmm.abandon_request(TOKEN)).collect::<Vec<_>>();
    let ended = [&[refused], &rest[..]].concat();
    // The one that was refused; then the oldest first.
    for (end, number) in ended.iter().zip([1, 0, 2]) {
        let (thread, ticket, reply) = made[number];
        let RequestEnd::Unresolved { request, reply: at, error: None } = *end else {
            panic!("{end:?}");
        };
        assert_eq!((request.thread, request.ticket, at), (thread, ticket, reply));
        waits.over(ticket, reply);
    }
    assert_eq!(ended.len(), 3);
}
