// SPDX-License-Identifier: BSD-2-Clause
//! The record of a region of one client's that another pages.

use core::cell::Cell;

use intrusive_collections::{KeyAdapter, RBTreeLink};

use crate::types::ids::ClientId;

/// A paged region's node.
#[derive(Default)]
pub(crate) struct Paging<'p> {
    pub next_free: Cell<Option<&'p Paging<'p>>>,
    by_token: RBTreeLink,
    pub client: Cell<u32>,
    /// The region's: no other of the client's has it, and no fault that waits was for another.
    pub token: Cell<u32>,
    pub pager: Cell<Option<ClientId>>,
    pub key: Cell<u32>,
}

#[allow(unsafe_code)] // what the adapter macro expands to
mod adapters {
    use super::*;
    use intrusive_collections::intrusive_adapter;
    intrusive_adapter!(
        pub(crate) ByToken<'p> = &'p Paging<'p>: Paging<'p> { by_token => RBTreeLink }
    );
}
pub(crate) use adapters::ByToken;

impl<'a> KeyAdapter<'a> for ByToken<'_> {
    /// Client and token.
    type Key = (u32, u32);
    fn get_key(&self, paging: &'a Paging<'_>) -> (u32, u32) {
        (paging.client.get(), paging.token.get())
    }
}
