// SPDX-License-Identifier: BSD-2-Clause
//! A program's ELF file: its segments mapped where it wants them, with the rights it says.
//!
//! The file is data: nothing in it is trusted. Only what it takes to run a program is looked at:
//! the header and the segments, which stand in the order of their addresses, as ELF wants it.
//! Segments that overlap, lie outside user space, or have more bytes than memory are refused, and
//! so is an entry that lies in none that may be run. Segments that share a page are not: the page
//! has the rights of both. Of thread-local storage (`PT_TLS`) each thread gets a block of its own.

use elf::abi::{EI_NIDENT, ET_EXEC};
use elf::abi::{PF_R, PF_W, PF_X, PN_XNUM, PT_INTERP, PT_LOAD, PT_TLS};
use elf::endian::LittleEndian;
use elf::file::{parse_ident, Class, FileHeader};
use elf::segment::{ProgramHeader, SegmentTable};
use elf::ParseError;
use vmm::{Kernel, Memory, Pages, RegionId, RegionOptions, Rights, SpaceId, TlsImage, Vmm};

use crate::arch::{MACHINE_32, MACHINE_64, NOT_THIS_32, NOT_THIS_64};
use crate::clearing::clearing_if;
use crate::types::error::{Error, ImageError};

/// The most pages of a thread's block of thread-local storage.
const MAX_TLS_PAGES: usize = 16;

/// The ELF files that one architecture's programs are.
#[derive(Clone, Copy)]
struct Format {
    class: Class,
    machine: u16,
    /// Bytes of the file's header, and of a segment's.
    header_bytes: u64,
    segment_bytes: u64,
    /// What is said of another file.
    not_this: &'static str,
}

impl Format {
    /// Those of the architecture whose words have so many bits: this machine, or else a PC.
    const fn of(word_bits: u8) -> Format {
        match word_bits {
            32 => Format {
                class: Class::ELF32,
                machine: MACHINE_32,
                header_bytes: 52,
                segment_bytes: 32,
                not_this: NOT_THIS_32,
            },
            _ => Format {
                class: Class::ELF64,
                machine: MACHINE_64,
                header_bytes: 64,
                segment_bytes: 56,
                not_this: NOT_THIS_64,
            },
        }
    }
}

/// The table of a file's segments, in bytes of the file.
#[derive(Clone, Copy)]
pub(crate) struct Segments<'f> {
    class: Class,
    table: &'f [u8],
}

impl<'f> Segments<'f> {
    /// The segments that are mapped.
    pub fn loadable(self) -> impl Iterator<Item = ProgramHeader> + 'f {
        self.iter().filter(|segment| segment.p_type == PT_LOAD && segment.p_memsz != 0)
    }

    fn iter(self) -> impl Iterator<Item = ProgramHeader> + 'f {
        SegmentTable::new(LittleEndian, self.class, self.table).iter()
    }
}

/// Where a file has what threads' local storage begins with, and how large it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TlsPlace {
    /// In the file: the first byte, and how many.
    pub offset: u64,
    pub bytes: u64,
    /// In memory.
    pub address: usize,
    pub memory_bytes: usize,
    pub align: usize,
}

impl TlsPlace {
    /// The image whose first bytes are these.
    pub fn image(self, init: &[u8]) -> TlsImage<'_> {
        let TlsPlace { memory_bytes, align, address, .. } = self;
        TlsImage { init, memory_bytes, align, address }
    }
}

/// What was loaded.
pub(crate) struct Loaded<'f> {
    /// The address of the entry.
    pub entry: usize,
    /// What threads' local storage begins with, if the program has any.
    pub tls: Option<TlsImage<'f>>,
    /// Where that lies.
    pub tls_place: Option<TlsPlace>,
}

/// How a program is loaded.
#[derive(Clone, Copy)]
pub(crate) struct LoadOptions {
    /// Whether pages that may be written and run are mapped; they are refused otherwise.
    pub writable_code: bool,
    /// Whether its memory was promised: it is cleared where that is more than one kernel call does.
    pub promised: bool,
}

