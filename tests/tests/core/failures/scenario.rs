//! Every operation of the manager as a scenario.

use untyped_alloc::Rights;
use vmm::{
    Blueprint, Error, IpcBuffer, Kind, Object, Objects, PageSize, RegionId, RegionOptions, Result,
    SpaceId, ThreadMemory, ThreadOptions, TlsImage,
};

use crate::support::{Fixture, PAGE, Target};

/// What a failed request leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leaves {
    /// Everything as it was.
    Nothing,
    /// What was done before the failure stays done, and repeating goes on.
    Progress,
}

/// What was set up for a request, each where it is used.
#[derive(Clone, Default)]
pub struct Things {
    pub region: Option<RegionId>,
    pub other: Option<RegionId>,
    pub space: Option<SpaceId>,
    pub buffer: Option<IpcBuffer>,
    pub object: Option<Object>,
    pub objects: Option<Objects>,
    pub memory: Option<ThreadMemory>,
    /// Pages of the request that a failed attempt has done.
    pub done: usize,
}

impl Things {
    fn region(&self) -> RegionId {
        self.region.expect("a region")
    }

    fn space(&self) -> SpaceId {
        self.space.expect("a space")
    }
}

pub struct Scenario {
    pub name: &'static str,
    pub leaves: Leaves,
    pub setup: fn(&mut Fixture<'_>) -> Things,
    pub request: fn(&mut Fixture<'_>, &mut Things) -> Result,
}

/// Just below where one page table ends and the next begins: 5 pages to go.
pub fn edge(target: Target) -> usize {
    0x4000_0000 + (1 << target.large_bits()) - 5 * PAGE
}

fn tagged(host: &Fixture<'_>, space: SpaceId, from: usize, pages: usize) {
    for page in 0..pages {
        host.write(space, from + page * PAGE, 0x1000 + page as u64);
    }
}

fn nothing(_: &mut Fixture<'_>) -> Things {
    Things::default()
}

/// Ten pages over the edge, with contents.
fn ten_pages(host: &mut Fixture<'_>) -> Things {
    let (own, at) = (host.own(), edge(host.target()));
    let region = host.vmm.map(own, &RegionOptions::new(10).at(at)).expect("memory");
    tagged(host, own, at, 10);
    Things { region: Some(region), ..Things::default() }
}

/// Frames that were used, in a batch of which one page still is.
fn dirty_frames(host: &mut Fixture<'_>) -> Things {
    let things = ten_pages(host);
    let (own, at) = (host.own(), edge(host.target()));
    host.vmm.unmap(own, at + PAGE, 9).expect("mapped");
    things
}

fn a_space(host: &mut Fixture<'_>) -> Things {
    let space = host.vmm.create_space().expect("a space");
    host.spaces.push(space);
    Things { space: Some(space), ..Things::default() }
}

/// Ten pages in our own space, and another space.
fn pages_and_space(host: &mut Fixture<'_>) -> Things {
    let space = a_space(host).space;
    Things { space, ..ten_pages(host) }
}

/// Ten pages in our own space, six of which another space sees.
fn shared(host: &mut Fixture<'_>) -> Things {
    let things = pages_and_space(host);
    let (own, at) = (host.own(), edge(host.target()));
    let options = RegionOptions::new(6).at(at).rights(Rights::READ);
    let other = host.vmm.share(own, at + 2 * PAGE, 6, things.space(), &options).expect("shared");
    Things { other: Some(other), ..things }
}

/// A space with memory, a shared region and an IPC buffer's page table.
fn full_space(host: &mut Fixture<'_>) -> Things {
    let things = shared(host);
    let options = RegionOptions::new(5).at(0x1000_0000);
    host.vmm.map(things.space(), &options).expect("memory");
    things
}

fn large_page(host: &mut Fixture<'_>) -> Things {
    let (own, bits) = (host.own(), host.target().large_bits());
    let pages = 1usize << (bits - 12);
    let options = RegionOptions::new(pages).at(0x6000_0000).page_size(PageSize::Large { bits });
    let region = host.vmm.map(own, &options).expect("memory");
    tagged(host, own, 0x6000_0000, 4);
    Things { region: Some(region), ..Things::default() }
}

fn a_buffer(host: &mut Fixture<'_>) -> Things {
    let thread = host.vmm.allocate(Blueprint::Tcb).expect("a thread");
    let buffer = host.vmm.allocate_ipc_buffer(host.own()).expect("a buffer");
    Things { object: Some(thread), buffer: Some(buffer), ..Things::default() }
}

fn a_buffer_in_use(host: &mut Fixture<'_>) -> Things {
    let things = a_buffer(host);
    let (thread, buffer) = (things.object.expect("a thread"), things.buffer.expect("a buffer"));
    host.vmm.set_ipc_buffer(thread.slot(), buffer).expect("set");
    things
}

fn cow_pair(host: &mut Fixture<'_>) -> Things {
    let things = pages_and_space(host);
    let options = RegionOptions::new(10).at(0x5000_0000);
    let other = host.vmm.clone_region(things.region(), things.space(), &options).expect("cloned");
    Things { other: Some(other), ..things }
}

/// Ten pages in our own space, and a region like theirs in another that has nothing mapped.
fn pages_and_place(host: &mut Fixture<'_>) -> Things {
    let things = pages_and_space(host);
    let options = RegionOptions::new(10).at(0x5000_0000);
    let other = host.vmm.reserve_like(things.region(), things.space(), &options);
    Things { other: Some(other.expect("there is room")), ..things }
}

/// Gives everything back that there is, whatever of it was given back before.
pub fn take_down(host: &mut Fixture<'_>, things: &Things) {
    let gone = |result: Result| match result {
        Err(Error::NoSuchRegion(_) | Error::NoSuchIpcBuffer { .. }) | Ok(()) => {}
        Err(error) => panic!("{error:?}"),
    };
    if let Some(memory) = things.memory {
        gone(host.vmm.release_thread_memory(memory));
    }
    if let Some(buffer) = things.buffer {
        gone(host.vmm.release_ipc_buffer(buffer));
    }
    for space in host.spaces.clone() {
        let mut at = 0;
        while let Some(info) = host.vmm.next_region(space, at).expect("a space") {
            at = info.range.end();
            if matches!(info.kind, Kind::Memory | Kind::Stack) {
                host.vmm.release(info.id).expect("a region");
            }
        }
    }
    for space in host.spaces.split_off(1) {
        host.vmm.destroy_space(space).expect("a space");
    }
    let gone = |result: Result| match result {
        Err(Error::Allocator(untyped_alloc::Error::NotAllocated(_))) | Ok(()) => {}
        Err(Error::Allocator(untyped_alloc::Error::Stale(_))) => {}
        Err(error) => panic!("{error:?}"),
    };
    if let Some(object) = things.object {
        gone(host.vmm.free(object));
    }
    if let Some(objects) = things.objects {
        gone(host.vmm.free_many(objects));
    }
}

/// Remembers how far a request with progress came.
fn resume(things: &mut Things, outcome: Result) -> Result {
    if let Err(Error::Kernel { done, .. }) = outcome {
        things.done += done;
    }
    outcome
}

const TLS: TlsImage<'static> =
    TlsImage { init: b"initial", memory_bytes: 40, align: 16, address: 0 };

/// All of them.
pub const ALL: &[Scenario] = &[
    Scenario {
        name: "map over the edge of a page table",
        leaves: Leaves::Nothing,
        setup: nothing,
        request: |host, _| {
            let options = RegionOptions::new(10).at(edge(host.target())).guarded(1, 1);
            host.vmm.map(host.vmm.own_space(), &options).map(drop)
        },
    },
    Scenario {
        name: "map frames that were used",
        leaves: Leaves::Nothing,
        setup: dirty_frames,
        request: |host, _| {
            host.vmm.map(host.vmm.own_space(), &RegionOptions::new(12).at(0x5000_0000)).map(drop)
        },
    },
    Scenario {
        name: "map in another space",
        leaves: Leaves::Nothing,
        setup: a_space,
        request: |host, things| {
            let options = RegionOptions::new(10).at(edge(host.target()));
            host.vmm.map(things.space(), &options).map(drop)
        },
    },
    Scenario {
        name: "populate the middle",
        leaves: Leaves::Nothing,
        setup: |host| {
            let options = RegionOptions::new(10).at(edge(host.target()));
            let region = host.vmm.reserve(host.vmm.own_space(), &options).expect("room");
            Things { region: Some(region), ..Things::default() }
        },
        request: |host, _| {
            host.vmm.populate(host.vmm.own_space(), edge(host.target()) + 2 * PAGE, 6)
        },
    },
    Scenario {
        name: "map a large page",
        leaves: Leaves::Nothing,
        setup: nothing,
        request: |host, _| {
            let bits = host.target().large_bits();
            let options = RegionOptions::new(1 << (bits - 12)).at(0x6000_0000);
            let options = options.page_size(PageSize::Large { bits });
            host.vmm.map(host.vmm.own_space(), &options).map(drop)
        },
    },
    Scenario {
        name: "unmap the middle",
        leaves: Leaves::Progress,
        setup: ten_pages,
        request: |host, things| {
            let from = edge(host.target()) + (2 + things.done) * PAGE;
            let outcome = host.vmm.unmap(host.vmm.own_space(), from, 6 - things.done);
            resume(things, outcome)
        },
    },
    Scenario {
        name: "decommit the middle, with holes",
        leaves: Leaves::Progress,
        setup: ten_pages,
        request: |host, _| {
            let from = edge(host.target()) + 2 * PAGE;
            host.vmm.decommit(host.vmm.own_space(), from, 6)
        },
    },
    Scenario {
        name: "unmap part of a large page",
        leaves: Leaves::Progress,
        setup: large_page,
        request: |host, things| {
            let from = 0x6000_0000 + (2 + things.done) * PAGE;
            let outcome = host.vmm.unmap(host.vmm.own_space(), from, 3 - things.done);
            resume(things, outcome)
        },
    },
    Scenario {
        name: "protect the middle",
        leaves: Leaves::Progress,
        setup: ten_pages,
        request: |host, _| {
            let from = edge(host.target()) + 2 * PAGE;
            host.vmm.protect(host.vmm.own_space(), from, 6, Rights::READ)
        },
    },
    Scenario {
        name: "protect part of a large page",
        leaves: Leaves::Progress,
        setup: large_page,
        request: |host, _| {
            host.vmm.protect(host.vmm.own_space(), 0x6000_0000 + 2 * PAGE, 3, Rights::READ)
        },
    },
    Scenario {
        name: "release a region",
        leaves: Leaves::Progress,
        setup: ten_pages,
        request: |host, things| host.vmm.release(things.region()),
    },
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
        name: "share",
        leaves: Leaves::Nothing,
        setup: pages_and_space,
        request: |host, things| {
            let options = RegionOptions::new(6).at(0x5000_0000).rights(Rights::READ);
            let from = edge(host.target()) + 2 * PAGE;
            host.vmm.share(host.vmm.own_space(), from, 6, things.space(), &options).map(drop)
        },
    },
    Scenario {
        name: "release what is shared, its owner first",
        leaves: Leaves::Progress,
        setup: shared,
        request: |host, things| host.vmm.release(things.region()),
    },
    Scenario {
        name: "release a shared copy",
        leaves: Leaves::Progress,
        setup: shared,
        request: |host, things| host.vmm.release(things.other.expect("set up")),
    },
    Scenario {
        name: "clone a region",
        leaves: Leaves::Nothing,
        setup: pages_and_space,
        request: |host, things| {
            let options = RegionOptions::new(10).at(0x5000_0000);
            host.vmm.clone_region(things.region(), things.space(), &options).map(drop)
        },
    },
    Scenario {
        name: "clone a space",
        leaves: Leaves::Nothing,
        setup: |host| {
            let things = a_space(host);
            for at in [0x1000_0000, 0x5000_0000] {
                host.vmm.map(things.space(), &RegionOptions::new(4).at(at)).expect("memory");
            }
            things
        },
        request: |host, things| {
            let clone = host.vmm.clone_space(things.space())?;
            host.spaces.push(clone);
            Ok(())
        },
    },
    Scenario {
        name: "clone the middle of a region into another",
        leaves: Leaves::Nothing,
        setup: pages_and_place,
        request: |host, things| {
            let into = things.other.expect("set up");
            let done = host.vmm.clone_pages(things.region(), 2, into, 5)?;
            assert_eq!(done, 5);
            Ok(())
        },
    },
    Scenario {
        name: "share into the middle of a region",
        leaves: Leaves::Nothing,
        setup: pages_and_place,
        request: |host, things| {
            let (own, from) = (host.own(), edge(host.target()) + 2 * PAGE);
            host.vmm.share_into(own, from, 6, things.other.expect("set up"), 3)
        },
    },
    Scenario {
        name: "release a clone",
        leaves: Leaves::Progress,
        setup: cow_pair,
        request: |host, things| host.vmm.release(things.other.expect("set up")),
    },
    Scenario {
        name: "unmap a page amid those of a clone",
        leaves: Leaves::Progress,
        setup: cow_pair,
        request: |host, things| host.vmm.unmap(things.space(), 0x5000_0000 + 4 * PAGE, 1),
    },
    Scenario {
        name: "unmap a page amid those that a clone has",
        leaves: Leaves::Progress,
        setup: cow_pair,
        request: |host, _| host.vmm.unmap(host.vmm.own_space(), edge(host.target()) + 6 * PAGE, 1),
    },
    Scenario {
        name: "unmap a page amid a caller's",
        leaves: Leaves::Progress,
        setup: |host| {
            let frames = host.vmm.allocate_many(Blueprint::Frame { size_bits: 12 }, 8);
            let frames = frames.expect("memory");
            let (own, options) = (host.own(), RegionOptions::new(8).at(0x5000_0000));
            host.vmm.map_objects(own, frames, &options).expect("memory");
            Things { objects: Some(frames), ..Things::default() }
        },
        request: |host, _| host.vmm.unmap(host.vmm.own_space(), 0x5000_0000 + 3 * PAGE, 1),
    },
    Scenario {
        name: "split a region",
        leaves: Leaves::Nothing,
        setup: ten_pages,
        request: |host, things| host.vmm.split_region(things.region(), 3).map(drop),
    },
    Scenario {
        name: "move a region",
        leaves: Leaves::Nothing,
        setup: ten_pages,
        request: |host, things| {
            let options = RegionOptions::new(10).at(0x5000_0000);
            host.vmm.move_region(things.region(), &options).map(drop)
        },
    },
    Scenario {
        name: "map a device",
        leaves: Leaves::Nothing,
        setup: nothing,
        request: |host, _| {
            let options = RegionOptions::new(3).at(0x5000_0000);
            let paddr = host.machine.device() + PAGE;
            host.vmm.map_physical(host.vmm.own_space(), paddr, &options).map(drop)
        },
    },
    Scenario {
        name: "unmap a device",
        leaves: Leaves::Progress,
        setup: |host| {
            let (own, options) = (host.own(), RegionOptions::new(3).at(0x5000_0000));
            let paddr = host.machine.device() + PAGE;
            let region = host.vmm.map_physical(own, paddr, &options).expect("a device");
            Things { region: Some(region), ..Things::default() }
        },
        request: |host, things| host.vmm.release(things.region()),
    },
    Scenario {
        name: "map frames of the caller's",
        leaves: Leaves::Nothing,
        setup: |host| {
            let frame = Blueprint::Frame { size_bits: 12 };
            let frames = host.vmm.allocate_many(frame, 8).expect("memory");
            Things { objects: Some(frames), ..Things::default() }
        },
        request: |host, things| {
            let options = RegionOptions::new(8).at(edge(host.target()));
            let frames = things.objects.expect("set up");
            host.vmm.map_objects(host.vmm.own_space(), frames, &options).map(drop)
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
                host.vmm.unmap(space, at + 2 * PAGE, 4).expect("mapped");
                host.vmm.unmap(space, at + 9 * PAGE, 7).expect("mapped");
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
