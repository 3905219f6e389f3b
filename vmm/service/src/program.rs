// SPDX-License-Identifier: BSD-2-Clause
//! A client's program: loaded, and its thread made ready to run.
//!
//! ```text
//!   its CSpace, 16 slots               its space
//!     1  the service, badged             code, constants, data    where its file says
//!     2  its faults, badged              stack                    guard on either side
//!     3  what it was given               IPC buffer               guard on either side
//!     …                                  thread-local storage     a block for each thread
//! ```
//!
//! It has no capability to its thread, its CSpace or its address space. It starts at its entry with
//! the stack as after a call, and the address of its IPC buffer and a word of its starter's as its
//! arguments: where `vmm_client::client_program!` makes it begin.

use vmm::{Blueprint, CPtr, CapPath, Kernel, Memory, Rights, Vmm};
use vmm_client::protocol::{CNODE_BITS, FAULT_SLOT, FIRST_FREE_SLOT, SERVICE_SLOT};

use crate::client_threads::Begin;
use crate::image::{self, LoadOptions, Loaded};
use crate::service::Service;
use crate::state::client::{Client, Held};
use crate::types::error::{Error, Result};
use crate::types::ids::ClientId;
use crate::types::program::{Program, Start};

impl<'p> Service<'p> {
    /// Loads a program into a client's space and makes its thread, which does not run yet. Once for
    /// each client. Costs a kernel call or two for each page of it.
    ///
    /// # Errors
    /// [`Error::NoSuchClient`], [`Error::HasProgram`]; [`Error::Image`] for a file that cannot be
    /// loaded; what the manager refuses. The client is half made then: [`Service::kill`] gives back
    /// what it has.
    pub fn load<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: ClientId,
        program: &Program<'_>,
    ) -> Result<Start> {
        let node = self.client(client)?;
        if node.cnode.get().is_some() {
            return Err(Error::HasProgram(client));
        }
        let how = LoadOptions { writable_code: program.writable_code, promised: false };
        let Loaded { entry, tls, .. } = image::load(vmm, client.space(), program.file, how)?;
        let cnode =
            vmm.allocate_for(client.space(), Blueprint::CNode { radix_bits: CNODE_BITS })?;
        node.cnode.set(Some(cnode));
        let to_send = Rights::WRITE | Rights::GRANT;
        // Copies that the client passes on are this one's children: they go with it.
        let badged = node.badged.get().ok_or(Error::NoSuchClient(client))?;
        self.put(vmm, node, SERVICE_SLOT, badged, to_send, None)?;
        let begin = Begin { stack_pages: program.stack_pages, slot: FAULT_SLOT, tls };
        let start = self.make_thread(vmm, node, &begin)?;
        if let Some(image) = tls {
            node.tls.set(Some(vmm.allocate_tls(client.space(), &image, "TLS image")?));
        }
        Ok(Start { entry, ..start })
    }

    /// Gives a client a capability of the manager's CSpace: a copy with at most `rights`, and with
    /// a badge if it is to have one, in a slot from [`FIRST_FREE_SLOT`] on. One kernel call.
    ///
    /// # Errors
    /// [`Error::NoSuchClient`]; [`Error::NoProgram`] before its program was loaded;
    /// [`Error::BadSlot`], [`Error::SlotOccupied`]; what the kernel refuses.
    pub fn give_capability<K: Kernel + Memory<'p>>(
        &self,
        vmm: &mut Vmm<'p, K>,
        client: ClientId,
        slot: u32,
        capability: CPtr,
        rights: Rights,
        badge: Option<usize>,
    ) -> Result {
        let node = self.client(client)?;
        if slot < FIRST_FREE_SLOT {
            return Err(Error::BadSlot { slot });
        }
        self.put(vmm, node, slot, capability, rights, badge)
    }

    /// Puts a copy of a capability into an empty slot of a client's CNode.
    pub(crate) fn put<K: Kernel + Memory<'p>>(
        &self,
        vmm: &mut Vmm<'p, K>,
        node: &Client<'p>,
        slot: u32,
        capability: CPtr,
        rights: Rights,
        badge: Option<usize>,
    ) -> Result {
        let cnode = node.cnode.get().ok_or(Error::NoProgram(node.id()))?;
        let held = node.held(slot).ok_or(Error::BadSlot { slot })?;
        if held.get() != Held::Nothing {
            return Err(Error::SlotOccupied { slot });
        }
        let to = CapPath { root: cnode.slot(), index: slot as usize, depth: CNODE_BITS };
        match badge {
            Some(badge) => vmm.mint_cap(to, capability, rights, badge)?,
            None => vmm.copy_cap(to, capability, rights)?,
        }
        held.set(Held::Given);
        Ok(())
    }
}
