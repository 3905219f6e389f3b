// SPDX-License-Identifier: BSD-2-Clause
//! A program's image out of a memory object, in pieces between other requests.
//!
//! ```text
//!   memory object   │ headers, constants, code │ data │
//!                        │ mapped, pages appear    │ copied
//!                        ▼ when they are touched   ▼
//!   program's space │ constants │ code │      │ data, clear pages │
//! ```
//!
//! The file is a program's data: it may be changed while it is read. It is checked by each request
//! anew, and pages are copied only into regions that the first reserved, which are paid.

use elf::segment::ProgramHeader;
use vmm::{Kernel, Memory, Pages, RegionId, Rights as PageRights, SpaceId, Vmm};
use vmm_client::objects::{
    Amounts, Answer, ImageFault, Refusal, Resource, Rights, State, MAX_PAGES, PAGE_BYTES,
};

use super::answers::{narrow, refuse, tables, Answered, Refused};
use super::children::{charge_space, parts, refund_space};
use super::mappings::{PageKind, Wanted};
use super::service::{clearing, Objects};
use super::state::capability::Capability;
use super::state::object::{Object, What};
use super::state::program::Program;
use crate::image::{self, for_each_run, Run, Segments, TlsPlace};
use crate::types::error::{Error, ImageError};

/// The headers of a file, with the table of its segments, lie in so many of its first bytes.
const HEAD_BYTES: usize = 1024;
/// The most pages of the file that are mapped when it is loaded, as many as a touch of fresh memory
/// brings: to map one more costs a quarter of what its touch would.
const MAX_AHEAD: u32 = 16;

/// A memory object with a file.
#[derive(Clone, Copy)]
struct File<'p> {
    through: &'p Capability<'p>,
    memory: &'p Object<'p>,
    region: RegionId,
    pages: u32,
}

impl<'p> File<'p> {
    fn new(through: &'p Capability<'p>, memory: &'p Object<'p>) -> Result<File<'p>, Refused> {
        match memory.what.get() {
            What::Large { .. } => Err(Refusal::Large { place: 1 }),
            What::Memory { .. } if memory.paged.get().is_some() => Err(Refusal::Paged { place: 1 }),
            What::Memory { region, pages, .. } => Ok(File { through, memory, region, pages }),
            _ => Err(Refusal::BadImage { what: ImageFault::Unsupported, at: 0 }),
        }
    }

    fn bytes(&self) -> u64 {
        u64::from(self.pages) * PAGE_BYTES as u64
    }
}

/// Where the copying of a piece is.
struct Piece {
    /// Pages that were done before, and are to be passed.
    passed: u32,
    /// Pages that are done, with those.
    done: u32,
}

impl Piece {
    /// Whether the next page is to be done now. Counts it.
    fn is_next(&mut self) -> bool {
        let is_new = self.done >= self.passed;
        self.done += 1;
        is_new
    }

    fn is_full(&self) -> bool {
        self.done >= self.passed + MAX_PAGES
    }
}

