//! The threads of a client's program.
//!
//! ```text
//!   the first         made with the program         its faults: FAULT_SLOT
//!   further ones      Request::Thread               its faults: the slot that the client names
//!                     known by the address of its IPC buffer, until Request::EndThread
//! ```
//!
//! Each has a stack with guards, an IPC buffer and a block of thread-local storage of its own, and a
//! badge for its faults. A client has no capability to its threads: what it can do with one is say
//! where it begins, and end it. All of it counts as the client's.

use untyped_alloc::{Blueprint, CapPath, Kernel, Memory, Object, Rights};
use vmm_client::protocol::{
    Answer, NewThread, Refusal, CNODE_BITS, FAULT_SLOT, FIRST_FREE_SLOT, MOST_THREADS,
};

use crate::ThreadId;
use crate::Vmm;
use crate::{Error, Result};
use crate::{ThreadMemory, ThreadOptions, TlsImage};

use super::clients::{Client, Held, CLIENT_BADGE};
use super::memory::room_for_regions;
use super::program::Start;
use super::refusal::{narrow, refuse};
use super::{no_node, Event, Outcome, Service};

/// A thread, as far as it is made, or not yet taken apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Worker {
    pub tcb: Option<Object>,
    pub thread: Option<ThreadId>,
    pub memory: Option<ThreadMemory>,
    /// The slot of the client's CNode for its faults.
    slot: u32,
}

impl Worker {
    /// The address of its IPC buffer.
    pub fn buffer(&self) -> Option<usize> {
        self.memory.map(|memory| memory.ipc_buffer.address())
    }
}

/// Regions of a new thread: stack, IPC buffer, thread-local storage.
const REGIONS: u32 = 3;

