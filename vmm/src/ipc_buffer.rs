//! IPC buffers: for each thread a frame of its own, with an unmapped page on either side.
//!
//! ```text
//!   ┊ guard ┊ buffer: 512 bytes of a 4K frame ┊ guard ┊
//! ```
//!
//! The kernel writes messages into the *frame* behind the capability the thread was given, not to
//! the address. So a frame must never go to anyone else while a thread still has it: releasing
//! revokes the capability, which takes the buffer from the thread, before the frame is given back.

use untyped_alloc::{CPtr, CachePolicy, Invocation, Kernel, Memory, Rights};

use crate::error::{Error, Result};
use crate::ids::{RegionId, SpaceId};
use crate::options::RegionOptions;
use crate::query::RegionInfo;
use crate::region::{Kind, Region, RegionSpec};
use crate::run::{RunInfo, Source};
use crate::space::Space;
use crate::vmm::Vmm;

/// Size and alignment of an IPC buffer, in bytes (`seL4_IPCBufferSizeBits` is 9 on IA32).
pub const IPC_BUFFER_BYTES: usize = 512;

/// A thread's IPC buffer: a small id. Give it back with [`Vmm::release_ipc_buffer`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IpcBuffer {
    region: RegionId,
    address: usize,
    frame: CPtr,
}

impl IpcBuffer {
    /// Its virtual address, in bytes; page-aligned.
    pub fn address(self) -> usize {
        self.address
    }

    /// The capability of the frame it lies in: the one that is mapped there.
    pub fn frame(self) -> CPtr {
        self.frame
    }