impl<'p> Objects<'p> {
    /// Serves [`vmm_client::objects::Request::Load`].
    pub(super) fn load_step<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        object: &'p Object<'p>,
        (through, memory): (&'p Capability<'p>, &'p Object<'p>),
    ) -> Answered {
        let program = self.alive(object)?;
        let state = object.report().ok_or(Refusal::Internal {})?.state;
        let number = memory.number.get();
        let begins = match state {
            State::Empty => true,
            State::Loading if program.image.get() == number => false,
            _ => return Err(Refusal::WrongState { state }),
        };
        let file = File::new(through, memory)?;
        let mut head = [0; HEAD_BYTES];
        self.read_file(vmm, file, 0, &mut head)?;
        let word_bits = vmm.allocator().sizes().word_bits;
        let (header, segments) = image::parse(&head, word_bits).map_err(|error| match error {
            // The file may go on there.
            ImageError::CutOff { start, .. } if (start as u64) < file.bytes() => {
                Refusal::BadImage { what: ImageFault::Unsupported, at: start }
            }
            other => bad_image(other),
        })?;
        let tls = image::check(vmm, file.bytes(), &header, segments).map_err(bad)?;
        if begins {
            tls.map_or(Ok(()), |tls| check_tls(vmm.geometry().user_end, tls))?;
            image::refuse_writable_code(segments, PAGE_BYTES).map_err(bad)?;
            self.make_room(vmm, program, file, segments)?;
            program.entry.set(image::narrow(header.e_entry));
            program.tls.set(tls);
            program.image.set(number);
            program.loaded.set(0);
            object.set_state(State::Loading);
        }
        let mut piece = Piece { passed: program.loaded.get(), done: 0 };
        for segment in segments.loadable() {
            self.fill(vmm, program, (file, segment), &mut piece)?;
        }
        match piece.is_full() {
            true => Ok(Answer::More {}),
            false => {
                self.map_ahead(vmm, program, (file, segments))?;
                object.set_state(State::Loaded);
                Ok(Answer::Done {})
            }
        }
    }

    /// Reserves a region for each run of pages of an image, and charges what is copied into it; or
    /// maps the run. All of them, or none.
    fn make_room<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        program: &'p Program<'p>,
        file: File<'p>,
        segments: Segments<'_>,
    ) -> Result<(), Refused> {
        let (space, id) = parts(program)?;
        let mut made = 0;
        let result = for_each_run(segments, PAGE_BYTES, |run| {
            self.make_run(vmm, space, id, (file, segments, run))?;
            made += 1;
            Ok(())
        });
        let Err(error) = result else { return Ok(()) };
        // From the last that was made: nothing else is there.
        let mut left = made;
        let undone = for_each_run(segments, PAGE_BYTES, |run| {
            if left > 0 {
                left -= 1;
                self.undo_run(vmm, space, id, run)?;
            }
            Ok(())
        });
        undone.map_err(bad)?;
        Err(bad(error))
    }

    fn make_run<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        space: &'p Object<'p>,
        id: SpaceId,
        (file, segments, run): (File<'p>, Segments<'_>, &Run),
    ) -> Result<(), Error> {
        if run.pages(PAGE_BYTES) == 0 {
            return Ok(());
        }
        if let Some(first) = mapped_from(segments, run) {
            self.refill(vmm)?;
            let pages = narrow(run.pages(PAGE_BYTES));
            // The program can never write to the file, whatever its maker may.
            let (rights, ceiling) = (Rights::READ, Rights::READ);
            let (private, like, address) = (false, PageKind::default(), run.start);
            let wanted = Wanted { address, first, pages, rights, ceiling, private, like };
            let payer = space.payer.get().ok_or(Refusal::Internal {})?;
            self.map(vmm, (space, file.through), payer, wanted)?;
            return Ok(());
        }
        let cost = run_cost(vmm, run);
        charge_space(space, cost)?;
        if let Err(error) = clearing(vmm, |vmm| run.reserve(vmm, id)) {
            refund_space(space, cost);
            return Err(error.into());
        }
        Ok(())
    }

    /// Takes back what [`Objects::make_run`] made, of which nothing is there yet.
    fn undo_run<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        space: &'p Object<'p>,
        id: SpaceId,
        run: &Run,
    ) -> Result<(), Error> {
        if run.pages(PAGE_BYTES) == 0 {
            return Ok(());
        }
        if let Some(mapping) = self.tables.mapping_from(space, run.start) {
            self.unmap_step(vmm, mapping)?;
            return Ok(());
        }
        let region = vmm.next_region(id, run.start)?;
        if let Some(region) = region.filter(|region| region.range.start().bits() == run.start) {
            vmm.release(region.id)?;
            refund_space(space, run_cost(vmm, run));
        }
        Ok(())
    }

    /// Maps the first pages of what is mapped of the file, some of all runs together. The others
    /// come when they are touched, as do these where this is refused.
    fn map_ahead<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        program: &'p Program<'p>,
        (file, segments): (File<'p>, Segments<'_>),
    ) -> Result<(), Refused> {
        let (space, _) = parts(program)?;
        let mut left = MAX_AHEAD;
        for segment in segments.loadable() {
            let start = Run::of(&segment, PAGE_BYTES).start;
            // The file may have changed, and name what is another's.
            let is_its = |memory: Option<&Object<'p>>| memory.is_some_and(|it| it.is(file.memory));
            let mapping = self.tables.mapping_from(space, start);
            let Some(mapping) = mapping.filter(|mapping| is_its(mapping.memory.get())) else {
                continue;
            };
            let pages = mapping.pages.get().min(left);
            self.bring(vmm, mapping, (0, pages)).map_err(refuse)?;
            left -= pages;
        }
        Ok(())
    }

    /// Copies pages of a segment, as many as are left of the piece. What is mapped is passed.
    fn fill<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        program: &'p Program<'p>,
        (file, segment): (File<'p>, ProgramHeader),
        piece: &mut Piece,
    ) -> Result<(), Refused> {
        let (space, id) = parts(program)?;
        let run = Run::of(&segment, PAGE_BYTES);
        if self.is_mapped(space, run.start) {
            return Ok(());
        }
        let start = image::narrow(segment.p_vaddr);
        let with_bytes = start.saturating_add(image::narrow(segment.p_filesz));
        let mut page = run.start;
        while page < run.end && !piece.is_full() {
            if piece.is_next() && !self.is_mapped(space, page) {
                let (from, to) = (page.max(start), with_bytes.min(page + PAGE_BYTES));
                let bytes = to.saturating_sub(from);
                let at = segment.p_offset.saturating_add((from - start) as u64);
                self.fill_page(vmm, id, page, (file, at, from, bytes))?;
                program.loaded.set(piece.done);
            }
            page += PAGE_BYTES;
        }
        Ok(())
    }

    /// Whether an address lies in a mapping of a memory object: nothing is copied there.
    fn is_mapped(&self, space: &Object<'p>, address: usize) -> bool {
        self.tables.mapping_at(space, address).is_some_and(|mapping| {
            let pages = (address - mapping.start.get()) / PAGE_BYTES;
            pages < mapping.pages.get() as usize
        })
    }

    /// Copies what a page has of a file: so many bytes, from a place of the file to an address. The
    /// page may be there with the end of another segment.
    #[inline(never)]
    fn fill_page<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        space: SpaceId,
        page: usize,
        (file, at, to, bytes): (File<'p>, u64, usize, usize),
    ) -> Result<(), Refused> {
        let is_there = vmm.mapping_at(space, page).map_err(refuse)?.is_some();
        if bytes == 0 {
            return match is_there {
                true => Ok(()),
                false => clearing(vmm, |vmm| vmm.populate(space, Pages::at(page))).map_err(refuse),
            };
        }
        let mut contents = [0; PAGE_BYTES];
        let contents = &mut contents[..bytes];
        self.read_file(vmm, file, at, contents)?;
        clearing(vmm, |vmm| match is_there {
            true => vmm.write(space, to, contents),
            false => vmm.populate_from(space, to, contents),
        })
        .map_err(refuse)
    }

    /// Reads bytes of a file, which has them.
    fn read_file<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        file: File<'p>,
        at: u64,
        bytes: &mut [u8],
    ) -> Result<(), Refused> {
        let end = at.saturating_add(bytes.len() as u64);
        if end > file.bytes() {
            let at = image::narrow(at);
            return Err(Refusal::BadImage { what: ImageFault::CutOff, at });
        }
        let at = image::narrow(at);
        let first = at / PAGE_BYTES;
        let pages = (image::narrow(end)).div_ceil(PAGE_BYTES) - first;
        let pages = (narrow(first), narrow(pages));
        clearing(vmm, |vmm| self.commit(vmm, file.memory, pages)).map_err(refuse)?;
        let from = file.region.start().bits() + at;
        clearing(vmm, |vmm| vmm.read(file.region.space(), from, bytes)).map_err(refuse)
    }
}

