// SPDX-License-Identifier: BSD-2-Clause
//! Regions that other clients page: made, and forgotten.

use intrusive_collections::Bound;
use vmm::{Backing, Kernel, Memory, RegionId, RegionOptions, Vmm};

use crate::service::{push_ready, Service};
use crate::state::client::Client;
use crate::types::error::{Error, NumberKind, Result};

impl<'p> Service<'p> {
    /// Reserves a region that another client pages and calls `key`.
    pub(crate) fn reserve_paged<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        (pager, key): (&'p Client<'p>, u32),
        options: &RegionOptions,
    ) -> Result<RegionId> {
        self.refill(vmm)?;
        let token = self.tokens.next(|token| self.knows_token(vmm, client, token));
        let token = token
            .ok_or(Error::OutOfNumbers { kind: NumberKind::Token, most: self.most_numbers })?;
        let node = self.alloc_paging()?;
        match vmm.reserve(client.space(), &options.backed(Backing::Pager { token })) {
            Ok(region) => {
                self.tokens.note(token);
                node.client.set(client.number());
                node.token.set(token);
                node.pager.set(Some(pager.id()));
                node.key.set(key);
                self.pagings.insert(node);
                pager.paged.set(pager.paged.get() + 1);
                Ok(region)
            }
            Err(error) => {
                self.free_paging(node);
                Err(error.into())
            }
        }
    }

    /// Whether a region of a client's has this token, or a thread of its waits for a page of one
    /// that had it.
    fn knows_token<K: Kernel + Memory<'p>>(
        &self,
        vmm: &Vmm<'p, K>,
        client: &Client<'p>,
        token: u32,
    ) -> bool {
        let threads = client.threads.iter().filter_map(|thread| thread.get()?.parts.id());
        let mut waits = threads.filter_map(|thread| vmm.request_of(thread).ok()?);
        !self.pagings.find(&(client.number(), token)).is_null()
            || waits.any(|request| request.token == token)
    }

    /// Forgets who pages a region that is gone.
    pub(crate) fn remove_paging(&mut self, client: &Client<'p>, token: u32) {
        let key = (client.number(), token);
        let Some(node) = self.pagings.find_mut(&key).remove() else { return };
        let pager = node.pager.get().and_then(|pager| self.find(pager));
        self.free_paging(node);
        if let Some(pager) = pager {
            pager.paged.set(pager.paged.get() - 1);
            self.mark_ready(pager);
        }
    }

    /// Forgets who pages a client's regions: at most as many as a client has. Whoever waits for the
    /// faults of others may have nothing to wait for now.
    pub(crate) fn remove_pagings_of(&mut self, client: &Client<'p>) {
        let number = client.number();
        loop {
            let first = self.pagings.lower_bound(Bound::Included(&(number, 0))).clone_pointer();
            match first {
                Some(paging) if paging.client.get() == number => {
                    self.remove_paging(client, paging.token.get());
                }
                _ => break,
            }
        }
        let mut cursor = self.clients.front();
        while let Some(other) = cursor.clone_pointer() {
            if other.waits.get().is_some() {
                push_ready(&mut self.ready, other);
            }
            cursor.move_next();
        }
    }
}
