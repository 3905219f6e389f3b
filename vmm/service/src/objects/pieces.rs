// SPDX-License-Identifier: BSD-2-Clause
//! Bytes of memory objects, read and written by request: in the store, whether they are mapped or
//! not.

use vmm::{Kernel, Memory, Vmm};
use vmm_client::objects::{Answer, Piece, Refusal, PIECE_BYTES};

use super::answers::{narrow, refuse, Answered, Refused};
use super::service::{clearing, Objects};
use super::state::object::{Object, What};

/// Bytes of one page.
struct Place {
    /// The space, and the address in it.
    space: vmm::SpaceId,
    address: usize,
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
        if vmm.mapping_at(place.space, place.address).map_err(refuse)?.is_some() {
            vmm.read(place.space, place.address, read).map_err(refuse)?;
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
        clearing(vmm, |vmm| {
            self.commit(vmm, memory, (place.page, 1))?;
            vmm.write(place.space, place.address, bytes)
        })
        .map_err(refuse)?;
        Ok(Answer::Bytes { bytes: narrow(place.bytes) })
    }
}

/// Where the first bytes of those asked for are stored: as many as a piece has, of one page.
fn place<'p, K: Kernel + Memory<'p>>(
    vmm: &Vmm<'p, K>,
    memory: &Object<'p>,
    offset: usize,
    bytes: usize,
) -> Result<Place, Refused> {
    // Memory at a physical address has no capability with the right for this.
    let What::Memory { region, pages, .. } = memory.what.get() else {
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
    Ok(Place {
        space: region.space(),
        address: region.start().bits() + offset,
        page: narrow(offset >> bits),
        bytes: bytes.min(left).min(PIECE_BYTES),
    })
}
