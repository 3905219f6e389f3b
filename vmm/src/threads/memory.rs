// SPDX-License-Identifier: BSD-2-Clause
//! A thread's memory in one call: stack with guards, IPC buffer, thread-local storage.

use page_tables::Pages;
use untyped_alloc::{Kernel, Memory, Rights};

use crate::manager::vmm::Vmm;
use crate::state::reserve::Reserve;
use crate::threads::tls_layout::TlsLayout;
use crate::types::architecture::TlsVariant;
use crate::types::error::{Error, Result};
use crate::types::ids::{RegionId, SpaceId};
use crate::types::options::{Placement, RegionOptions};
use crate::types::share_options::ShareOptions;
use crate::types::thread::{StackOptions, ThreadMemory, ThreadOptions, Tls, TlsImage};

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Makes a thread's stack, IPC buffer and thread-local storage in a space.
    ///
    /// One kernel call a page (none for those of a growing stack), two more for each page of TLS in
    /// a space that is not the manager's.
    ///
    /// # Errors
    /// Those of [`Vmm::map`]; [`Error::BadTls`] for a TLS image that cannot be. Nothing is left
    /// behind.
    pub fn allocate_thread_memory(
        &mut self,
        space: SpaceId,
        options: &ThreadOptions<'_>,
    ) -> Result<ThreadMemory> {
        if let Some(image) = &options.tls {
            self.layout_tls(image)?;
        }
        let ThreadOptions { stack_pages, guard_pages, growing, tls: _, name } = *options;
        let mut stack = StackOptions::new(stack_pages).guarded(guard_pages).named(name);
        if let Some(around) = growing {
            stack = stack.growing(around);
        }
        let stack = self.allocate_stack_with(space, &stack)?;
        let tls = options.tls.map(|image| self.allocate_tls(space, &image, options.name));
        // The buffer comes last, as it alone cannot go to the quarantine.
        let made = tls.transpose().and_then(|tls| match self.allocate_ipc_buffer(space) {
            Ok(ipc_buffer) => Ok(ThreadMemory { stack, ipc_buffer, tls }),
            Err(error) => {
                tls.into_iter().for_each(|tls| self.free_or_quarantine(tls.region));
                Err(error)
            }
        });
        if made.is_err() {
            self.free_or_quarantine(stack.region());
        }
        made
    }

    /// Gives a thread's memory back. The thread must not run any more.
    ///
    /// # Errors
    /// [`Error::NoSuchRegion`] when it was given back before; [`Error::Kernel`] when a call was
    /// refused: calling again goes on with what is left.
    pub fn release_thread_memory(&mut self, memory: ThreadMemory) -> Result {
        self.release_memory_of(memory, true)
    }

    /// As [`Vmm::release_thread_memory`]; where `had` is false, the thread that was made with it is
    /// none any more.
    pub(crate) fn release_memory_of(&mut self, memory: ThreadMemory, had: bool) -> Result {
        let gone = |result: Result| match result {
            Err(Error::NoSuchRegion(_) | Error::NoSuchIpcBuffer { .. }) => Ok(false),
            other => other.map(|()| true),
        };
        let mut any = gone(self.release_buffer(memory.ipc_buffer, had))?;
        if let Some(tls) = memory.tls {
            any |= gone(self.release(tls.region))?;
        }
        any |= gone(self.release(memory.stack.region()))?;
        any.then_some(()).ok_or(Error::NoSuchRegion(memory.stack.region()))
    }

    /// Makes a copy of thread-local storage in its space, copy-on-write: what the original holds
    /// now is what the new thread's variables start with. Costs what [`Vmm::clone_region`] and
    /// [`Vmm::write`] do. It goes with its thread ([`Vmm::release_thread_memory`]).
    ///
    /// # Errors
    /// Those of [`Vmm::clone_region`] and [`Vmm::write`]. Nothing is left behind.
    pub fn clone_tls(&mut self, original: Tls) -> Result<Tls> {
        let space = original.region.space();
        let region = self.clone_region(original.region, space, Placement::anywhere())?;
        let below = original.thread_pointer - original.region.start().bits();
        let thread_pointer = region.start().bits() + below;
        let written = match self.tls {
            TlsVariant::Below => {
                let word = usize::from(self.alloc.sizes().word_bits / 8);
                self.write(space, thread_pointer, &thread_pointer.to_le_bytes()[..word])
            }
            TlsVariant::Above { .. } => Ok(()),
        };
        match written {
            Ok(()) => Ok(Tls { region, thread_pointer }),
            Err(error) => {
                self.free_or_quarantine(region);
                Err(error)
            }
        }
    }

    /// Makes a block of thread-local storage that begins as `image` says: for a thread, or for
    /// [`Vmm::clone_tls`] to copy. One kernel call a page, two more for each page in a space that
    /// is not the manager's.
    ///
    /// # Errors
    /// [`Error::BadTls`] for an image that cannot be; those of [`Vmm::map`]. Nothing is left
    /// behind.
    pub fn allocate_tls(
        &mut self,
        space: SpaceId,
        image: &TlsImage<'_>,
        name: &str,
    ) -> Result<Tls> {
        let layout = self.layout_tls(image)?;
        let region = self.map(space, &RegionOptions::new(layout.pages).named(name))?;
        match self.write_tls(region, &layout, image) {
            Ok(()) => Ok(Tls { region, thread_pointer: region.start().bits() + layout.pointer }),
            Err(error) => {
                self.free_or_quarantine(region);
                Err(error)
            }
        }
    }

    /// Where in its region the parts of a TLS block lie.
    fn layout_tls(&self, image: &TlsImage<'_>) -> Result<TlsLayout> {
        let word = usize::from(self.alloc.sizes().word_bits / 8);
        TlsLayout::new(self.tls, word, self.geometry.page_bytes(), image)
            .ok_or(Error::BadTls { bytes: image.memory_bytes, align: image.align })
    }

    /// Fills a TLS region: where it is, in our own space; through a view of it otherwise.
    fn write_tls(&mut self, region: RegionId, layout: &TlsLayout, image: &TlsImage<'_>) -> Result {
        let TlsLayout { data, pointer, pages } = *layout;
        let (start, own) = (region.start().bits(), self.own_space());
        let view = match region.space() == own {
            true => None,
            false => {
                let options = ShareOptions::new().named("view of TLS");
                let options = options.rights(Rights::READ_WRITE);
                Some(self.share(region.space(), Pages::at(start).count(pages), own, &options)?)
            }
        };
        let at = view.map_or(start, |view| view.start().bits());
        self.kernel.write(at + data, image.init);
        if self.tls == TlsVariant::Below {
            let word = usize::from(self.alloc.sizes().word_bits / 8);
            self.kernel.write(at + pointer, &(start + pointer).to_le_bytes()[..word]);
        }
        if let Some(view) = view {
            let (space, region) = self.region(view)?;
            self.free_region_or_quarantine(&mut Reserve::as_it_is(), space, region);
        }
        Ok(())
    }
}
