// SPDX-License-Identifier: BSD-2-Clause
//! Threads as the kernel has them: what they run in, and where their faults go.
//!
//! Checks A12 and A63 of `MODEL.md`.

use vmm::{
    Blueprint, CPtr, FaultEndpoint, Invocation, ThreadCSpace, ThreadOptions, ThreadParts,
    ThreadSpec,
};
use vmm_tests::model::Cap;

use crate::support::{Fixture, Snapshot, Target, on_each};

on_each!(a_thread_runs_in_the_spaces_that_it_was_given, a_buffer_goes_with_its_thread);

/// Where the object of a capability lies.
fn base(cap: Cap) -> Option<usize> {
    match cap {
        Cap::CNode { base, .. } | Cap::Table { base, .. } | Cap::Frame { base, .. } => Some(base),
        _ => None,
    }
}

/// A300: its frame is revoked only where another thread was given it.
fn a_buffer_goes_with_its_thread(target: Target) {
    let memory =
        ThreadOptions { stack_pages: 1, guard_pages: 1, growing: None, tls: None, name: "t" };
    for (lent, whole, revoked) in [(false, true, 1), (true, true, 2), (false, false, 1)] {
        let mut host = Fixture::small(target);
        let space = host.vmm.create_space().expect("memory");
        host.spaces.push(space);
        let (cspace, faults) = (ThreadCSpace::Manager, FaultEndpoint::None);
        let spec = ThreadSpec { space, memory, tls_copy: None, cspace, faults };
        let mut parts = ThreadParts::default();
        let thread = host.vmm.allocate_thread(&spec, &mut parts).expect("memory");
        let (tcb, buffer) = (thread.tcb.slot(), thread.memory.ipc_buffer);
        let other = host.vmm.allocate(Blueprint::Tcb).expect("memory");
        if lent {
            host.vmm.set_ipc_buffer(other.slot(), buffer).expect("a thread");
        }
        let before = host.vmm.kernel_calls();
        match whole {
            true => host.vmm.release_thread(&mut parts).expect("no call is refused"),
            // The thread is there still: it is to have no buffer then.
            false => host.vmm.release_thread_memory(thread.memory).expect("no call is refused"),
        }
        // The thread's own is the first of them.
        let calls = host.vmm.kernel_calls().since(&before).of(Invocation::CNodeRevoke);
        assert_eq!(calls, revoked);
        for left in [tcb, other.slot()] {
            let has = host.kernel().tcb(left).map(|left| left.ipc_frame);
            assert!(matches!(has, None | Some(Cap::Null)), "{has:?}");
        }
        host.check();
    }
}

/// Whatever its CSpace, and wherever its faults go; and ended, it leaves nothing.
fn a_thread_runs_in_the_spaces_that_it_was_given(target: Target) {
    let mut host = Fixture::small(target);
    let space = host.vmm.create_space().expect("memory");
    host.spaces.push(space);
    let endpoint = host.vmm.allocate(Blueprint::Endpoint).expect("memory").slot();
    let cnode = host.vmm.allocate(Blueprint::CNode { radix_bits: 5 }).expect("memory").slot();
    let there = CPtr::new(7);
    let ours = (ThreadCSpace::Manager, host.vmm.cspace_root(), None);
    let own = (ThreadCSpace::CNode { cnode, radix_bits: 5 }, cnode, Some(5));
    for (cspace, root, radix_bits) in [ours, own] {
        let registered = FaultEndpoint::Registered { endpoint, at: radix_bits.map(|_| there) };
        for faults in [FaultEndpoint::None, FaultEndpoint::At(there), registered] {
            for space in [host.own(), space] {
                // What is kept for the next one is there after the first.
                let before = Snapshot::settled(&mut host);
                let memory = ThreadOptions {
                    stack_pages: 2,
                    guard_pages: 1,
                    growing: None,
                    tls: None,
                    name: "thread",
                };
                let spec = ThreadSpec { space, memory, tls_copy: None, cspace, faults };
                let mut parts = ThreadParts::default();
                let thread = host.vmm.allocate_thread(&spec, &mut parts).expect("memory");
                let vspace = host.vmm.vspace(space).expect("a space");
                let buffer = thread.memory.ipc_buffer;
                assert_eq!((parts.memory(), parts.tcb()), (Some(thread.memory), Some(thread.tcb)));
                assert_eq!(parts.id(), thread.registered.map(|(id, _)| id));
                {
                    let kernel = host.kernel();
                    let found = kernel.tcb(thread.tcb.slot()).expect("a thread");
                    assert_eq!(base(found.vspace), base(kernel.cap(vspace)), "its VSpace");
                    assert_eq!(base(found.cspace), base(kernel.cap(root)), "its CSpace");
                    if let (Some(radix_bits), Cap::CNode { guard, guard_bits, radix, .. }) =
                        (radix_bits, found.cspace)
                    {
                        let word_bits = target.architecture().sizes.word_bits;
                        assert_eq!((guard, radix), (0, radix_bits), "slot numbers are pointers");
                        assert_eq!(guard_bits + radix, word_bits);
                    }
                    assert_eq!(found.ipc_buffer, buffer.address());
                    assert_eq!(base(found.ipc_frame), base(kernel.cap(buffer.frame())));
                    let expected = match (faults, thread.registered) {
                        (FaultEndpoint::None, None) => CPtr::NULL,
                        (FaultEndpoint::At(_), None) => there,
                        (FaultEndpoint::Registered { at, .. }, Some((_, badged))) => {
                            at.unwrap_or(badged)
                        }
                        other => panic!("registered or not: {other:?}"),
                    };
                    assert_eq!(found.fault_endpoint, expected.bits());
                }
                host.check();
                assert_eq!(host.vmm.usage(space).expect("a space").objects, 1, "the thread");
                host.vmm.release_thread(&mut parts).expect("no call is refused");
                before.assert_same(&Snapshot::settled(&mut host));
                host.check();
            }
        }
    }
}
