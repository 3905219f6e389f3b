//! A program's ELF file: its segments mapped where it wants them, with the rights it says.
//!
//! The file is data: nothing in it is trusted. Segments that overlap, lie outside user space, or
//! have more bytes than memory are refused, by the checks that any request for a region meets. Of
//! thread-local storage (`PT_TLS`) each thread gets a block of its own.

use elf::abi::{EM_386, ET_EXEC, PF_R, PF_W, PF_X, PT_INTERP, PT_LOAD, PT_TLS};
use elf::endian::LittleEndian;
use elf::file::Class;
use elf::segment::ProgramHeader;
use elf::{ElfBytes, ParseError};
use vmm::{Kernel, Memory, RegionOptions, Rights, SpaceId, TlsImage, Vmm};

use crate::types::error::{Error, ImageError};

/// The most pages of a thread's block of thread-local storage.
const MAX_TLS_PAGES: usize = 16;

/// What was loaded.
pub(crate) struct Loaded<'f> {
    /// The address of the entry.
    pub entry: usize,
    /// What threads' local storage begins with, if the program has any.
    pub tls: Option<TlsImage<'f>>,
}

/// Loads a program into a space.
pub(crate) fn load<'p, 'f, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    space: SpaceId,
    file: &'f [u8],
) -> Result<Loaded<'f>, Error> {
    let elf = ElfBytes::<LittleEndian>::minimal_parse(file).map_err(image_error)?;
    let header = &elf.ehdr;
    if (header.class, header.e_machine, header.e_type) != (Class::ELF32, EM_386, ET_EXEC) {
        return Err(ImageError::Unsupported("not an executable for IA32").into());
    }
    let segments = elf.segments().ok_or(ImageError::Unsupported("no segments"))?;
    let mut tls = None;
    for segment in segments.iter() {
        match segment.p_type {
            PT_LOAD if segment.p_memsz != 0 => {
                let bytes = elf.segment_data(&segment).map_err(image_error)?;
                load_segment(vmm, space, &segment, bytes)?;
            }
            PT_INTERP => {
                return Err(ImageError::Unsupported("it wants an interpreter").into());
            }
            PT_TLS if segment.p_memsz != 0 => {
                if tls.is_some() {
                    let two = "two segments of thread-local storage";
                    return Err(ImageError::Unsupported(two).into());
                }
                let init = elf.segment_data(&segment).map_err(image_error)?;
                tls = Some(tls_image(vmm, &segment, init)?);
            }
            _ => {}
        }
    }
    Ok(Loaded { entry: header.e_entry as usize, tls })
}

/// What a segment says of thread-local storage; alignment 0 says none, as 1 does.
fn tls_image<'p, 'f, K: Kernel + Memory<'p>>(
    vmm: &Vmm<'p, K>,
    segment: &ProgramHeader,
    init: &'f [u8],
) -> Result<TlsImage<'f>, Error> {
    let image = TlsImage {
        init,
        memory_bytes: usize::try_from(segment.p_memsz).unwrap_or(usize::MAX),
        align: usize::try_from(segment.p_align.max(1)).unwrap_or(usize::MAX),
        address: segment.p_vaddr as usize,
    };
    match image.memory_bytes <= MAX_TLS_PAGES * vmm.geometry().page_bytes() {
        true => Ok(image),
        false => Err(ImageError::TooMuchTls { bytes: image.memory_bytes }.into()),
    }
}

/// Maps one segment, with its rights as the ceiling, and fills it.
fn load_segment<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    space: SpaceId,
    segment: &ProgramHeader,
    bytes: &[u8],
) -> Result<(), Error> {
    let page = vmm.geometry().page_bytes();
    let (address, bytes_in_memory) = (segment.p_vaddr, segment.p_memsz);
    let bad = ImageError::BadSegment { address, bytes: bytes_in_memory };
    let (start, size) = (segment.p_vaddr as usize, segment.p_memsz as usize);
    let possible = segment.p_filesz <= segment.p_memsz
        && u32::try_from(segment.p_vaddr).is_ok()
        && u32::try_from(segment.p_memsz).is_ok();
    let end = start.checked_add(size).filter(|_| possible).ok_or(bad)?;
    let base = start & !(page - 1);
    let mut rights = Rights::empty();
    rights.set(Rights::READ, segment.p_flags & (PF_R | PF_X) != 0);
    rights.set(Rights::WRITE, segment.p_flags & PF_W != 0);
    let name = match (segment.p_flags & PF_X != 0, segment.p_flags & PF_W != 0) {
        (true, _) => "code",
        (false, true) => "data",
        (false, false) => "constants",
    };
    let pages = (end - base).div_ceil(page);
    let options = RegionOptions::new(pages).at(base).rights(rights).ceiling(rights).named(name);
    vmm.map(space, &options)?;
    Ok(vmm.write(space, start, bytes)?)
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