    /// Its region, guards included.
    pub fn region(self) -> RegionId {
        self.region
    }
}

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Makes an IPC buffer in a space: a clear frame of its own, readable and writable, with a
    /// guard page on either side.
    ///
    /// One kernel call when a frame is at hand, besides a page table.
    pub fn allocate_ipc_buffer(&mut self, space: SpaceId, name: &str) -> Result<IpcBuffer> {
        let options = RegionOptions::new(1).named(name).guarded(1, 1).kind(Kind::IpcBuffer);
        let region = self.map(space, &options)?;
        let address = region.start().bits() + self.geometry.page_bytes();
        let space = self.space(space)?;
        let run = self.ipc_buffer_run(space, address)?;
        space.threads.set(space.threads.get() + 1);
        Ok(IpcBuffer { region, address, frame: run.frames.first })
    }

    /// Makes an IPC buffer of memory that is mapped already, at `address` (bytes) in `region`: for a
    /// thread whose buffer must lie in a certain place. The region is the buffer's from now on, and
    /// goes with it.
    ///
    /// # Errors
    /// [`Error::BadIpcBuffer`] when the address is not aligned to 512 bytes, the memory cannot be
    /// written, is not cached like ordinary memory, or is device memory (then with its physical
    /// address); [`Error::NotMapped`], [`Error::OutsideRegion`], [`Error::WrongKind`];
    /// [`Error::Shared`] when another region has it too; [`Error::NotOurs`] when the caller
    /// brought it.
    pub fn ipc_buffer_in(&mut self, region: RegionId, address: usize) -> Result<IpcBuffer> {
        let (space, node) = self.region(region)?;
        if address & (IPC_BUFFER_BYTES - 1) != 0 {
            return Err(Error::BadIpcBuffer { address });
        }
        let page = address & !(self.geometry.page_bytes() - 1);
        let (around, range) = self.caller_range(space, page, 1)?;
        if !core::ptr::eq(around, node) {
            return Err(Error::OutsideRegion { address });
        }
        self.check_mapped(space, range)?;
        let run = self.ipc_buffer_run(space, address)?;
        let index = (address - run.start.bits()) >> run.frames.size_bits;
        let piece = run.part(index, 1);
        let frame = piece.frames.first;
        match run.source {
            Source::Owned if self.sharers.any_in(&piece.frames) || run.cow => {
                return Err(Error::Shared { address })
            }
            Source::Owned => {}
            Source::Copy => return Err(Error::Shared { address }),
            Source::Foreign => return Err(Error::NotOurs { address }),
            Source::Physical => {
                let address = self
                    .kernel
                    .page_get_address(frame)
                    .map_err(Error::kernel(Invocation::PageGetAddress))?;
                return Err(Error::BadIpcBuffer { address });
            }
        }
        if run.rights != Rights::READ_WRITE || run.cache != CachePolicy::WriteBack {
            return Err(Error::BadIpcBuffer { address });
        }
        node.set_spec(RegionSpec { kind: Kind::IpcBuffer, ..node.spec() });
        space.threads.set(space.threads.get() + 1);
        Ok(IpcBuffer { region, address, frame })
    }

    /// Makes an IPC buffer that shares its page with up to seven others of the same space: for
    /// threads that trust each other, where memory is short. Mostly no kernel call.
    ///
    /// What is given back is not handed out again before all of the page is: no two threads ever
    /// have the same buffer, and the page is taken from all of them at once.
    pub fn allocate_packed_ipc_buffer(&mut self, space: SpaceId) -> Result<IpcBuffer> {
        let node = self.space(space)?;
        if let Some(open) = node.open_packed.get() {
            if let Ok((_, region)) = self.region(open) {
                return self.next_packed(node, region, open);
            }
        }
        let options = RegionOptions::new(1).named("packed IPC").guarded(1, 1);
        let region = self.map(space, &options.kind(Kind::IpcBuffer))?;
        let (_, page) = self.region(region)?;
        self.next_packed(node, page, region)
    }

    fn next_packed(
        &mut self,
        space: &'p Space<'p>,
        region: &Region<'p>,
        id: RegionId,
    ) -> Result<IpcBuffer> {
        let page = id.start().bits() + self.geometry.page_bytes();
        let run = self.ipc_buffer_run(space, page)?;
        let (handed_out, back) = region.packed.get();
        region.packed.set((handed_out + 1, back));
        let full = usize::from(handed_out) + 1 == self.geometry.page_bytes() / IPC_BUFFER_BYTES;
        space.open_packed.set(if full { None } else { Some(id) });
        space.threads.set(space.threads.get() + 1);
        let address = page + usize::from(handed_out) * IPC_BUFFER_BYTES;
        Ok(IpcBuffer { region: id, address, frame: run.frames.first })
    }

    /// Gives a packed buffer back, and the page if it was the last of it.
    fn release_packed(
        &mut self,
        space: &'p Space<'p>,
        region: &'p Region<'p>,
        buffer: IpcBuffer,
    ) -> Result {
        let (handed_out, back) = region.packed.get();
        let bit = 1 << ((buffer.address & (self.geometry.page_bytes() - 1)) / IPC_BUFFER_BYTES);
        if back & bit != 0 {
            return Err(Error::NoSuchRegion(buffer.region));
        }
        if u32::from(handed_out) == (back | bit).count_ones() {
            self.take_page(space, region, buffer)?;
            if space.open_packed.get() == Some(buffer.region) {
                space.open_packed.set(None);
            }
        } else {
            region.packed.set((handed_out, back | bit));
        }
        space.threads.set(space.threads.get() - 1);
        Ok(())
    }

    /// Takes the page from whatever threads have it, and gives frame and addresses back.
    fn take_page(
        &mut self,
        space: &'p Space<'p>,
        region: &'p Region<'p>,
        buffer: IpcBuffer,
    ) -> Result {
        let path = self.alloc.path(buffer.frame);
        self.kernel.cnode_revoke(path).map_err(Error::kernel(Invocation::CNodeRevoke))?;
        self.release_region(space, region)
    }

    /// Makes it the IPC buffer of the thread `tcb`. One kernel call. The thread must run in the
    /// buffer's space.
    ///
    /// # Errors
    /// [`Error::NoSuchRegion`] when the buffer was released; [`Error::Kernel`].
    pub fn set_ipc_buffer(&mut self, tcb: CPtr, buffer: IpcBuffer) -> Result {
        self.region(buffer.region)?;
        self.kernel
            .tcb_set_ipc_buffer(tcb, buffer.address, buffer.frame)
            .map_err(Error::kernel(Invocation::TcbSetIpcBuffer))
    }

    /// Takes the buffer from whatever thread has it, and gives frame and addresses back. Two kernel
    /// calls. A thread that is still to run needs another buffer first.
    ///
    /// # Errors
    /// [`Error::NoSuchRegion`] when it was released before; [`Error::Kernel`], and then it is still
    /// there, to be released again.
    pub fn release_ipc_buffer(&mut self, buffer: IpcBuffer) -> Result {
        let (space, region) = self.region(buffer.region)?;
        if region.spec().kind != Kind::IpcBuffer {
            return Err(Error::WrongKind(buffer.region));
        }
        if region.packed.get() != (0, 0) {
            return self.release_packed(space, region, buffer);
        }
        self.take_page(space, region, buffer)?;
        space.threads.set(space.threads.get() - 1);
        Ok(())
    }

    /// The IPC buffer that lies in a region of that kind, and is not packed.
    pub(crate) fn ipc_buffer_of(&self, region: &RegionInfo) -> Result<IpcBuffer> {
        let below = region.guard_below << self.geometry.page_bits;
        let address = region.range.start().bits() + below;
        let run = self.ipc_buffer_run(self.space(region.id.space)?, address)?;
        Ok(IpcBuffer { region: region.id, address, frame: run.frames.first })
    }

    fn ipc_buffer_run(&self, space: &Space<'p>, address: usize) -> Result<RunInfo> {
        let address = self.geometry.address(address)?;
        let run = space.runs.borrow().at(address);
        run.ok_or(Error::NotMapped { address: address.bits() })
    }
}
