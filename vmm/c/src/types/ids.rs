// SPDX-License-Identifier: BSD-2-Clause
//! Spaces, regions, objects, threads, as C holds them: values to be copied and handed back as they
//! are. Any bytes make one; only those that the manager gave, of what is still there, are accepted.

use untyped_alloc::{CPtr, Object};
use vmm::{IpcBuffer, RegionId, SpaceId, Stack, ThreadId, VirtAddr};

/// A capability pointer, as seL4's own seL4_CPtr: a word.
pub type vmm_cptr_t = usize;

/// The thread control block of the first thread (seL4_CapInitThreadTCB).
pub const VMM_INITIAL_TCB: vmm_cptr_t = 1;

/// An address space. All zero is the program's own.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct vmm_space_t {
    /// Tells it from spaces that had its number before.
    pub serial: u64,
    /// 1 to 2^27 - 1; 0 for the program's own space.
    pub number: u32,
}

/// A region of addresses.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct vmm_region_t {
    /// The space it lies in.
    pub space: vmm_space_t,
    /// Tells it from regions that began where it does before.
    pub serial: u64,
    /// Where it begins, in bytes, guard pages included.
    pub start: usize,
    /// The first address that can be used, in bytes: behind the guard pages below.
    pub address: usize,
}

/// A stack, which grows downwards.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct vmm_stack_t {
    /// Its region, which vmm_release gives back.
    pub region: vmm_region_t,
    /// The lowest address that can be used, in bytes. The pages below are the guard.
    pub bottom: usize,
    /// The address after the highest, page-aligned: the first stack pointer.
    pub top: usize,
}

/// An IPC buffer, in a frame of its own, with an unmapped page on either side.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct vmm_ipc_buffer_t {
    /// The region it lies in, perhaps with others.
    pub region: vmm_region_t,
    /// Its address, in bytes; page-aligned.
    pub address: usize,
    /// The capability of its frame.
    pub frame: vmm_cptr_t,
}

/// A kernel object.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct vmm_object_t {
    /// Tells it from objects whose capabilities had its slot before.
    pub serial: u64,
    /// Its capability.
    pub cptr: vmm_cptr_t,
}

/// A thread whose faults are answered.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct vmm_thread_t {
    /// Tells it from threads that had its badge before.
    pub serial: u64,
    /// The badge of its fault messages: 1 to 2^27 - 1.
    pub badge: u32,
}

impl vmm_space_t {
    /// The manager's id of it; `own` is that of its own space.
    pub fn id(self, own: SpaceId) -> SpaceId {
        match self == vmm_space_t::default() {
            true => own,
            false => SpaceId::from_parts(self.number, self.serial),
        }
    }
}

impl vmm_region_t {
    /// The manager's id of it.
    pub fn id(self, own: SpaceId) -> RegionId {
        // Not refused here where it is no address: no region begins there.
        let start = VirtAddr::default().checked_add(self.start).unwrap_or_default();
        RegionId::from_parts(self.space.id(own), start, self.serial)
    }

    /// What C is told of a region with so many bytes of guard pages below.
    pub fn new(id: RegionId, guard_bytes: usize) -> vmm_region_t {
        let start = id.start().bits();
        vmm_region_t {
            space: id.space().into(),
            serial: id.serial(),
            start,
            address: start + guard_bytes,
        }
    }
}

impl vmm_object_t {
    /// The manager's id of it.
    pub fn id(self) -> Object {
        Object::from_parts(CPtr::new(self.cptr), self.serial)
    }
}

impl vmm_thread_t {
    /// The manager's id of it.
    pub fn id(self) -> ThreadId {
        ThreadId::from_parts(self.badge as usize, self.serial)
    }
}

impl From<SpaceId> for vmm_space_t {
    fn from(id: SpaceId) -> vmm_space_t {
        vmm_space_t { serial: id.serial(), number: id.number() }
    }
}

impl From<Stack> for vmm_stack_t {
    fn from(stack: Stack) -> vmm_stack_t {
        let region = vmm_region_t::new(stack.region(), stack.bottom() - stack.guard());
        vmm_stack_t { region, bottom: stack.bottom(), top: stack.top() }
    }
}

impl From<IpcBuffer> for vmm_ipc_buffer_t {
    fn from(buffer: IpcBuffer) -> vmm_ipc_buffer_t {
        vmm_ipc_buffer_t {
            region: vmm_region_t::new(buffer.region(), 0),
            address: buffer.address(),
            frame: buffer.frame().bits(),
        }
    }
}

impl From<Object> for vmm_object_t {
    fn from(object: Object) -> vmm_object_t {
        vmm_object_t { serial: object.serial(), cptr: object.slot().bits() }
    }
}

impl From<ThreadId> for vmm_thread_t {
    fn from(id: ThreadId) -> vmm_thread_t {
        vmm_thread_t { serial: id.serial(), badge: id.badge() as u32 }
    }
}
