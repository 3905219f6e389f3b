// SPDX-License-Identifier: BSD-2-Clause
//! Badges that are used again, with so few of them that they are used up: on the real kernel, with
//! messages of ended threads in the queue.

use alloc::vec::Vec;

use roottask::{check, check_eq, Outcome};
use sel4::{cap, sys, MessageInfoBuilder, Word};
use vmm::{Blueprint, CPtr, CapPath, Error, Rights, ThreadId};

use crate::context::{cap_of, let_children_run, Child, Context};

crate::table::tests!("badges":
    a_message_of_an_ended_thread_is_not_of_the_one_with_its_badge,
);

/// Badges that there are.
const MAX_NUMBER: u32 = 3;
/// What the manager has otherwise.
const ALL: u32 = (1 << 27) - 1;

/// Calls by a capability; returns the label of the answer.
fn call(cptr: usize) -> Word {
    let info = MessageInfoBuilder::default().label(sys::seL4_Fault_VMFault).length(4).build();
    cap::Endpoint::from_bits(cptr as Word).call(info).label()
}

/// Takes what waits at the endpoint; returns its badge, 0 for nothing.
fn receive(endpoint: cap::Endpoint) -> Word {
    endpoint.nb_recv(()).1
}

/// A73, A74, A75.
fn a_message_of_an_ended_thread_is_not_of_the_one_with_its_badge(context: &mut Context) -> Outcome {
    context.vmm.narrow_numbers(MAX_NUMBER);
    let outcome = ended_threads(context);
    context.vmm.narrow_numbers(ALL);
    outcome
}

fn ended_threads(context: &mut Context) -> Outcome {
    let endpoint = context.vmm.allocate(Blueprint::Endpoint)?;
    let at: cap::Endpoint = cap_of(endpoint);
    let (mut ended, mut senders): (Vec<ThreadId>, Vec<Child>) = (Vec::new(), Vec::new());
    // A copy of each thread's capability for another, which calls by it; then the thread ends.
    let copies = context.vmm.alloc_slots(3 * MAX_NUMBER as usize)?;
    for round in 0..3 * MAX_NUMBER {
        let id = context.vmm.register_thread(context.space, CPtr::NULL, endpoint.slot(), "ends")?;
        check!(id.badge() <= MAX_NUMBER as usize && !ended.contains(&id));
        let passed_on = copies.offset(round as usize);
        let path: CapPath = context.vmm.allocator().path(passed_on);
        let its = context.vmm.thread(id)?.fault_endpoint;
        context.vmm.copy_cap(path, its, Rights::WRITE | Rights::GRANT)?;
        senders.push(context.spawn(call, passed_on.bits())?);
        let_children_run()?;
        context.vmm.unregister_thread(id)?;
        ended.push(id);
        for id in &ended {
            check_eq!(context.vmm.thread(*id), Err(Error::NoSuchThread(*id)));
        }
        if round == 2 * MAX_NUMBER - 1 {
            // They do wait, each badge once: those of the round before were cancelled.
            let mut badges = [0; MAX_NUMBER as usize];
            badges.fill_with(|| receive(at));
            badges.sort_unstable();
            check_eq!(badges, [1, 2, 3]);
            check_eq!(receive(at), 0);
        }
    }
    // As many live threads as there can be: no message is any one's.
    let mut alive: Vec<ThreadId> = Vec::new();
    for _ in 0..MAX_NUMBER {
        let own = context.space;
        alive.push(context.vmm.register_thread(own, CPtr::NULL, endpoint.slot(), "lives")?);
    }
    let more = context.vmm.register_thread(context.space, CPtr::NULL, endpoint.slot(), "more");
    check_eq!(more, Err(Error::OutOfBadges));
    check_eq!(receive(at), 0);
    // Whose call was cancelled called again, by a capability that was gone. Those that were
    // received are not answered.
    for (round, sender) in senders.iter().enumerate() {
        if !(MAX_NUMBER as usize..2 * MAX_NUMBER as usize).contains(&round) {
            check_eq!(sender.result()?, sys::seL4_InvalidCapability);
        }
    }
    // A live thread's message arrives, and is its own.
    let its = context.vmm.thread(alive[0])?.fault_endpoint;
    context.spawn(call, its.bits())?;
    let_children_run()?;
    let badge = receive(at) as usize;
    check_eq!(context.vmm.thread_with_badge(badge)?.id, alive[0]);
    for id in alive {
        context.vmm.unregister_thread(id)?;
    }
    context.vmm.free_slots(copies, 3 * MAX_NUMBER as usize)?;
    Ok(context.vmm.free(endpoint)?)
}