impl<'p> Service<'p> {
    /// [`vmm_client::protocol::Request::Thread`].
    pub(super) fn new_thread<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        asked: &NewThread,
    ) -> Outcome {
        let NewThread { entry, argument, stack_pages, slot } = *asked;
        let made = self.may_have_thread(vmm, client, slot).and_then(|()| {
            let start = self.make_thread(vmm, client, stack_pages as usize, slot, None);
            start.map_err(refuse)
        });
        match made {
            Ok(start) => {
                let start = Start { entry: entry as usize, ..start };
                let address = narrow(start.ipc_buffer);
                let event = Event::Thread { client: client.id(), start, argument };
                Outcome { event: Some(event), ..Outcome::answer(Ok(Answer::Address(address))) }
            }
            Err(refusal) => Outcome::answer(Err(refusal)),
        }
    }

    fn may_have_thread<K: Kernel + Memory<'p>>(
        &self,
        vmm: &Vmm<'p, K>,
        client: &Client<'p>,
        slot: u32,
    ) -> Result<(), Refusal> {
        let held = client.slots.get(slot as usize).map(|held| held.get());
        if slot < FIRST_FREE_SLOT || held != Some(Held::Nothing) || client.cnode.get().is_none() {
            return Err(Refusal::BadSlot);
        }
        if client.threads.iter().all(|thread| thread.get().is_some()) {
            return Err(Refusal::TooMuch { most: MOST_THREADS });
        }
        room_for_regions(vmm, client, REGIONS)
    }

    /// Makes a thread of a client's, which does not run yet, and whose entry is left 0. `tls` is
    /// what its local storage begins with; without it, what was said for the first thread.
    ///
    /// # Errors
    /// Those of [`Vmm::allocate_thread_memory`] and of what follows it. Nothing is left behind, but
    /// what the kernel refuses to take back: that goes with the client.
    pub(super) fn make_thread<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        stack_pages: usize,
        slot: u32,
        tls: Option<TlsImage<'_>>,
    ) -> Result<Start> {
        let free = client.threads.iter().position(|thread| thread.get().is_none());
        let index = free.ok_or_else(no_node)?;
        let worker = Worker { tcb: None, thread: None, memory: None, slot };
        client.threads[index].set(Some(worker));
        let made = self.fill_worker(vmm, client, index, stack_pages, tls);
        if made.is_err() {
            // What is refused again stays recorded, and goes when the client ends.
            let _ = self.end_worker(vmm, client, index);
        }
        made
    }

    fn fill_worker<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        index: usize,
        stack_pages: usize,
        tls: Option<TlsImage<'_>>,
    ) -> Result<Start> {
        let (space, cell) = (client.space(), &client.threads[index]);
        let update = |change: &dyn Fn(&mut Worker)| {
            if let Some(mut worker) = cell.get() {
                change(&mut worker);
                cell.set(Some(worker));
            }
        };
        let name = client.name.get();
        let options = ThreadOptions { stack_pages, tls, name: name.as_str() };
        let mut memory = vmm.allocate_thread_memory(space, &options)?;
        update(&|worker| worker.memory = Some(memory));
        if let Some(original) = client.tls.get() {
            memory.tls = Some(vmm.clone_tls(original)?);
            update(&|worker| worker.memory = Some(memory));
        }
        let tcb = vmm.allocate_for(space, Blueprint::Tcb)?;
        update(&|worker| worker.tcb = Some(tcb));
        let thread = vmm.register_thread(space, tcb.slot(), self.endpoint, name.as_str())?;
        update(&|worker| worker.thread = Some(thread));
        // Its faults must not look like a client's requests, after 2^27 threads.
        if thread.badge() & CLIENT_BADGE != 0 {
            return Err(no_node());
        }
        let Some(Worker { slot, .. }) = cell.get() else { return Err(no_node()) };
        let faults = vmm.thread(thread)?.fault_endpoint;
        self.put(vmm, client, slot, faults, Rights::WRITE | Rights::GRANT, None)?;
        client.slots[slot as usize].set(Held::Faults);
        self.set_space(vmm, client, tcb.slot(), slot)?;
        vmm.set_ipc_buffer(tcb.slot(), memory.ipc_buffer)?;
        Ok(Start {
            tcb: tcb.slot(),
            entry: 0,
            stack_top: memory.stack.top(),
            ipc_buffer: memory.ipc_buffer.address(),
            thread_pointer: memory.tls.map_or(0, |tls| tls.thread_pointer()),
        })
    }

    /// [`vmm_client::protocol::Request::EndThread`].
    pub(super) fn end_thread<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        thread: u32,
    ) -> Result<(), Refusal> {
        let is_it = |worker: Worker| worker.buffer() == Some(thread as usize);
        let mut further = client.threads.iter().skip(1);
        let index = further.position(|worker| worker.get().is_some_and(is_it));
        let index = index.ok_or(Refusal::NoSuchThread)? + 1;
        self.end_worker(vmm, client, index).map_err(refuse)
    }

    /// Takes a thread apart, with all that was made for it.
    fn end_worker<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        index: usize,
    ) -> Result {
        self.stop_worker(vmm, client, index)?;
        let Some(worker) = client.threads[index].get() else { return Ok(()) };
        if let (Some(cnode), Held::Faults) = (client.cnode.get(), held_in(client, worker.slot)) {
            let path =
                CapPath { root: cnode.slot(), index: worker.slot as usize, depth: CNODE_BITS };
            vmm.kernel.cnode_delete(path)?;
            client.slots[worker.slot as usize].set(Held::Nothing);
        }
        if let Some(memory) = worker.memory {
            match vmm.release_thread_memory(memory) {
                // All of it went when it was tried before.
                Ok(()) | Err(Error::NoSuchRegion(_)) => {}
                Err(error) => return Err(error),
            }
        }
        client.threads[index].set(None);
        Ok(())
    }

    /// Destroys a thread, and forgets whose its faults are. Its memory stays.
    pub(super) fn stop_worker<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &Client<'p>,
        index: usize,
    ) -> Result {
        let Some(mut worker) = client.threads[index].get() else { return Ok(()) };
        if let Some(tcb) = worker.tcb.take() {
            vmm.free_for(client.space(), tcb)?;
            client.threads[index].set(Some(worker));
        }
        if let Some(thread) = worker.thread.take() {
            vmm.unregister_thread(thread)?;
            client.threads[index].set(Some(worker));
        }
        Ok(())
    }

    /// Whether a thread of the client's has this IPC buffer.
    pub(super) fn is_threads_buffer(client: &Client<'p>, address: usize) -> bool {
        let mut workers = client.threads.iter().filter_map(|thread| thread.get());
        workers.any(|worker| worker.buffer() == Some(address))
    }
}

fn held_in(client: &Client<'_>, slot: u32) -> Held {
    match slot {
        FAULT_SLOT => Held::Given,
        slot => client.slots.get(slot as usize).map_or(Held::Nothing, |held| held.get()),
    }
}
