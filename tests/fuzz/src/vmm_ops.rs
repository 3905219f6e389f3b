//! Operations over several spaces through the manager.
//!
//! ```text
//!   bytes ──► operation ──► manager on the model kernel, perhaps with a kernel call that fails
//!                 │                                │
//!                 └──► reference: may it? ◄────────┴──► validate(), the model's own check,
//!                                                       and every page compared
//! ```
//!
//! An operation that fails for an injected reason is made once more without it. Where all calls from
//! one on failed, undoing failed too: then only what `MODEL.md` says of that is held to. At the end
//! everything is given back, and nothing may be left.

mod apply;
mod compare;
mod decode;
mod execute;
mod finish;
mod judge;
mod lazy;
mod want;

use vmm::{IpcBuffer, KernelError, Object, Objects, RegionId, SpaceId, ThreadMemory};
use vmm_tests::model::Arena;

use crate::bytes::Bytes;
use crate::machine::{self, Manager};
use crate::reference::World;

/// Operations of one input at the most: long ones say little more and take long to check.
const MOST_STEPS: usize = 64;

/// An IPC buffer that was made.
#[derive(Clone, Copy, Debug)]
struct Buffer {
    handle: IpcBuffer,
    packed: bool,
    live: bool,
}

/// A thread's memory that was made, and its parts' regions.
#[derive(Clone, Debug)]
struct Thread {
    memory: ThreadMemory,
    regions: Vec<RegionId>,
}

/// Objects that were allocated.
#[derive(Clone, Copy, Debug)]
enum Thing {
    One(Object, vmm::Blueprint),
    Many(Objects, vmm::Blueprint),
    /// Slots and how many.
    Slots(vmm::CPtr, usize),
}

/// A manager, the reference, and what was handed out.
pub struct Run<'p> {
    vmm: Manager<'p>,
    world: World,
    /// Every id there was, the stale ones too.
    spaces: Vec<SpaceId>,
    regions: Vec<RegionId>,
    buffers: Vec<Buffer>,
    threads: Vec<Thread>,
    things: Vec<(Thing, bool)>,
    /// Whether foreign frames were mapped before, by number of the thing: they are dirty then.
    used: Vec<usize>,
    steps: usize,
    trace: bool,
}

/// A kernel call that is to fail.
#[derive(Clone, Copy, Debug)]
struct Failing {
    /// Its number, counted from 1.
    nth: usize,
    error: KernelError,
    /// Whether all after it fail, too.
    lasts: bool,
}

type Fault = Option<Failing>;

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let config = machine::config(&mut bytes);
    let arena = Arena::new();
    let vmm = machine::boot(&arena, &config);
    let (own, geometry) = (vmm.own_space(), *vmm.geometry());
    let mut run = Run {
        vmm,
        world: World::new(own, geometry),
        spaces: vec![own],
        regions: Vec::new(),
        buffers: Vec::new(),
        threads: Vec::new(),
        things: Vec::new(),
        used: Vec::new(),
        steps: 0,
        trace: std::env::var_os("VMM_FUZZ_TRACE").is_some(),
    };
    run.compare();
    for _ in 0..MOST_STEPS {
        if bytes.is_empty() {
            break;
        }
        let (fault, op) = (run.decode_fault(&mut bytes), run.decode(&mut bytes));
        run.step(op, fault);
    }
    run.give_all_back();
}
