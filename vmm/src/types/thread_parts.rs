// SPDX-License-Identifier: BSD-2-Clause
//! A thread as a whole: what it is to be, and the parts that were made for it.

use untyped_alloc::{CPtr, Object};

use crate::types::ids::{SpaceId, ThreadId};
use crate::types::thread::{ThreadMemory, ThreadOptions, Tls};

/// A thread that [`crate::Vmm::allocate_thread`] is to make.
#[derive(Clone, Copy, Debug)]
pub struct ThreadSpec<'a> {
    /// The space that it runs in.
    pub space: SpaceId,
    /// Its memory.
    pub memory: ThreadOptions<'a>,
    /// Thread-local storage of the same space, of which it is to have a copy
    /// ([`crate::Vmm::clone_tls`]). To be given instead of [`ThreadOptions::tls`].
    pub tls_copy: Option<Tls>,
    /// Its CSpace.
    pub cspace: ThreadCSpace,
    /// Where its faults go.
    pub faults: FaultEndpoint,
}

/// What a thread's capability pointers are resolved in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ThreadCSpace {
    /// The CSpace of the manager.
    Manager,
    /// One CNode, whose slot numbers are the thread's capability pointers.
    CNode {
        /// A capability to it, without a guard, in the manager's CSpace.
        cnode: CPtr,
        /// Logarithm of its number of slots.
        radix_bits: u8,
    },
    /// Several CNodes, one in the other: what a pointer leads to is as the guards in them say.
    Tree {
        /// A capability to the root CNode, in the manager's CSpace, with the guard that it is to
        /// have.
        root: CPtr,
    },
}

/// Where a thread's faults go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultEndpoint {
    /// Nowhere: a thread that faults stops.
    None,
    /// To the endpoint that this capability pointer of its own CSpace leads to.
    At(CPtr),
    /// To `endpoint`, with a badge of the thread's own: it is registered
    /// ([`crate::Vmm::register_thread`]).
    Registered {
        /// A capability to the endpoint, without a badge, in the manager's CSpace.
        endpoint: CPtr,
        /// The pointer of its own CSpace where the caller puts a copy of the badged capability
        /// ([`crate::ThreadInfo::fault_endpoint`]). `None` for a thread in the manager's CSpace,
        /// which uses the capability where it is.
        at: Option<CPtr>,
    },
}

/// A thread that was made, all of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Thread {
    /// Its thread control block.
    pub tcb: Object,
    /// Its stack, IPC buffer and thread-local storage.
    pub memory: ThreadMemory,
    /// What it is registered as, and its capability to the fault endpoint in the manager's CSpace,
    /// if it was to be registered.
    pub registered: Option<(ThreadId, CPtr)>,
}

/// The parts of a thread that exist: all of them, or what is left of it. Give them back with
/// [`crate::Vmm::release_thread`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ThreadParts {
    pub(crate) memory: Option<ThreadMemory>,
    pub(crate) tcb: Option<Object>,
    pub(crate) id: Option<ThreadId>,
}

impl ThreadParts {
    /// Its stack, IPC buffer and thread-local storage.
    pub fn memory(&self) -> Option<ThreadMemory> {
        self.memory
    }

    /// Its thread control block.
    pub fn tcb(&self) -> Option<Object> {
        self.tcb
    }

    /// What it is registered as, if its faults go to an endpoint of the manager's.
    pub fn id(&self) -> Option<ThreadId> {
        self.id
    }

    /// Whether nothing is left of it.
    pub fn is_empty(&self) -> bool {
        *self == ThreadParts::default()
    }
}