/// Loads a program into a space. All of the file is checked before anything is mapped.
pub(crate) fn load<'p, 'f, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    space: SpaceId,
    file: &'f [u8],
    LoadOptions { writable_code, promised }: LoadOptions,
) -> Result<Loaded<'f>, Error> {
    let (header, segments) = parse(file, vmm.allocator().sizes().word_bits)?;
    let tls = check(vmm, file.len() as u64, &header, segments)?;
    let page = vmm.geometry().page_bytes();
    if !writable_code {
        refuse_writable_code(segments, page)?;
    }
    for_each_run(segments, page, |run| {
        clearing_if(promised, vmm, |vmm| run.reserve(vmm, space))?;
        Ok(())
    })?;
    for segment in segments.loadable() {
        let bytes = part(file, segment.p_offset, segment.p_filesz)?;
        fill(vmm, (space, promised), &segment, bytes)?;
    }
    let init = |tls: TlsPlace| part(file, tls.offset, tls.bytes).map(|init| tls.image(init));
    let entry = header.e_entry as usize;
    Ok(Loaded { entry, tls: tls.map(init).transpose()?, tls_place: tls })
}

/// Refuses pages that may be written and run.
pub(crate) fn refuse_writable_code(segments: Segments<'_>, page: usize) -> Result<(), Error> {
    let both = Rights::WRITE | Rights::EXECUTE;
    for_each_run(segments, page, |run| match run.rights.contains(both) {
        true => Err(ImageError::WritableCode { address: run.start as u64 }.into()),
        false => Ok(()),
    })
}

/// The header and the table of segments, of the first bytes of a file or all of it, for words of so
/// many bits. The table of sections is for linkers and debuggers, and need not be there.
pub(crate) fn parse(
    file: &[u8],
    word_bits: u8,
) -> Result<(FileHeader<LittleEndian>, Segments<'_>), ImageError> {
    let format = Format::of(word_bits);
    let ident = parse_ident::<LittleEndian>(part(file, 0, EI_NIDENT as u64)?);
    let ident = ident.map_err(image_error)?;
    if ident.1 != format.class {
        return Err(ImageError::Unsupported(format.not_this));
    }
    let rest = part(file, EI_NIDENT as u64, format.header_bytes - EI_NIDENT as u64)?;
    let header = FileHeader::parse_tail(ident, rest).map_err(image_error)?;
    if (header.e_machine, header.e_type) != (format.machine, ET_EXEC) {
        return Err(ImageError::Unsupported(format.not_this));
    }
    match header.e_phnum {
        0 => Err(ImageError::Unsupported("no segments")),
        PN_XNUM => Err(ImageError::Unsupported("too many segments")),
        _ if u64::from(header.e_phentsize) != format.segment_bytes => {
            Err(ImageError::Malformed("the size of a table's entries"))
        }
        count => {
            let table = part(file, header.e_phoff, u64::from(count) * format.segment_bytes)?;
            Ok((header, Segments { class: format.class, table }))
        }
    }
}

