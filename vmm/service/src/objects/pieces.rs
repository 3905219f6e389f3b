// SPDX-License-Identifier: BSD-2-Clause
//! Bytes of memory objects, read and written by request: in the store, whether they are mapped or
//! not.

use vmm::{Kernel, Memory, SpaceId, Vmm};
use vmm_client::objects::{Answer, Piece, Refusal, PIECE_BYTES};

use super::answers::{narrow, refuse, Answered, Refused};
use super::service::{clearing, Objects};
use super::state::object::{Object, What};

/// Bytes of one page.
struct Place {
    /// The page's number.
    page: u32,
    bytes: usize,
}

impl<'p> Objects<'p> {
    /// Serves [`vmm_client::objects::Request::Read`].
    pub(super) fn read_piece<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        memory: &'p Object<'p>,
        (offset, bytes): (usize, u32),
    ) -> Answered {
        let place = place(vmm, memory, offset, bytes as usize)?;
        let mut read = [0; PIECE_BYTES];
        let read = &mut read[..place.bytes];
        // What was never touched has no page yet, and gets none by being read.
        if let Some((space, address)) = self.stored_at(vmm, memory, offset) {
            if vmm.mapping_at(space, address).map_err(refuse)?.is_some() {
                clearing(vmm, |vmm| vmm.read(space, address, read)).map_err(refuse)?;
            }
        }
        Ok(Answer::Piece { piece: Piece::of(read) })
    }

    /// Serves [`vmm_client::objects::Request::Write`].
    pub(super) fn write_piece<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        memory: &'p Object<'p>,
        (offset, piece): (usize, &Piece),
    ) -> Answered {
        let place = place(vmm, memory, offset, piece.bytes().len())?;
        let bytes = &piece.bytes()[..place.bytes];
        let written = clearing(vmm, |vmm| {
            self.commit(vmm, memory, (place.page, 1))?;
            // It is there now.
            let stored = self.stored_at(vmm, memory, offset);
            stored.map_or(Ok(()), |(space, address)| vmm.write(space, address, bytes))
        });
        written.map_err(refuse)?;
        Ok(Answer::Bytes { bytes: narrow(place.bytes) })
    }

    /// The space and the address at which the service has a byte of a memory object; `None` for one
    /// of a large page that is not there yet.
    fn stored_at<K: Kernel + Memory<'p>>(
        &self,
        vmm: &Vmm<'p, K>,
        memory: &Object<'p>,
        offset: usize,
    ) -> Option<(SpaceId, usize)> {
        match memory.what.get() {
            What::Memory { region, .. } => Some((region.space(), region.start().bits() + offset)),
            _ => Some((vmm.own_space(), self.large_byte(vmm, memory, offset)?)),
        }
    }
}

/// Which of the bytes asked for are done: as many as a piece has, of one page.
fn place<'p, K: Kernel + Memory<'p>>(
    vmm: &Vmm<'p, K>,
    memory: &Object<'p>,
    offset: usize,
    bytes: usize,
) -> Result<Place, Refused> {
    // Memory at a physical address has no capability with the right for this.
    let (What::Memory { pages, .. } | What::Large { pages, .. }) = memory.what.get() else {
        return Err(Refusal::Internal {});
    };
    if bytes == 0 {
        return Err(Refusal::BadLength { pages: 0 });
    }
    let (bits, page_bytes) = (vmm.geometry().page_bits, vmm.geometry().page_bytes());
    let last = offset.checked_add(bytes - 1).map(|last| last >> bits);
    if last.is_none_or(|last| last >= pages as usize) {
        return Err(Refusal::BeyondEnd { pages });
    }
    let left = page_bytes - (offset & (page_bytes - 1));
    Ok(Place { page: narrow(offset >> bits), bytes: bytes.min(left).min(PIECE_BYTES) })
}
