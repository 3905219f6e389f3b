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
//! the stack as after a call, the address of its IPC buffer in ecx and a word of its starter's in
//! edx: `extern "fastcall" fn(usize, usize) -> !`, which `vmm_client::client_program!` makes.

use untyped_alloc::{Blueprint, CPtr, CapPath, Invocation, Kernel, Memory, Rights};
use vmm_client::protocol::{CNODE_BITS, FAULT_SLOT, FIRST_FREE_SLOT, SERVICE_SLOT};

use crate::Vmm;
use crate::{Error, Result};

use super::clients::{Client, ClientId, Held};
use super::image::{self, ImageError};
use super::Service;

/// What a client's program is to be.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// Its ELF file.
    pub file: &'a [u8],
    /// Pages of its stack.
    pub stack_pages: usize,
}

/// What the registers of a new thread are to be. It does not run before they are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Start {
    /// Its thread control block.
    pub tcb: CPtr,
    /// Its first instruction.
    pub entry: usize,
    /// The address behind its stack, page-aligned.
    pub stack_top: usize,
    /// The address of its IPC buffer.
    pub ipc_buffer: usize,
    /// Its thread pointer (GS base), or 0: its program has no thread-local storage.
    pub thread_pointer: usize,
}

impl<'p> Service<'p> {
    /// Loads a program into a client's space and makes its thread, which does not run yet. Once for
    /// each client.
    ///
    /// # Errors
    /// [`ImageError`]. The client is half made then: [`Service::kill`] gives back what it has.
    pub fn load<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: ClientId,
        program: &Program<'_>,
    ) -> Result<Start, ImageError> {
        let node = self.alive(client.0).ok_or(Error::NoSuchSpace(client.space()))?;
        if node.cnode.get().is_some() {
            return Err(ImageError::Unsupported("the client runs a program already"));
        }
        let image::Loaded { entry, tls } = image::load(vmm, client.space(), program.file)?;
        let cnode =
            vmm.allocate_for(client.space(), Blueprint::CNode { radix_bits: CNODE_BITS })?;
        node.cnode.set(Some(cnode));
        let to_send = Rights::WRITE | Rights::GRANT;
        self.put(vmm, node, SERVICE_SLOT, self.endpoint, to_send, Some(client.badge()))?;
        let start = self.make_thread(vmm, node, program.stack_pages, FAULT_SLOT, tls)?;
        if let Some(image) = tls {
            node.tls.set(Some(vmm.allocate_tls(client.space(), &image, "TLS image")?));
        }
        Ok(Start { entry, ..start })
    }

    /// Gives a client a capability of the manager's CSpace: a copy with at most `rights`, and with
    /// a badge if it is to have one, in a slot from [`FIRST_FREE_SLOT`] on.
    ///
    /// # Errors
    /// [`Error::NoSuchSpace`] without such a client, or before its program was loaded;
    /// [`Error::Kernel`]: `DeleteFirst` when the slot is occupied, `RangeError` when it is not the
    /// program's.
    pub fn give_capability<K: Kernel + Memory<'p>>(
        &self,
        vmm: &mut Vmm<'p, K>,
        client: ClientId,
        slot: u32,
        capability: CPtr,
        rights: Rights,
        badge: Option<usize>,
    ) -> Result {
        let node = self.alive(client.0).ok_or(Error::NoSuchSpace(client.space()))?;
        if !(FIRST_FREE_SLOT..1 << CNODE_BITS).contains(&slot) {
            let error = untyped_alloc::KernelError::RangeError;
            return Err(Error::kernel(Invocation::CNodeCopy)(error));
        }
        self.put(vmm, node, slot, capability, rights, badge)
    }

    pub(super) fn put<K: Kernel + Memory<'p>>(
        &self,
        vmm: &mut Vmm<'p, K>,
        node: &Client<'p>,
        slot: u32,
        capability: CPtr,
        rights: Rights,
        badge: Option<usize>,
    ) -> Result {
        let cnode = node.cnode.get().ok_or(Error::NoSuchSpace(node.space()))?;
        let to = CapPath { root: cnode.slot(), index: slot as usize, depth: CNODE_BITS };
        let from = vmm.alloc.path(capability);
        let made = match badge {
            Some(badge) => {
                vmm.kernel.cnode_mint_badge(to, from, rights, badge).map_err(Error::from)
            }
            None => vmm.kernel.cnode_copy(to, from, rights).map_err(Error::from),
        };
        if made.is_ok() {
            node.slots[slot as usize].set(Held::Given);
        }
        made
    }

    /// Gives a thread its CSpace, with its faults' endpoint in `fault_slot`, and its space. The CNode needs a guard for its slot numbers to be
    /// CPtrs; the thread keeps a copy of the capability that has it.
    pub(super) fn set_space<K: Kernel + Memory<'p>>(
        &self,
        vmm: &mut Vmm<'p, K>,
        node: &Client<'p>,
        tcb: CPtr,
        fault_slot: u32,
    ) -> Result {
        let cnode = node.cnode.get().ok_or(Error::NoSuchSpace(node.space()))?.slot();
        let vspace = vmm.vspace(node.space())?;
        vmm.retry_stuck()?;
        let guarded = vmm.take_slots(1)?;
        let (to, from) = (vmm.alloc.path(guarded), vmm.alloc.path(cnode));
        let guard_bits = vmm.alloc.sizes().word_bits - CNODE_BITS;
        let set =
            vmm.kernel.cnode_mint_guard(to, from, 0, guard_bits).map_err(Error::from).and_then(
                |()| {
                    let faults = CPtr::new(fault_slot as usize);
                    vmm.kernel.tcb_set_space(tcb, faults, guarded, vspace).map_err(Error::from)
                },
            );
        let dropped = vmm.delete_temporary(guarded);
        set.and(dropped)
    }
}
