// SPDX-License-Identifier: BSD-2-Clause
//! What a scenario is: something that is set up, and a request for which a kernel call can fail.

use vmm::{Error, IpcBuffer, Kind, Object, Objects, RegionId, Result, SpaceId, ThreadMemory};

use crate::support::Fixture;

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
    pub fn region(&self) -> RegionId {
        self.region.expect("a region")
    }

    pub fn space(&self) -> SpaceId {
        self.space.expect("a space")
    }
}

pub struct Scenario {
    pub name: &'static str,
    pub leaves: Leaves,
    pub setup: fn(&mut Fixture<'_>) -> Things,
    pub request: fn(&mut Fixture<'_>, &mut Things) -> Result,
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
pub fn resume(things: &mut Things, outcome: Result) -> Result {
    if let Err(Error::Kernel { done, .. }) = outcome {
        things.done += done;
    }
    outcome
}