/// The first page of the file that a run of pages is, if it can be mapped: a segment has it alone,
/// it is not written, and lies in pages of the file as it does in memory.
fn mapped_from(segments: Segments<'_>, run: &Run) -> Option<u32> {
    if run.rights.contains(PageRights::WRITE) {
        return None;
    }
    let segment = segments.loadable().find(|segment| {
        let whole = Run::of(segment, PAGE_BYTES);
        (whole.start, whole.end) == (run.start, run.end) && segment.p_filesz == segment.p_memsz
    })?;
    let page = PAGE_BYTES as u64;
    let same = segment.p_offset % page == segment.p_vaddr % page;
    same.then(|| u32::try_from(segment.p_offset / page).ok()).flatten()
}

/// Refuses thread-local storage that no thread can have, or that begins with more than a page: what
/// it begins with is read where it lies in the program.
fn check_tls(user_end: usize, tls: TlsPlace) -> Result<(), Refused> {
    let end = tls.address.checked_add(tls.memory_bytes).filter(|&end| end <= user_end);
    let aligned = tls.align.is_power_of_two() && tls.align <= PAGE_BYTES;
    if end.is_none() || !aligned || tls.bytes > tls.memory_bytes as u64 {
        return Err(Refusal::BadImage { what: ImageFault::BadSegment, at: tls.address });
    }
    match tls.bytes <= PAGE_BYTES as u64 {
        true => Ok(()),
        false => {
            let at = image::narrow(tls.bytes);
            Err(Refusal::BadImage { what: ImageFault::TooMuchTls, at })
        }
    }
}

/// What is charged for a run that is copied.
fn run_cost<'p, K: Kernel + Memory<'p>>(vmm: &Vmm<'p, K>, run: &Run) -> Amounts {
    let pages = narrow(run.pages(PAGE_BYTES));
    let cost = Amounts::NONE.with(Resource::Pages, pages).with(Resource::Slots, pages);
    cost.with(Resource::Tables, tables(vmm.geometry(), pages))
}

/// What a client is told of an error that may be its image's.
fn bad(error: Error) -> Refused {
    match error {
        Error::Image(error) => bad_image(error),
        other => super::children::refused(other),
    }
}

fn bad_image(error: ImageError) -> Refused {
    let (what, at) = match error {
        ImageError::NotElf { .. } => (ImageFault::NotElf, 0),
        ImageError::CutOff { start, .. } => (ImageFault::CutOff, start),
        ImageError::Malformed(_) => (ImageFault::Malformed, 0),
        ImageError::Unsupported(_) => (ImageFault::Unsupported, 0),
        ImageError::BadSegment { address, .. } => (ImageFault::BadSegment, image::narrow(address)),
        ImageError::NoRights { address } => (ImageFault::NoRights, image::narrow(address)),
        ImageError::WritableCode { address } => (ImageFault::WritableCode, image::narrow(address)),
        ImageError::Overlap { address } => (ImageFault::Overlap, image::narrow(address)),
        ImageError::BadEntry { address } => (ImageFault::BadEntry, image::narrow(address)),
        ImageError::TooMuchTls { bytes } => (ImageFault::TooMuchTls, bytes),
    };
    Refusal::BadImage { what, at }
}
