// SPDX-License-Identifier: BSD-2-Clause
//! Memory objects cloned: at once, or in pieces where more of their pages are there than one
//! request does.
//!
//! ```text
//!   Clone ──► a clone, which nobody can name yet ──► some pages ──► More
//!   Clone, of the same into the same slot ─────────► some pages ──► More
//!   … the last ────────────────────────────────────► the capability ──► Done
//! ```
//!
//! Of what is mapped, located or has other users, the pages are copied, and so are large ones.
//! Anything else is cloned on demand.
//!
//! A program has one clone at the most that is being made. It ends, as if it had never been begun,
//! with the program, with a piece that is refused, with another clone that the program begins, and
//! when what it is made of changes: that is its holders' matter, who need not know of the clone.

use vmm::{
    CPtr, Kernel, KernelError, Memory, Placement, RegionId, Rights as CapRights, Violation, Vmm,
};
use vmm_client::objects::{Answer, Kind, Refusal, MAX_PAGES, PAGE_BYTES};

use super::answers::{narrow, refuse, refuse_slot, Answered, Refused};
use super::capabilities::{slot_path, Place};
use super::large;
use super::memory::{at, copy_page, cost, in_store};
use super::service::{clearing, Objects};
use super::state::counts::{add, sub};
use super::state::object::{Object, What};
use super::state::program::{Cloning, Program};

/// The most pages that one request copies, and looks at for those that are there.
const MAX_COPIED: u32 = 32;
const MAX_LOOKED_AT: u32 = 1024;

