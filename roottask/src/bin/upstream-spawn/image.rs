// SPDX-License-Identifier: BSD-2-Clause
//! The frames of the root task's own image.

use core::cell::UnsafeCell;
use core::hint::black_box;
use core::ptr;

/// The bytes of a page.
pub const PAGE: usize = sel4::FrameObjectType::GRANULE.bytes();

/// The frame of the program's image that is mapped at `address`.
pub fn frame_of(bootinfo: &sel4::BootInfo, address: usize) -> sel4::cap::Granule {
    extern "C" {
        static __executable_start: u8;
    }
    let start = ptr::addr_of!(__executable_start) as usize;
    bootinfo.user_image_frames().index((address - start) / PAGE).cap()
}

/// A page of the image in whose place others are mapped.
#[repr(C, align(4096))]
struct Place(UnsafeCell<[u8; PAGE]>);

// SAFETY: only the one thread that loads programs writes what is mapped in its place.
unsafe impl Sync for Place {}

static PLACE: Place = Place(UnsafeCell::new([0; PAGE]));

/// The address of a page that nothing is mapped at: the image's own is unmapped.
pub fn free_page(bootinfo: &sel4::BootInfo) -> sel4::Result<usize> {
    let address = PLACE.0.get() as usize;
    frame_of(bootinfo, address).frame_unmap()?;
    // The compiler must not know it as a variable that nobody reads: other frames are written by
    // it.
    Ok(black_box(address))
}
