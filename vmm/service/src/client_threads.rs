// SPDX-License-Identifier: BSD-2-Clause
//! The threads of a client's program.
//!
//! ```text
//!   the first         made with the program         its faults: FAULT_SLOT
//!   further ones      Request::Thread               its faults: the slot that the client names
//!                     known by the address of its IPC buffer, until Request::EndThread
//! ```
//!
//! Each has a stack with guards, an IPC buffer and a block of thread-local storage of its own, and
//! a badge for its faults. A client has no capability to its threads: what it can do with one is
//! say where it begins, and end it. All of it counts as the client's.

use vmm::{
    CPtr, FaultEndpoint, Kernel, Memory, Rights, Thread, ThreadCSpace, ThreadOptions, ThreadParts,
    ThreadSpec, TlsImage, Vmm,
};
use vmm_client::protocol::{Answer, NewThread, Refusal, CNODE_BITS, FIRST_FREE_SLOT, MAX_THREADS};

use crate::answers::refuse;
use crate::memory::room_for_regions;
use crate::service::Service;
use crate::state::client::{Client, ClientThread, Held};
use crate::types::error::{Error, Result};
use crate::types::message::{Event, Outcome};
use crate::types::program::Start;

/// Regions of a new thread: stack, IPC buffer, thread-local storage.
const REGIONS: u32 = 3;

/// What a thread begins with.
pub(crate) struct Begin<'f> {
    /// Pages of its stack.
    pub stack_pages: usize,
    /// The slot of the client's CNode for its faults, empty.
    pub slot: u32,
    /// What its local storage begins with; without it, a copy of what was said for the first
    /// thread.
    pub tls: Option<TlsImage<'f>>,
}

impl<'p> Service<'p> {
    /// Serves [`vmm_client::protocol::Request::Thread`].
    pub(crate) fn new_thread<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        asked: &NewThread,
    ) -> Outcome {
        let NewThread { entry, argument, stack_pages, slot } = *asked;
        let made = self.may_have_thread(vmm, client, slot).and_then(|()| {
            let begin = Begin { stack_pages: stack_pages as usize, slot, tls: None };
            self.make_thread(vmm, client, &begin).map_err(refuse)
        });
        match made {
            Ok(start) => {
                let start = Start { entry, ..start };
                let address = start.ipc_buffer;
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
        let held = client.held(slot).map(|held| held.get());
        if slot < FIRST_FREE_SLOT || held != Some(Held::Nothing) || client.cnode.get().is_none() {
            return Err(Refusal::BadSlot);
        }
        if client.threads.iter().all(|thread| thread.get().is_some()) {
            return Err(Refusal::TooMuch { most: MAX_THREADS });
        }
        room_for_regions(vmm, client, REGIONS)
    }

    /// Makes a thread of a client's, which does not run yet, and whose entry is left 0.
    ///
    /// # Errors
    /// Those of [`Vmm::allocate_thread`]; [`Error::TooManyThreads`].
    /// Nothing is left behind, but what the kernel refuses to take back: that goes with the client.
    pub(crate) fn make_thread<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        begin: &Begin<'_>,
    ) -> Result<Start> {
        let free = client.threads.iter().position(|thread| thread.get().is_none());
        let index = free.ok_or(Error::TooManyThreads { most: MAX_THREADS })?;
        let mut parts = ThreadParts::default();
        let made = self.fill_thread(vmm, client, begin, &mut parts);
        if !parts.is_empty() {
            client.threads[index].set(Some(ClientThread { parts, slot: begin.slot }));
        }
        if made.is_err() {
            // What is refused again stays recorded, and goes when the client ends.
            let _ = self.end_client_thread(vmm, client, index);
        }
        made
    }

    fn fill_thread<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        begin: &Begin<'_>,
        parts: &mut ThreadParts,
    ) -> Result<Start> {
        let cnode = client.cnode.get().ok_or(Error::NoProgram(client.id()))?.slot();
        let name = client.name.get();
        let new = ThreadSpec {
            space: client.space(),
            memory: ThreadOptions {
                stack_pages: begin.stack_pages,
                guard_pages: 1,
                growing: None,
                tls: begin.tls,
                name: name.as_str(),
            },
            tls_copy: client.tls.get(),
            cspace: ThreadCSpace::CNode { cnode, radix_bits: CNODE_BITS },
            faults: FaultEndpoint::Registered {
                endpoint: self.endpoint,
                at: Some(CPtr::new(begin.slot as usize)),
            },
        };
        let Thread { tcb, memory, registered } = vmm.allocate_thread(&new, parts)?;
        if let Some((_, faults)) = registered {
            self.put(vmm, client, begin.slot, faults, Rights::WRITE | Rights::GRANT, None)?;
            client.slots[begin.slot as usize].set(Held::Faults);
        }
        Ok(Start {
            tcb: tcb.slot(),
            entry: 0,
            stack_top: memory.stack.top(),
            ipc_buffer: memory.ipc_buffer.address(),
            thread_pointer: memory.tls.map_or(0, |tls| tls.thread_pointer()),
        })
    }

    /// Serves [`vmm_client::protocol::Request::EndThread`].
    pub(crate) fn end_thread<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        thread: usize,
    ) -> Result<(), Refusal> {
        let is_it = |other: ClientThread| other.buffer() == Some(thread);
        let mut further = client.threads.iter().skip(1);
        let index = further.position(|other| other.get().is_some_and(is_it));
        let index = index.ok_or(Refusal::NoSuchThread)? + 1;
        self.end_client_thread(vmm, client, index).map_err(refuse)
    }

    /// Takes a thread apart, with all that was made for it.
    fn end_client_thread<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        index: usize,
    ) -> vmm::Result<()> {
        self.stop_client_thread(vmm, client, index)?;
        let Some(mut thread) = client.threads[index].get() else { return Ok(()) };
        let slot = &client.slots[thread.slot as usize];
        if slot.get() == Held::Faults {
            // The capability went when the thread's badge ended.
            slot.set(Held::Nothing);
        }
        let released = vmm.release_thread(&mut thread.parts);
        client.threads[index].set((!thread.parts.is_empty()).then_some(thread));
        released
    }

    /// Destroys a thread, and forgets whose its faults are. Its memory stays.
    pub(crate) fn stop_client_thread<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &Client<'p>,
        index: usize,
    ) -> vmm::Result<()> {
        let Some(mut thread) = client.threads[index].get() else { return Ok(()) };
        let stopped = vmm.stop_thread(&mut thread.parts);
        client.threads[index].set(Some(thread));
        stopped
    }
}
