//! A program's ELF file: its segments mapped where it wants them, with the rights it says.
//!
//! The file is data: nothing in it is trusted. Segments that overlap, lie outside user space, or
//! have more bytes than memory are refused, by the checks that any request for a region meets. Of
//! thread-local storage (`PT_TLS`) each thread gets a block of its own.

use core::fmt;

use elf::abi::{EM_386, ET_EXEC, PF_R, PF_W, PF_X, PT_INTERP, PT_LOAD, PT_TLS};
use elf::endian::LittleEndian;
use elf::file::Class;
use elf::segment::ProgramHeader;
use elf::ElfBytes;
use untyped_alloc::{Kernel, Memory, Rights};

use crate::Error;
use crate::RegionOptions;
use crate::SpaceId;
use crate::TlsImage;
use crate::Vmm;

/// Why a program's file cannot be loaded.
#[derive(Debug)]
pub enum ImageError {
    /// It is no ELF file, or cut off.
    Elf(elf::ParseError),
    /// It is none for this machine, not an executable, or wants what is not here: an interpreter.
    Unsupported(&'static str),
    /// The manager refused.
    Manager(Error),
}

impl From<Error> for ImageError {
    fn from(error: Error) -> ImageError {
        ImageError::Manager(error)
    }
}

impl From<elf::ParseError> for ImageError {
    fn from(error: elf::ParseError) -> ImageError {
        ImageError::Elf(error)
    }
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImageError::Elf(error) => write!(f, "no ELF file: {error}"),
            ImageError::Unsupported(what) => write!(f, "this file cannot run here: {what}"),
            ImageError::Manager(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ImageError {}

/// The most pages of a thread's block of thread-local storage.
const MOST_TLS_PAGES: usize = 16;

/// What was loaded.
pub(super) struct Loaded<'f> {
    /// The address of the entry.
    pub entry: usize,
    /// What threads' local storage begins with, if the program has any.
    pub tls: Option<TlsImage<'f>>,
}

/// Loads a program into a space.
pub(super) fn load<'p, 'f, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    space: SpaceId,
    file: &'f [u8],
) -> Result<Loaded<'f>, ImageError> {
    let elf = ElfBytes::<LittleEndian>::minimal_parse(file)?;
    let header = &elf.ehdr;
    if (header.class, header.e_machine, header.e_type) != (Class::ELF32, EM_386, ET_EXEC) {
        return Err(ImageError::Unsupported("not an executable for IA32"));
    }
    let segments = elf.segments().ok_or(ImageError::Unsupported("no segments"))?;
    let mut tls = None;
    for segment in segments.iter() {
        match segment.p_type {
            PT_LOAD if segment.p_memsz != 0 => {
                load_segment(vmm, space, &segment, elf.segment_data(&segment)?)?;
            }
            PT_INTERP => return Err(ImageError::Unsupported("it wants an interpreter")),
            PT_TLS if segment.p_memsz != 0 => {
                if tls.is_some() {
                    return Err(ImageError::Unsupported("two segments of thread-local storage"));
                }
                tls = Some(tls_image(vmm, &segment, elf.segment_data(&segment)?)?);
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
) -> Result<TlsImage<'f>, ImageError> {
    let image = TlsImage {
        init,
        memory_bytes: usize::try_from(segment.p_memsz).unwrap_or(usize::MAX),
        align: usize::try_from(segment.p_align.max(1)).unwrap_or(usize::MAX),
    };
    match image.memory_bytes <= MOST_TLS_PAGES * vmm.geometry.page_bytes() {
        true => Ok(image),
        false => Err(ImageError::Unsupported("too much thread-local storage")),
    }
}

/// Maps one segment, with its rights as the ceiling, and fills it through a window.
fn load_segment<'p, K: Kernel + Memory<'p>>(
    vmm: &mut Vmm<'p, K>,
    space: SpaceId,
    segment: &ProgramHeader,
    bytes: &[u8],
) -> Result<(), ImageError> {
    let page = vmm.geometry.page_bytes();
    let too_large = ImageError::Unsupported("a segment outside user space");
    let (start, size) = (segment.p_vaddr as usize, segment.p_memsz as usize);
    let possible = segment.p_filesz <= segment.p_memsz
        && u32::try_from(segment.p_vaddr).is_ok()
        && u32::try_from(segment.p_memsz).is_ok();
    let end = start.checked_add(size).filter(|_| possible).ok_or(too_large)?;
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
