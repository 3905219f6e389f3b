// SPDX-License-Identifier: BSD-2-Clause
//! Spaces, stacks, IPC buffers, memory of threads, kernel objects, and what concerns all memory.

use vmm::{Blueprint, Pages, RegionOptions, ThreadOptions, TlsImage};

use super::super::scenario::{Leaves, Scenario, Things};
use super::super::setup::{a_buffer, a_buffer_in_use, a_space, edge, full_space, nothing, tagged};
use crate::support::PAGE;

const TLS: TlsImage<'static> =
    TlsImage { init: b"initial", memory_bytes: 40, align: 16, address: 0 };

pub const OBJECTS: &[Scenario] = &[
    Scenario {
        name: "make a stack",
        leaves: Leaves::Nothing,
        setup: nothing,
        request: |host, _| host.vmm.allocate_stack(host.vmm.own_space(), 4, "stack").map(drop),
    },
    Scenario {
        name: "make an IPC buffer",
        leaves: Leaves::Nothing,
        setup: a_space,
        request: |host, things| {
            things.buffer = Some(host.vmm.allocate_ipc_buffer(things.space())?);
            Ok(())
        },
    },
    Scenario {
        name: "make a packed IPC buffer",
        leaves: Leaves::Nothing,
        setup: a_space,
        request: |host, things| {
            things.buffer = Some(host.vmm.allocate_packed_ipc_buffer(things.space())?);
            Ok(())
        },
    },
    Scenario {
        name: "set an IPC buffer",
        leaves: Leaves::Nothing,
        setup: a_buffer,
        request: |host, things| {
            let (thread, buffer) = (things.object.expect("set up"), things.buffer.expect("set up"));
            host.vmm.set_ipc_buffer(thread.slot(), buffer)
        },
    },
    Scenario {
        name: "release an IPC buffer that a thread has",
        leaves: Leaves::Progress,
        setup: a_buffer_in_use,
        request: |host, things| host.vmm.release_ipc_buffer(things.buffer.expect("set up")),
    },
    Scenario {
        name: "make a space",
        leaves: Leaves::Nothing,
        setup: nothing,
        request: |host, _| {
            let space = host.vmm.create_space()?;
            host.spaces.push(space);
            Ok(())
        },
    },
    Scenario {
        name: "destroy a space",
        leaves: Leaves::Progress,
        setup: full_space,
        request: |host, things| {
            host.vmm.destroy_space(things.space())?;
            host.spaces.retain(|&space| space != things.space());
            Ok(())
        },
    },
    Scenario {
        name: "move pages out of a block",
        leaves: Leaves::Progress,
        setup: |host| {
            let things = a_space(host);
            let (space, at) = (things.space(), edge(host.target()));
            let options = RegionOptions::new(16).movable(true);
            // Two batches of frames, of each of which some pages stay.
            for at in [at, at + 32 * PAGE] {
                host.vmm.map(space, &options.at(at)).expect("memory");
                tagged(host, space, at, 16);
                host.vmm.unmap(space, Pages::at(at + 2 * PAGE).count(4)).expect("mapped");
                host.vmm.unmap(space, Pages::at(at + 9 * PAGE).count(7)).expect("mapped");
            }
            things
        },
        request: |host, _| host.vmm.compact(12).map(drop),
    },
    Scenario {
        name: "make a thread's memory",
        leaves: Leaves::Nothing,
        setup: a_space,
        request: |host, things| {
            let options = ThreadOptions {
                stack_pages: 3,
                guard_pages: 1,
                growing: None,
                tls: Some(TLS),
                name: "thread",
            };
            things.memory = Some(host.vmm.allocate_thread_memory(things.space(), &options)?);
            Ok(())
        },
    },
    Scenario {
        name: "release a thread's memory",
        leaves: Leaves::Progress,
        setup: |host| {
            let things = a_space(host);
            let options = ThreadOptions {
                stack_pages: 3,
                guard_pages: 1,
                growing: None,
                tls: Some(TLS),
                name: "thread",
            };
            let memory = host.vmm.allocate_thread_memory(things.space(), &options);
            Things { memory: Some(memory.expect("memory")), ..things }
        },
        request: |host, things| host.vmm.release_thread_memory(things.memory.expect("set up")),
    },
    Scenario {
        name: "allocate an object",
        leaves: Leaves::Nothing,
        setup: nothing,
        request: |host, things| {
            things.object = Some(host.vmm.allocate(Blueprint::Tcb)?);
            Ok(())
        },
    },
    Scenario {
        name: "allocate many",
        leaves: Leaves::Nothing,
        setup: nothing,
        request: |host, things| {
            let blueprint = Blueprint::CNode { radix_bits: 4 };
            things.objects = Some(host.vmm.allocate_many(blueprint, 5)?);
            Ok(())
        },
    },
    Scenario {
        name: "free an object",
        leaves: Leaves::Progress,
        setup: |host| {
            let endpoint = host.vmm.allocate(Blueprint::Endpoint).expect("memory");
            Things { object: Some(endpoint), ..Things::default() }
        },
        request: |host, things| host.vmm.free(things.object.expect("set up")),
    },
    Scenario {
        name: "free many",
        leaves: Leaves::Progress,
        setup: |host| {
            let objects = host.vmm.allocate_many(Blueprint::Tcb, 5).expect("memory");
            Things { objects: Some(objects), ..Things::default() }
        },
        request: |host, things| host.vmm.free_many(things.objects.expect("set up")),
    },
    Scenario {
        name: "trim",
        leaves: Leaves::Progress,
        setup: |host| {
            let things = full_space(host);
            host.vmm.release(things.region()).expect("a region");
            things
        },
        request: |host, _| host.vmm.trim(),
    },
];