impl<'p> Objects<'p> {
    /// Serves [`vmm_client::objects::Request::Clone`].
    pub(super) fn clone_memory<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        place: Place<'p>,
        memory: &'p Object<'p>,
    ) -> Answered {
        let Place { program, payer, slot } = place;
        // Under copy-on-write these would have to be wherever they are mapped; or a page whose
        // physical address was told would be another's.
        let copies = memory.mappings.get() != 0 || memory.located.get() || memory.is_large();
        let goes_on = program.cloning.get().filter(|cloning| {
            let paid = cloning.clone.payer.get().is_some_and(|paying| paying.is(payer));
            paid && cloning.source.is(memory) && cloning.slot == slot
        });
        let begun = goes_on.is_none();
        let cloning = match goes_on {
            Some(cloning) => cloning,
            None if copies => self.begin_clone(vmm, place, (memory, true))?,
            None if memory.committed.get() <= MAX_PAGES => {
                match self.clone_at_once(vmm, place, memory) {
                    Err(Refusal::Shared { .. }) => self.begin_clone(vmm, place, (memory, true))?,
                    answered => return answered,
                }
            }
            None => self.begin_clone(vmm, place, (memory, false))?,
        };
        let answered = self.clone_step(vmm, place, cloning);
        let waits = payer.account().is_some_and(|account| account.waits);
        match answered {
            Ok(_) => {}
            // It is made again when memory has come back, and goes on.
            Err(Refusal::Overcommitted { .. }) if waits => {}
            // One that was begun just now leaves nothing; of another there may be much.
            Err(_) if begun => {
                if let Some(clone) = self.remove_cloning(program) {
                    self.dismantle(vmm, clone);
                }
            }
            Err(_) => self.abandon_clone(program),
        }
        answered
    }

    fn clone_at_once<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        place: Place<'p>,
        memory: &'p Object<'p>,
    ) -> Answered {
        let What::Memory { region, pages, options } = memory.what.get() else {
            return Err(Refusal::Internal {});
        };
        let (rights, cost) = (Object::all_rights(Kind::Memory, options), cost(vmm, pages));
        self.create(vmm, place, (Kind::Memory, rights, cost), |_, vmm, object| {
            let clone = in_store(vmm, object, |vmm, into| {
                let anywhere = Placement::anywhere();
                let clone = clearing(vmm, |vmm| vmm.clone_region_on_demand(region, into, anywhere));
                clone.map_err(|error| refuse_page(error, region))
            })?;
            object.committed.set(memory.committed.get());
            Ok(What::Memory { region: clone, pages, options })
        })?;
        Ok(Answer::Done {})
    }

    /// Makes a clone of which no page is there yet, whose pages are copies, or not. The one that the
    /// program has begun before ends.
    fn begin_clone<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        Place { program, payer, slot }: Place<'p>,
        (memory, copies): (&'p Object<'p>, bool),
    ) -> Result<Cloning<'p>, Refused> {
        let what = memory.what.get();
        let cost = match what {
            What::Memory { pages, .. } => cost(vmm, pages),
            What::Large { pages, .. } => large::cost(vmm, pages),
            _ => return Err(Refusal::Internal {}),
        };
        check_empty(vmm, program, slot)?;
        let number = program.object.get().ok_or(Refusal::Internal {})?;
        let clone = self.charged_object(Kind::Memory, payer, cost)?;
        let made = match what {
            What::Memory { region, pages, options } => in_store(vmm, clone, |vmm, into| {
                clearing(vmm, |vmm| vmm.reserve_like(region, into, Placement::anywhere()))
                    .map_err(refuse)
            })
            .map(|region| What::Memory { region, pages, options }),
            large => Ok(large),
        };
        match made {
            Ok(made) => clone.what.set(made),
            Err(refusal) => {
                self.dismantle(vmm, clone);
                return Err(refusal);
            }
        }
        self.abandon_clone(program);
        let cloning = Cloning { clone, source: memory, slot, done: 0, copies };
        clone.cloner.set(Some(number));
        add(&memory.clones, 1);
        self.found_programs.set_cloning(program, Some(cloning));
        Ok(cloning)
    }

    /// Clones some pages; when all are, hands out a capability.
    fn clone_step<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        place: Place<'p>,
        cloning: Cloning<'p>,
    ) -> Answered {
        let Cloning { clone, source, done, .. } = cloning;
        let parts = (source.what.get(), clone.what.get());
        let (What::Memory { pages, options, .. } | What::Large { pages, options }) = parts.1 else {
            return Err(Refusal::Internal {});
        };
        if done < pages {
            let cloning = match parts {
                (What::Memory { region: from, .. }, What::Memory { region: into, .. }) => {
                    pass_pages(vmm, cloning, (from, into), pages)?
                }
                _ => {
                    let some = (done, pages, MAX_COPIED);
                    let done = self.copy_large_step(vmm, (source, clone), some).map_err(refuse)?;
                    Cloning { done, ..cloning }
                }
            };
            self.found_programs.set_cloning(place.program, Some(cloning));
            let Cloning { done, .. } = cloning;
            if done < pages {
                return Ok(Answer::More {});
            }
        }
        self.hand_out(vmm, clone, Object::all_rights(Kind::Memory, options), None, place)?;
        self.remove_cloning(place.program);
        Ok(Answer::Done {})
    }

    /// A program's clone that is being made is one no more. Returns it, if there was one.
    fn remove_cloning(&mut self, program: &'p Program<'p>) -> Option<&'p Object<'p>> {
        let Cloning { clone, source, .. } = program.cloning.get()?;
        self.found_programs.set_cloning(program, None);
        clone.cloner.set(None);
        sub(&source.clones, 1);
        Some(clone)
    }

    /// Ends a program's clone that is being made, if there is one: that is work that is left.
    pub(super) fn abandon_clone(&mut self, program: &'p Program<'p>) {
        if let Some(clone) = self.remove_cloning(program) {
            self.retire(clone);
        }
    }

    /// What a memory object holds may have changed, or is about to be gone: clones of it that are
    /// being made end.
    pub(super) fn abandon_clones_of(&mut self, memory: &Object<'p>) {
        while memory.clones.get() != 0 {
            let Some(program) = self.found_programs.cloning(memory) else { return };
            self.abandon_clone(program);
        }
    }

    /// A memory object is taken apart: whoever is making it a clone, or clones of it, is not any
    /// more.
    pub(super) fn end_cloning(&mut self, memory: &Object<'p>) {
        self.abandon_clones_of(memory);
        let number = memory.cloner.get().map(|program| program.number.get());
        let program = number.and_then(|number| self.programs.find(&number).clone_pointer());
        if let Some(program) = program {
            self.remove_cloning(program);
        }
    }

    /// How many clones are being made, in pieces.
    pub fn clones_being_made(&self) -> usize {
        self.programs.iter().filter(|program| program.cloning.get().is_some()).count()
    }

    /// I40: a clone that is being made is one program's, nobody has a capability to it, and what it
    /// is made of counts it and is mapped nowhere, unless it is copied.
    pub(super) fn validate_clones(&self) -> Result<(), Violation> {
        let hold = |rule, object: &Object<'p>, holds: bool| {
            holds.then_some(()).ok_or(Violation { rule, at: object.number.get() as usize })
        };
        let all = || self.programs.iter().filter_map(|program| program.cloning.get());
        for program in self.programs.iter() {
            let Some(cloning) = program.cloning.get() else { continue };
            let Cloning { clone, source, copies, .. } = cloning;
            let own = clone.cloner.get().is_some_and(|it| it.number.get() == program.number());
            hold("a clone that is being made is its program's", clone, own)?;
            hold("nobody has a clone that is being made", clone, clone.capabilities.get() == 0)?;
            hold("a clone that is being made is mapped nowhere", clone, clone.mappings.get() == 0)?;
            let unmapped = copies || source.mappings.get() == 0;
            hold("what is being cloned is mapped nowhere", source, unmapped)?;
        }
        for object in self.tables.objects.iter() {
            let of = all().filter(|cloning| cloning.source.is(object)).count();
            hold("clones are counted", object, of == object.clones.get() as usize)?;
            let made = all().filter(|cloning| cloning.clone.is(object)).count();
            let is = usize::from(object.cloner.get().is_some());
            hold("a clone is being made by one", object, made == is)?;
        }
        Ok(())
    }
}