/// Checks all segments of a file of so many bytes, and the entry; returns what threads' local
/// storage begins with.
pub(crate) fn check<'p, K: Kernel + Memory<'p>>(
    vmm: &Vmm<'p, K>,
    file_bytes: u64,
    header: &FileHeader<LittleEndian>,
    segments: Segments<'_>,
) -> Result<Option<TlsPlace>, Error> {
    let within = |segment: &ProgramHeader| {
        let (start, bytes) = (segment.p_offset, segment.p_filesz);
        let end = start.saturating_add(bytes);
        let (start, narrow_end) = (narrow(start), narrow(end));
        match bytes == 0 || end <= file_bytes {
            true => Ok(()),
            false => Err(ImageError::CutOff { start, end: narrow_end }),
        }
    };
    let mut tls = None;
    let mut can_begin = false;
    // The addresses of the segment before.
    let mut last = 0..0;
    for segment in segments.iter() {
        match segment.p_type {
            PT_LOAD if segment.p_memsz != 0 => {
                let (address, bytes) = (segment.p_vaddr, segment.p_memsz);
                let end = address.checked_add(bytes);
                let end = end.filter(|&end| end <= vmm.geometry().user_end as u64);
                let end = end.filter(|_| segment.p_filesz <= bytes);
                let end = end.ok_or(ImageError::BadSegment { address, bytes })?;
                within(&segment)?;
                if segment.p_flags & (PF_R | PF_W | PF_X) == 0 {
                    return Err(ImageError::NoRights { address }.into());
                }
                if end <= last.start {
                    let order = "segments that are not in the order of their addresses";
                    return Err(ImageError::Malformed(order).into());
                }
                if address < last.end {
                    return Err(ImageError::Overlap { address }.into());
                }
                last = address..end;
                can_begin |= segment.p_flags & PF_X != 0 && last.contains(&header.e_entry);
            }
            PT_INTERP => {
                return Err(ImageError::Unsupported("it wants an interpreter").into());
            }
            PT_TLS if segment.p_memsz != 0 => {
                if tls.is_some() {
                    let two = "two segments of thread-local storage";
                    return Err(ImageError::Unsupported(two).into());
                }
                within(&segment)?;
                tls = Some(tls_place(vmm, &segment)?);
            }
            _ => {}
        }
    }
    match can_begin {
        true => Ok(tls),
        false => Err(ImageError::BadEntry { address: header.e_entry }.into()),
    }
}

/// What a segment says of thread-local storage; alignment 0 says none, as 1 does.
fn tls_place<'p, K: Kernel + Memory<'p>>(
    vmm: &Vmm<'p, K>,
    segment: &ProgramHeader,
) -> Result<TlsPlace, Error> {
    let image = TlsPlace {
        offset: segment.p_offset,
        bytes: segment.p_filesz,
        memory_bytes: usize::try_from(segment.p_memsz).unwrap_or(usize::MAX),
        align: usize::try_from(segment.p_align.max(1)).unwrap_or(usize::MAX),
        address: segment.p_vaddr as usize,
    };
    match image.memory_bytes <= MAX_TLS_PAGES * vmm.geometry().page_bytes() {
        true => Ok(image),
        false => Err(ImageError::TooMuchTls { bytes: image.memory_bytes }.into()),
    }
}

/// Pages that come into one region, in bytes; none where `start` is `end`.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    pub start: usize,
    pub end: usize,
    pub rights: Rights,
}

impl Run {
    /// The pages of a segment, with the rights it says. What can be read can be run, so a
    /// segment to be run can be read; and what can be written can be read.
    pub fn of(segment: &ProgramHeader, page: usize) -> Run {
        let (start, size) = (segment.p_vaddr as usize, segment.p_memsz as usize);
        let writable = segment.p_flags & PF_W != 0;
        Run {
            start: start & !(page - 1),
            end: (start + size).next_multiple_of(page),
            rights: match (writable, segment.p_flags & PF_X != 0) {
                (false, false) => Rights::READ,
                (true, false) => Rights::READ_WRITE,
                (false, true) => Rights::READ_EXECUTE,
                (true, true) => Rights::READ_WRITE_EXECUTE,
            },
        }
    }

    fn name(&self) -> &'static str {
        match (self.rights.contains(Rights::EXECUTE), self.rights.contains(Rights::WRITE)) {
            (true, _) => "code",
            (false, true) => "data",
            (false, false) => "constants",
        }
    }

    /// Its pages, of so many bytes each.
    pub fn pages(&self, page: usize) -> usize {
        (self.end - self.start) / page
    }

    /// Reserves it, with its rights as the ceiling, if there is anything of it.
    pub fn reserve<'p, K: Kernel + Memory<'p>>(
        &self,
        vmm: &mut Vmm<'p, K>,
        space: SpaceId,
    ) -> vmm::Result<Option<RegionId>> {
        let pages = self.pages(vmm.geometry().page_bytes());
        if pages == 0 {
            return Ok(None);
        }
        let options = RegionOptions::new(pages).at(self.start).named(self.name());
        let options = options.rights(self.rights).ceiling(self.rights);
        vmm.reserve(space, &options).map(Some)
    }
}

