// SPDX-License-Identifier: BSD-2-Clause
//! Files and arguments that a server gives a program that it has made.

use vmm::{Kernel, Memory, RegionOptions, Rights as PageRights, Vmm};
use vmm_client::objects::first_page::{self, GivenObject};
use vmm_client::objects::{
    Amounts, Kind, MemoryOptions, Refusal, Resource, Rights, FIRST_FREE_SLOT, PAGE_BYTES,
};

use super::answers::{narrow, tables};
use super::capabilities::Place;
use super::children::{charge_space, parts};
use super::service::{clearing, Objects};
use super::state::object::What;
use super::types::ProgramId;
use crate::types::error::Result;

impl<'p> Objects<'p> {
    /// Gives a program a memory object with these bytes, padded with zeros to whole pages, and the
    /// rights to read and to clone it, in an empty slot of its own CNode. Its account pays for it.
    /// Three kernel calls a page.
    ///
    /// # Errors
    /// [`crate::Error::Refused`] when there is no such program, it cannot pay, the slot is not
    /// there or occupied; what the manager refuses.
    pub fn give_file<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        program: ProgramId,
        (slot, bytes): (u32, &[u8]),
    ) -> Result {
        let program = self.program(program).ok_or(Refusal::Gone { place: 0 })?;
        let payer = program.account.get().ok_or(Refusal::Internal {})?;
        let place = Place { program, payer, slot };
        let pages = narrow(bytes.len().div_ceil(vmm.geometry().page_bytes()));
        self.refill(vmm)?;
        let memory = self.create_memory(vmm, place, pages, MemoryOptions::empty())?;
        let What::Memory { region, .. } = memory.what.get() else {
            return Err(Refusal::Internal {}.into());
        };
        let to = (region.space(), region.start().bits());
        let copied = clearing(vmm, |vmm| vmm.populate_from(to.0, to.1, bytes));
        match copied {
            Ok(()) => {
                memory.committed.set(pages);
                Ok(())
            }
            Err(error) => {
                self.retire(memory);
                Err(error.into())
            }
        }
    }

    /// Gives a program a memory object at a physical address, and all rights to it that there are,
    /// in an empty slot of its own CNode, whether its account may have such memory or not. Its
    /// account pays for it. What lies there is looked at when it is mapped.
    ///
    /// # Errors
    /// [`crate::Error::Refused`] when there is no such program, it cannot pay, the slot is not
    /// there or occupied, the pages are none, too many or not aligned, or the options are not of
    /// such memory.
    pub fn give_physical<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        program: ProgramId,
        slot: u32,
        range: (usize, u32),
        options: MemoryOptions,
    ) -> Result {
        let program = self.program(program).ok_or(Refusal::Gone { place: 0 })?;
        let payer = program.account.get().ok_or(Refusal::Internal {})?;
        let place = Place { program, payer, slot };
        self.refill(vmm)?;
        self.create_physical(vmm, place, range, options)?;
        Ok(())
    }

    /// Maps a page in a program's space that tells it what it was given, as
    /// [`first_page`](vmm_client::objects::first_page) has it: files that
    /// [`Objects::give_file`] has put into its slots from [`FIRST_FREE_SLOT`] on, by these names of
    /// at most 20 bytes, and arguments. Its account pays. Returns the page's address: with that as
    /// its argument the program is to be started. Four kernel calls.
    ///
    /// # Errors
    /// [`crate::Error::Refused`] when there is no such program, it cannot pay, a name is too long,
    /// or there is no room for all of it (`BadLength`); what the manager refuses.
    pub fn give_first_page<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        program: ProgramId,
        files: &[&str],
        arguments: &str,
    ) -> Result<usize> {
        let file = |(slot, &name)| {
            let (kind, rights) = (Some(Kind::Memory), Rights::READ);
            GivenObject { name, kind, rights, slot }
        };
        self.give_page_of(vmm, program, (FIRST_FREE_SLOT..).zip(files).map(file), arguments)
    }

    /// The same, of anything that was put into its slots.
    ///
    /// # Errors
    /// As [`Objects::give_first_page`].
    pub fn give_page_of<'a, K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        program: ProgramId,
        given: impl Iterator<Item = GivenObject<'a>>,
        arguments: &str,
    ) -> Result<usize> {
        let program = self.program(program).ok_or(Refusal::Gone { place: 0 })?;
        let (space, id) = parts(program)?;
        let mut page = [0; PAGE_BYTES];
        first_page::begin(&mut page);
        let mut fits = first_page::set_arguments(&mut page, arguments);
        for object in given {
            fits &= first_page::add(&mut page, &object);
        }
        if !fits {
            return Err(Refusal::BadLength { pages: 1 }.into());
        }
        let cost = Amounts::NONE.with(Resource::Pages, 1).with(Resource::Slots, 1);
        let cost = cost.with(Resource::Tables, tables(vmm.geometry(), 1));
        charge_space(space, cost)?;
        let options = RegionOptions::new(1).rights(PageRights::READ).named("given");
        let region = clearing(vmm, |vmm| vmm.reserve(id, &options))?;
        let address = region.start().bits();
        clearing(vmm, |vmm| vmm.populate_from(id, address, &page))?;
        Ok(address)
    }
}
