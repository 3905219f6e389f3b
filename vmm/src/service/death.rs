//! The end of a client: all it had is given back, in pieces, between the requests of others.
//!
//! ```text
//!   begin_to_die   its messages are not answered any more, its offers are gone
//!   next_due       threads that wait for a page of its: their faults are not resolved
//!   work           threads · fault capabilities · CNode · IPC buffers · memory, 64 pages at a time
//!                  · the space itself · the account, when no child is left
//! ```
//!
//! Memory that others share stays theirs: the manager counts who has a frame. Every step can be
//! refused by the kernel and made again, so the end of a client never hangs half-way.

use untyped_alloc::{Kernel, Memory};
use vmm_client::protocol::MOST_PAGES;

use crate::Kind;
use crate::Vmm;
use crate::{Error, Result};

use super::clients::{Client, ClientId, State};
use super::memory::unmap_some;
use super::paging::drop_kept;
use super::Service;

impl<'p> Service<'p> {
    /// Ends a client: for a fault that cannot be resolved, or because its server wants it. Its
    /// thread runs until the next [`Service::work`].
    ///
    /// # Errors
    /// [`Error::NoSuchSpace`] when there is no such client, or it has ended before.
    pub fn kill(&mut self, client: ClientId) -> Result {
        let node = self.alive(client.0).ok_or(Error::NoSuchSpace(client.space()))?;
        self.begin_to_die(node);
        Ok(())
    }

    pub(super) fn begin_to_die(&mut self, client: &'p Client<'p>) {
        client.state.set(State::Dying);
        self.drop_offers_of(client);
        client.next_dying.set(self.dying);
        self.dying = Some(client);
    }

    /// Does a piece of work that is left from clients that ended, if there is any: at most
    /// [`MOST_PAGES`] pages. Returns whether there is more.
    ///
    /// # Errors
    /// [`Error::Kernel`] when a call was refused: call again.
    pub fn work<K: Kernel + Memory<'p>>(&mut self, vmm: &mut Vmm<'p, K>) -> Result<bool> {
        let Some(client) = self.dying else { return Ok(false) };
        // Those that wait for its pages get none; where the server has a policy, it asked before.
        if let Some(request) = self.next_abandoned(vmm)? {
            let space = vmm.space_of_thread(request.thread)?;
            let _ = self.kill(ClientId(space.0));
            return Ok(true);
        }
        self.stop(vmm, client)?;
        if self.take_memory(vmm, client)? {
            vmm.destroy_space(client.space())?;
            self.dying = client.next_dying.take();
            self.drop_pagings_of(client);
            self.forget(vmm, client);
        }
        Ok(self.dying.is_some())
    }

    /// Destroys a client's threads, and what they had but memory.
    fn stop<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &Client<'p>,
    ) -> Result {
        for index in 0..client.threads.len() {
            self.stop_worker(vmm, client, index)?;
        }
        if let Some(cnode) = client.cnode.get() {
            vmm.free_for(client.space(), cnode)?;
            client.cnode.set(None);
        }
        if let Some((slot, _)) = client.waits.get() {
            drop_kept(vmm, slot)?;
            client.waits.set(None);
        }
        Ok(())
    }

    /// Gives back some of a client's memory; says whether that was all.
    fn take_memory<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &Client<'p>,
    ) -> Result<bool> {
        let (id, mut at, mut pages) = (client.space(), 0, 0);
        while let Some(region) = vmm.next_region(id, at)? {
            at = region.range.end();
            match region.kind {
                Kind::IpcBuffer => {
                    let buffer = vmm.ipc_buffer_of(&region)?;
                    vmm.release_ipc_buffer(buffer)?;
                    pages += 1;
                    // There may be others in it.
                    at = region.range.start().bits();
                }
                _ => pages += unmap_some(vmm, vmm.space(id)?, region.range)?,
            }
            if pages >= MOST_PAGES as usize {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
