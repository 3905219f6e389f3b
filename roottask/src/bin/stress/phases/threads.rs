// SPDX-License-Identifier: BSD-2-Clause
//! What threads are given: stacks, IPC buffers, both with thread-local storage.

use alloc::vec::Vec;

use roottask::{check, Outcome};
use vmm::{
    Access, Blueprint, FaultClass, IpcBuffer, Object, PageFault, Resolution, SpaceId, Stack,
    ThreadMemory, ThreadOptions, TlsImage,
};

use crate::engine::Stress;
use crate::measure::Kind;
use crate::model::PAGE;

/// What is held for a while.
enum Thing {
    Stack(Stack),
    Buffer(IpcBuffer, Option<Object>),
    Memory(ThreadMemory),
}

const TLS: TlsImage<'static> =
    TlsImage { init: &[1, 2, 3, 4], memory_bytes: 100, align: 16, address: 0 };

/// Takes and gives back, in a random order.
pub fn run(stress: &mut Stress) -> Outcome {
    let mut things = Vec::new();
    for _ in 0..stress.random.within(16, 96) {
        if stress.is_over() {
            break;
        }
        let space = stress.any_space();
        match stress.random.below(9) {
            0 => things.extend(stack(stress, space)?),
            1 => things.extend(growing_stack(stress, space)?),
            2..=3 => things.extend(buffer(stress, space)?),
            4 => things.extend(packed_buffer(stress, space)?),
            5 => things.extend(memory(stress, space)?),
            _ if things.is_empty() => {}
            _ => {
                let index = stress.random.below(things.len());
                give_back(stress, things.swap_remove(index))?;
            }
        }
    }
    for thing in things {
        give_back(stress, thing)?;
    }
    Ok(())
}

fn stack(stress: &mut Stress, space: SpaceId) -> Outcome<Option<Thing>> {
    let pages = stress.random.size(16);
    let stack = stress.attempt(Kind::Stack, |vmm| vmm.allocate_stack(space, pages, "stack"))?;
    Ok(stack.map(Thing::Stack))
}

/// A stack that grows to its guard, by faults from the top down.
fn growing_stack(stress: &mut Stress, space: SpaceId) -> Outcome<Option<Thing>> {
    let (pages, around) = (stress.random.size(32), 1 << stress.random.below(5));
    let fence = match stress.random.once_in(2) {
        true => stress.fence(space, pages)?,
        false => [None; 2],
    };
    let stack = stress
        .attempt(Kind::Stack, |vmm| vmm.allocate_growing_stack(space, pages, around, "growing"))?;
    stress.take_down(fence)?;
    let Some(stack) = stack else { return Ok(None) };
    let mut address = stack.top() - 4;
    while address >= stack.bottom() {
        let present = stress.vmm.mapping_at(space, address)?.is_some();
        if !present {
            let class = match fault(stress, space, address)? {
                Some(Resolution::Resolved(class)) => class,
                Some(_) => FaultClass::NoRegion,
                None => return Ok(Some(Thing::Stack(stack))),
            };
            check!(class == FaultClass::StackGrowth { around });
        }
        address -= PAGE;
    }
    let below = fault(stress, space, stack.bottom() - 4)?;
    check!(below.is_none_or(|answer| answer == Resolution::Unresolved(FaultClass::Guard)));
    Ok(Some(Thing::Stack(stack)))
}

fn fault(stress: &mut Stress, space: SpaceId, address: usize) -> Outcome<Option<Resolution>> {
    let fault = PageFault { address, access: Access::Write, present: false, ip: 0 };
    stress.attempt(Kind::Fault, |vmm| vmm.resolve_fault(space, &fault))
}

/// An IPC buffer, which a thread may have.
fn buffer(stress: &mut Stress, space: SpaceId) -> Outcome<Option<Thing>> {
    let made = stress.attempt(Kind::IpcBuffer, |vmm| vmm.allocate_ipc_buffer(space))?;
    let Some(buffer) = made else { return Ok(None) };
    let tcb = match stress.random.once_in(2) {
        true => stress.attempt(Kind::Allocate, |vmm| vmm.allocate(Blueprint::Tcb))?,
        false => None,
    };
    if let Some(tcb) = tcb {
        stress.must(Kind::SetIpcBuffer, |vmm| vmm.set_ipc_buffer(tcb.slot(), buffer))?;
    }
    Ok(Some(Thing::Buffer(buffer, tcb)))
}

fn packed_buffer(stress: &mut Stress, space: SpaceId) -> Outcome<Option<Thing>> {
    let made = stress.attempt(Kind::IpcBuffer, |vmm| vmm.allocate_packed_ipc_buffer(space))?;
    Ok(made.map(|buffer| Thing::Buffer(buffer, None)))
}

fn memory(stress: &mut Stress, space: SpaceId) -> Outcome<Option<Thing>> {
    let tls = stress.random.once_in(2).then_some(TLS);
    let options = ThreadOptions {
        stack_pages: stress.random.size(8),
        guard_pages: 1,
        growing: None,
        tls,
        name: "thread",
    };
    let made =
        stress.attempt(Kind::ThreadMemory, |vmm| vmm.allocate_thread_memory(space, &options))?;
    Ok(made.map(Thing::Memory))
}

fn give_back(stress: &mut Stress, thing: Thing) -> Outcome {
    match thing {
        Thing::Stack(stack) => stress.must(Kind::Release, |vmm| vmm.release(stack.region())),
        Thing::Buffer(buffer, tcb) => {
            stress.must(Kind::ReleaseIpcBuffer, |vmm| vmm.release_ipc_buffer(buffer))?;
            match tcb {
                Some(tcb) => stress.must(Kind::Free, |vmm| vmm.free(tcb)),
                None => Ok(()),
            }
        }
        Thing::Memory(memory) => {
            stress.must(Kind::ReleaseThread, |vmm| vmm.release_thread_memory(memory))
        }
    }
}
