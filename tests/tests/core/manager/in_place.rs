// SPDX-License-Identifier: BSD-2-Clause
//! Protecting pages of the manager's own space while they stay where they are (A40).

use untyped_alloc::{Invocation, KernelError};
use vmm::{Error, Pages, Placement, RegionOptions, Rights};
use vmm_tests::model::CallKind;

use super::{FREE, tagged};
use crate::support::{Fixture, PAGE, Snapshot, Target, on_each};

on_each!(
    no_page_is_absent_while_it_is_protected,
    so_are_pages_that_are_cloned,
    without_the_thread_each_is_mapped_anew,
    where_the_thread_does_not_run_each_is_mapped_anew,
    what_the_kernel_refuses_is_told,
    making_the_thread_fails_cleanly,
);

/// A manager that protects in place.
fn prepared(target: Target) -> Fixture<'static> {
    let mut host = Fixture::roomy(target);
    host.vmm.protect_in_place(u8::MAX).expect("memory");
    host
}

/// Protects pages of our own space, and says how often each of these was invoked.
fn protect(host: &mut Fixture<'_>, pages: usize, rights: Rights) -> [u64; 4] {
    let (own, calls) = (host.own(), host.vmm.kernel_calls());
    host.vmm.protect(own, Pages::at(FREE).count(pages), rights).expect("it is ours");
    host.check();
    let calls = host.vmm.kernel_calls().since(&calls);
    let mapped = host.mappings(own);
    assert!((0..pages).all(|page| mapped[&(FREE + page * PAGE)].rights == rights));
    [Invocation::PageUnmap, Invocation::PageMap, Invocation::PageRemap, Invocation::TcbResume]
        .map(|kind| calls.of(kind))
}

fn no_page_is_absent_while_it_is_protected(target: Target) {
    let mut host = prepared(target);
    let own = host.own();
    host.vmm.map(own, &RegionOptions::new(256).at(FREE)).expect("memory");
    host.write(own, FREE + 7 * PAGE, 7);
    assert_eq!(protect(&mut host, 200, Rights::READ), [0, 0, 200, 1]);
    assert_eq!(protect(&mut host, 200, Rights::READ), [0; 4], "they have these rights");
    assert_eq!(protect(&mut host, 1, Rights::READ_WRITE), [0, 0, 1, 1]);
    assert_eq!(host.read(own, FREE + 7 * PAGE), 7);
    // Once is enough.
    let before = Snapshot::settled(&mut host);
    host.vmm.protect_in_place(u8::MAX).expect("it is so");
    before.assert_same(&Snapshot::settled(&mut host));
}

fn so_are_pages_that_are_cloned(target: Target) {
    let mut host = prepared(target);
    let own = host.own();
    let region = tagged(&mut host, FREE, 4);
    let calls = host.vmm.kernel_calls();
    host.vmm.clone_region(region, own, Placement::anywhere()).expect("memory");
    let calls = host.vmm.kernel_calls().since(&calls);
    assert_eq!(calls.of(Invocation::PageUnmap), 0);
    assert_eq!(calls.of(Invocation::PageRemap), 4);
    host.check();
}

fn without_the_thread_each_is_mapped_anew(target: Target) {
    let mut host = Fixture::roomy(target);
    tagged(&mut host, FREE, 8);
    assert_eq!(protect(&mut host, 8, Rights::READ), [8, 8, 0, 0]);
}

fn where_the_thread_does_not_run_each_is_mapped_anew(target: Target) {
    let mut host = prepared(target);
    tagged(&mut host, FREE, 8);
    host.kernel().fail_when(|kind| kind == CallKind::TcbResume, KernelError::IllegalOperation);
    assert_eq!(protect(&mut host, 8, Rights::READ), [8, 8, 8, 1]);
    host.kernel().disarm();
}

fn what_the_kernel_refuses_is_told(target: Target) {
    let mut host = prepared(target);
    let own = host.own();
    tagged(&mut host, FREE, 8);
    for nth in 1..=8 {
        let code = KernelError::IllegalOperation;
        host.kernel().fail_nth_of(CallKind::PageRemap, nth, code);
        let refused = host.vmm.protect(own, Pages::at(FREE).count(8), Rights::READ);
        let invocation = Invocation::PageRemap;
        assert_eq!(refused, Err(Error::Kernel { invocation, error: code, done: nth - 1 }));
        host.check();
        let mapped = host.mappings(own);
        let done = mapped.values().filter(|page| page.rights == Rights::READ).count();
        assert_eq!(done, nth - 1);
        host.kernel().disarm();
        host.vmm.protect(own, Pages::at(FREE).count(8), Rights::READ_WRITE).expect("it is ours");
    }
}

fn making_the_thread_fails_cleanly(target: Target) {
    let mut host = Fixture::roomy(target);
    let before = Snapshot::settled(&mut host);
    for nth in 1.. {
        host.kernel().fail_nth(nth, KernelError::NotEnoughMemory);
        let made = host.vmm.protect_in_place(u8::MAX);
        let failed = !host.kernel().disarm();
        assert_eq!(made.is_err(), failed, "call {nth}: {made:?}");
        host.check();
        if !failed {
            assert!(nth > 4, "only {nth} calls");
            return;
        }
        before.assert_same(&Snapshot::settled(&mut host));
    }
}