/// Makes a run of the pages of all segments for `each`. A page in which one ends and the next
/// begins has the rights of both.
pub(crate) fn for_each_run(
    segments: Segments<'_>,
    page: usize,
    mut each: impl FnMut(&Run) -> Result<(), Error>,
) -> Result<(), Error> {
    // What is not passed on yet, as the next segment may begin in its last page.
    let mut last = Run { start: 0, end: 0, rights: Rights::empty() };
    for segment in segments.loadable() {
        let next = Run::of(&segment, page);
        if next.start >= last.end {
            each(&last)?;
            last = next;
            continue;
        }
        let rights = last.rights | next.rights;
        let shared = Run { start: next.start, end: next.start + page, rights };
        each(&Run { end: shared.start, ..last })?;
        last = shared;
        if next.end > shared.end {
            each(&shared)?;
            last = Run { start: shared.end, ..next };
        }
    }
    each(&last)
}

/// Maps the pages of a segment with its contents, and clear pages behind them. Its first page and
/// its last may be regions of their own, and the first may be there with the segment before.
fn fill<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    (space, promised): (SpaceId, bool),
    segment: &ProgramHeader,
    bytes: &[u8],
) -> Result<(), Error> {
    let page = vmm.geometry().page_bytes();
    let start = segment.p_vaddr as usize;
    let end = start + segment.p_memsz as usize;
    let (first, rest) = bytes.split_at(bytes.len().min(page - start % page));
    let (middle, last) = rest.split_at(rest.len() / page * page);
    let mut at = start;
    for part in [first, middle, last] {
        if !part.is_empty() {
            let is_there = vmm.mapping_at(space, at)?.is_some();
            clearing_if(promised, vmm, |vmm| match is_there {
                true => vmm.write(space, at, part),
                false => vmm.populate_from(space, at, part),
            })?;
        }
        at += part.len();
    }
    // Pages that have no byte of the file: all but the first and the last lie in one region.
    let mut clear = at.next_multiple_of(page);
    let last = (end - 1) & !(page - 1);
    if bytes.is_empty() {
        populate_if_missing(vmm, (space, promised), start & !(page - 1))?;
        clear = (start & !(page - 1)) + page;
    }
    if clear < last {
        let pages = Pages::at(clear).count((last - clear) / page);
        clearing_if(promised, vmm, |vmm| vmm.populate(space, pages))?;
        clear = last;
    }
    if clear == last {
        populate_if_missing(vmm, (space, promised), last)?;
    }
    Ok(())
}

/// Maps a clear page, unless the segment before has one there.
fn populate_if_missing<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    (space, promised): (SpaceId, bool),
    page: usize,
) -> Result<(), Error> {
    match vmm.mapping_at(space, page)? {
        Some(_) => Ok(()),
        None => Ok(clearing_if(promised, vmm, |vmm| vmm.populate(space, Pages::at(page)))?),
    }
}

/// A number of the file's as an address or a length here: what is larger is the largest.
pub(crate) fn narrow(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// A part of the file.
fn part(file: &[u8], start: u64, bytes: u64) -> Result<&[u8], ImageError> {
    let (start, end) = (narrow(start), narrow(start.saturating_add(bytes)));
    match bytes {
        0 => Ok(&[]),
        _ => file.get(start..end).ok_or(ImageError::CutOff { start, end }),
    }
}

/// An error of the parser's, in our words.
fn image_error(error: ParseError) -> ImageError {
    match error {
        ParseError::BadMagic(magic) => ImageError::NotElf { magic },
        ParseError::SliceReadError((start, end)) => ImageError::CutOff { start, end },
        ParseError::UnsupportedElfClass(_) => ImageError::Unsupported("its class"),
        ParseError::UnsupportedElfEndianness(_) => ImageError::Unsupported("its byte order"),
        ParseError::UnsupportedVersion(_) => ImageError::Unsupported("its version of ELF"),
        ParseError::BadEntsize(_) => ImageError::Malformed("the size of a table's entries"),
        ParseError::BadOffset(_) => ImageError::Malformed("an offset"),
        ParseError::IntegerOverflow => ImageError::Malformed("numbers that overflow"),
        _ => ImageError::Malformed("its headers"),
    }
}
