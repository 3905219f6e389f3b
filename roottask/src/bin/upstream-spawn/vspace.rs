// SPDX-License-Identifier: BSD-2-Clause
//! An address space, made of a program's ELF file by hand.

use alloc::vec::Vec;
use core::ops::Range;

use sel4::{cap_type, init_thread, vspace_levels, TranslationTableObjectType};

use crate::elf::{Elf, Segment, EXECUTE, READ, WRITE};
use crate::image::PAGE;
use crate::objects::Objects;

/// A page of the program, and how it will be mapped.
type Page = (sel4::cap::Granule, sel4::CapRightsBuilder);

/// An address space with a program in it, and its IPC buffer.
pub struct ProgramSpace {
    pub vspace: sel4::cap::VSpace,
    pub ipc_buffer: usize,
    pub ipc_buffer_frame: sel4::cap::Granule,
}

/// Makes an address space of `elf`: its segments, and the page behind them for an IPC buffer. The
/// contents are written by the page at `window` of this space, where nothing is mapped.
pub fn make(objects: &mut Objects, elf: &Elf, window: usize) -> sel4::Result<ProgramSpace> {
    let vspace = objects.make_fixed::<cap_type::VSpace>()?;
    init_thread::slot::ASID_POOL.cap().asid_pool_assign(vspace)?;
    let program = extent(elf);
    map_tables(objects, vspace, &(program.start..program.end + PAGE))?;

    let frames = (0..program.len() / PAGE).map(|_| objects.make_fixed());
    let none = sel4::CapRightsBuilder::none();
    let mut pages = frames.map(|frame| Ok((frame?, none))).collect::<sel4::Result<Vec<Page>>>()?;
    for segment in elf.segments() {
        load(&mut pages, program.start, &segment, window)?;
    }
    for ((frame, rights), address) in pages.into_iter().zip(program.clone().step_by(PAGE)) {
        frame.frame_map(vspace, address, rights.build(), sel4::VmAttributes::default())?;
    }

    let ipc_buffer_frame = objects.make_fixed::<cap_type::Granule>()?;
    let ipc_buffer = program.end;
    ipc_buffer_frame.frame_map(
        vspace,
        ipc_buffer,
        sel4::CapRights::read_write(),
        sel4::VmAttributes::default(),
    )?;
    Ok(ProgramSpace { vspace, ipc_buffer, ipc_buffer_frame })
}

/// The pages from the first segment to the last.
fn extent(elf: &Elf) -> Range<usize> {
    let start = elf.segments().map(|segment| segment.address).min();
    let end = elf.segments().map(|segment| segment.address + segment.size).max();
    coarse(start.expect("a program has segments")..end.expect("a program has segments"), PAGE)
}

fn coarse(range: Range<usize>, size: usize) -> Range<usize> {
    range.start - range.start % size..range.end.next_multiple_of(size)
}

/// Maps all tables below the root that pages of `range` need.
fn map_tables(
    objects: &mut Objects,
    vspace: sel4::cap::VSpace,
    range: &Range<usize>,
) -> sel4::Result<()> {
    for level in 1..vspace_levels::NUM_LEVELS {
        let span = 1 << vspace_levels::span_bits(level);
        let object = TranslationTableObjectType::from_level(level).expect("a level below the root");
        for address in coarse(range.clone(), span).step_by(span) {
            let table = objects.make(object.blueprint())?;
            table
                .cast::<cap_type::UnspecifiedIntermediateTranslationTable>()
                .generic_intermediate_translation_table_map(
                    object,
                    vspace,
                    address,
                    sel4::VmAttributes::default(),
                )?;
        }
    }
    Ok(())
}

/// Writes a segment's data into its pages, of which the first of all lies at `first`, and adds its
/// rights to theirs.
fn load(pages: &mut [Page], first: usize, segment: &Segment, window: usize) -> sel4::Result<()> {
    let place = segment.address..segment.address + segment.size;
    let of_segment = coarse(place, PAGE);
    let mut data = segment.data;
    let mut offset = segment.address % PAGE;
    for address in of_segment.step_by(PAGE) {
        let (frame, rights) = &mut pages[(address - first) / PAGE];
        *rights = with(*rights, segment.flags);
        let (here, rest) = data.split_at(data.len().min(PAGE - offset));
        if !here.is_empty() {
            frame.frame_map(
                init_thread::slot::VSPACE.cap(),
                window,
                sel4::CapRights::read_write(),
                sel4::VmAttributes::default(),
            )?;
            // SAFETY: the page at `window` is the frame, which nobody else has mapped yet; `here`
            // ends inside it.
            unsafe { ((window + offset) as *mut u8).copy_from(here.as_ptr(), here.len()) };
            frame.frame_unmap()?;
        }
        (data, offset) = (rest, 0);
    }
    Ok(())
}

/// `rights` with those of a segment's flags. What upstream calls "grant" of a page is to run it.
fn with(rights: sel4::CapRightsBuilder, flags: u32) -> sel4::CapRightsBuilder {
    let rights = if flags & READ != 0 { rights.read(true) } else { rights };
    let rights = if flags & WRITE != 0 { rights.write(true) } else { rights };
    if flags & EXECUTE != 0 {
        rights.grant(true)
    } else {
        rights
    }
}