/// Refuses a slot of a program's that is not there or not empty. One kernel call: a copy of
/// nothing, for which the kernel looks at the slot first (`decodeCNodeInvocation`).
fn check_empty<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    program: &Program<'p>,
    slot: u32,
) -> Result<(), Refused> {
    let path = slot_path(program, slot)?;
    match vmm.copy_cap(path, CPtr::NULL, CapRights::all()) {
        Ok(()) => Err(Refusal::Internal {}),
        Err(vmm::Error::Kernel { error: KernelError::FailedLookup, .. }) => Ok(()),
        Err(error) => Err(refuse_slot(error, slot)),
    }
}

/// Has the next pages of a clone be what its origin holds: so many as one request does, of which
/// those that are there are counted. Where one has other users, copies are made from there on.
fn pass_pages<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    cloning: Cloning<'p>,
    (from, into): (RegionId, RegionId),
    pages: u32,
) -> Result<Cloning<'p>, Refused> {
    let Cloning { clone, done, copies, .. } = cloning;
    if !copies {
        let mapped = |vmm: &Vmm<'p, K>| {
            let summary = vmm.space_summary(into.space()).map_err(refuse)?;
            Ok::<_, Refused>(summary.mapped_pages)
        };
        let (before, most) = (mapped(vmm)?, MAX_PAGES as usize);
        let passed =
            clearing(vmm, |vmm| vmm.clone_pages_on_demand(from, done as usize, into, most));
        match passed {
            Ok(passed) => {
                add(&clone.committed, narrow(mapped(vmm)? - before));
                return Ok(Cloning { done: done.saturating_add(narrow(passed)), ..cloning });
            }
            Err(vmm::Error::Shared { .. }) => {}
            Err(error) => return Err(refuse(error)),
        }
    }
    let (mut page, mut copied) = (done, 0);
    let end = pages.min(done.saturating_add(MAX_LOOKED_AT));
    while page < end && copied < MAX_COPIED {
        let origin = (from.space(), at(from, page));
        if vmm.mapping_at(origin.0, origin.1).map_err(refuse)?.is_some() {
            match copy_page(vmm, origin, (into, page)) {
                Ok(()) => copied += 1,
                // What was copied is not copied again.
                Err(_) if copied != 0 => break,
                Err(error) => return Err(refuse(error)),
            }
        }
        page += 1;
    }
    add(&clone.committed, copied);
    Ok(Cloning { done: page, copies: true, ..cloning })
}

/// What a client is told of an error about pages of a memory object, which lie in this region.
fn refuse_page(error: vmm::Error, region: vmm::RegionId) -> Refused {
    match error {
        vmm::Error::Shared { address } => {
            Refusal::Shared { page: narrow((address - region.start().bits()) / PAGE_BYTES) }
        }
        other => refuse(other),
    }
}
