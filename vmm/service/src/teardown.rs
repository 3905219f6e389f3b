// SPDX-License-Identifier: BSD-2-Clause
//! The end of a client: all it had is given back, in pieces, between the requests of others.
//!
//! ```text
//!   begin_teardown   its messages are not answered any more, its offers are gone
//!   next_deferred    threads that wait for a page of its: their faults are not resolved
//!   reap_step        badges, with what was passed on · threads · CNode · IPC buffers · memory, 64 pages at a
//!                    time · the space itself · the account, when no child is left
//! ```
//!
//! Memory that others share stays theirs: the manager counts who has a frame. Every step can be
//! refused by the kernel and made again, so the end of a client never hangs half-way.

use vmm::{Kernel, Kind, Memory, RequestEnd, Vmm};
use vmm_client::protocol::MAX_PAGES;

use crate::service::Service;
use crate::state::client::{Client, State};
use crate::types::error::Result;
use crate::types::ids::ClientId;

impl<'p> Service<'p> {
    /// Ends a client: for a fault that cannot be resolved, or because its server wants it. Its
    /// threads run until the next [`Service::reap_step`].
    ///
    /// # Errors
    /// [`crate::Error::NoSuchClient`] when there is no such client, or it has ended before.
    pub fn kill(&mut self, client: ClientId) -> Result {
        let node = self.client(client)?;
        self.begin_teardown(node);
        Ok(())
    }

    pub(crate) fn begin_teardown(&mut self, client: &'p Client<'p>) {
        client.state.set(State::Dying);
        self.remove_offers_of(client);
        client.next_dying.set(self.dying);
        self.dying = Some(client);
    }

    /// Does a piece of the work that is left from clients that ended, if there is any, or else of a
    /// compaction that a request had to break off: at most [`MAX_PAGES`] pages. Returns whether
    /// there is more.
    ///
    /// # Errors
    /// [`vmm::Error::Kernel`] when a call was refused: call again.
    pub fn reap_step<K: Kernel + Memory<'p>>(&mut self, vmm: &mut Vmm<'p, K>) -> vmm::Result<bool> {
        let Some(client) = self.dying else {
            // What the kernel refuses of this harms nobody.
            return Ok(vmm.compact_further(MAX_PAGES as usize).unwrap_or(false));
        };
        self.remove_reply_sent(vmm)?;
        // Those that wait for its pages get none; where the server has a policy, it asked before.
        if let Some(end) = self.next_abandoned(vmm) {
            self.reply_sent = Some(end.reply());
            if let RequestEnd::Unresolved { request, .. } = end {
                let waiting = self.client_in(vmm.space_of_thread(request.thread)?);
                if let Some(client) = waiting.and_then(|client| self.client(client).ok()) {
                    self.begin_teardown(client);
                }
            }
            return Ok(true);
        }
        self.stop(vmm, client)?;
        if self.take_memory(vmm, client)? {
            vmm.destroy_space(client.space())?;
            self.dying = client.next_dying.take();
            self.remove_pagings_of(client);
            self.remove_account(vmm, client);
        }
        Ok(self.dying.is_some() || vmm.compaction_is_due())
    }

    /// Destroys a client's threads, and what they had but memory.
    fn stop<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &Client<'p>,
    ) -> vmm::Result<()> {
        if let Some(badged) = client.badged.get() {
            vmm.end_badge(badged)?;
            client.badged.set(None);
        }
        for index in 0..client.threads.len() {
            self.stop_client_thread(vmm, client, index)?;
        }
        if let Some(cnode) = client.cnode.get() {
            vmm.free_for(client.space(), cnode)?;
            client.cnode.set(None);
        }
        if let Some((slot, _)) = client.waits.get() {
            vmm.release_slot(slot)?;
            client.waits.set(None);
        }
        Ok(())
    }

    /// Gives back some of a client's memory; says whether that was all.
    fn take_memory<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &Client<'p>,
    ) -> vmm::Result<bool> {
        let most = MAX_PAGES as usize;
        let (space, mut at, mut done) = (client.space(), 0, 0);
        while let Some(region) = vmm.next_region(space, at)? {
            at = region.range.end();
            let start = region.range.start().bits();
            match region.kind {
                Kind::IpcBuffer => {
                    let buffer = vmm.first_ipc_buffer_in(region.id)?;
                    vmm.release_ipc_buffer(buffer)?;
                    done += 1;
                    // There may be others in it.
                    at = start;
                }
                Kind::Memory | Kind::Stack | Kind::Quarantine => {
                    done += vmm.decommit_some(space, region.range, most)?;
                }
                // The null page, in which nothing is mapped.
                Kind::Boot | Kind::Bookkeeping | Kind::Reservation => {}
            }
            if done >= most {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
