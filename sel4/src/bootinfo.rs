// SPDX-License-Identifier: BSD-2-Clause
//! What the kernel tells the initial thread (manual, "Bootstrapping").

use core::ops::{Deref, Range};
use core::slice;

use crate::init_thread::SlotRegion;
use crate::sys::{self, seL4_BootInfo, seL4_BootInfoHeader, seL4_SlotRegion, seL4_UntypedDesc};
use crate::{cap_type, CapType, FrameObjectType, IpcBuffer, Word};

/// The most untypeds that it lists.
const MAX_UNTYPEDS: usize = crate::sel4_cfg_usize!(MAX_NUM_BOOTINFO_UNTYPED_CAPS);

/// The address of the boot information, which may have more behind it than its own structure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BootInfoPtr {
    ptr: *const BootInfo,
}

impl BootInfoPtr {
    /// The boot information at `ptr`.
    ///
    /// # Safety
    /// `ptr` must be what the kernel gave the initial thread, and must stay mapped, with the pages
    /// behind it that it speaks of.
    pub unsafe fn new(ptr: *const BootInfo) -> Self {
        Self { ptr }
    }

    /// The address.
    pub fn ptr(&self) -> *const BootInfo {
        self.ptr
    }

    /// The additional chunks of boot information, in the kernel's order. Chunks of a kind that this
    /// crate does not know are left out.
    pub fn extra(&self) -> BootInfoExtraIter<'_> {
        BootInfoExtraIter { rest: self.extra_bytes() }
    }

    /// The bytes of boot information, from [`ptr`](Self::ptr) on, additional chunks included.
    pub fn footprint_size(&self) -> usize {
        FrameObjectType::GRANULE.bytes() + self.inner().extraLen as usize
    }

    fn extra_bytes(&self) -> &[u8] {
        let start = self.ptr.cast::<u8>().wrapping_add(FrameObjectType::GRANULE.bytes());
        // SAFETY: additional boot information starts one page after the boot information and is
        // `extraLen` bytes long (bootinfo_types.h); `new`'s caller promised that it is mapped.
        unsafe { slice::from_raw_parts(start, self.inner().extraLen as usize) }
    }
}

impl Deref for BootInfoPtr {
    type Target = BootInfo;

    fn deref(&self) -> &BootInfo {
        // SAFETY: the promise of `new`. The structure is packed, so any address is aligned.
        unsafe { &*self.ptr }
    }
}

/// The boot information.
///
/// Not wrapped, but there through [`inner`](Self::inner): `nodeID`, `numNodes`, `numIOPTLevels`,
/// `userImagePaging`, `sharedFrames`, `ioSpaceCaps`, `extraBIPages`, `initThreadCNodeSizeBits`,
/// `initThreadDomain`, `archInfo` (the TSC's frequency in MHz, 0 if unknown). It is packed, so copy
/// its fields, do not borrow them.
#[repr(transparent)]
pub struct BootInfo(seL4_BootInfo);

impl BootInfo {
    /// From the kernel's own structure.
    pub const fn from_inner(inner: seL4_BootInfo) -> Self {
        Self(inner)
    }

    /// The kernel's own structure.
    pub const fn into_inner(self) -> seL4_BootInfo {
        self.0
    }

    /// The kernel's own structure.
    pub const fn inner(&self) -> &seL4_BootInfo {
        &self.0
    }

    /// The kernel's own structure.
    pub fn inner_mut(&mut self) -> &mut seL4_BootInfo {
        &mut self.0
    }

    /// The initial thread's IPC buffer.
    pub fn ipc_buffer(&self) -> *mut IpcBuffer {
        self.0.ipcBuffer.cast()
    }

    /// The empty slots of the initial CNode.
    pub fn empty(&self) -> SlotRegion<cap_type::Null> {
        region(self.0.empty)
    }

    /// The frames of the initial thread's image, in the order of their addresses.
    pub fn user_image_frames(&self) -> SlotRegion<cap_type::Granule> {
        region(self.0.userImageFrames)
    }

    /// All untypeds, device memory included.
    pub fn untyped(&self) -> SlotRegion<cap_type::Untyped> {
        region(self.0.untyped)
    }

    /// What each untyped is, in the order of [`untyped`](Self::untyped). On x86 the kernel of
    /// 5.0.0 lists RAM before device memory, later ones the other way round: go by
    /// [`UntypedDesc::is_device`].
    pub fn untyped_list(&self) -> &[UntypedDesc] {
        let list: *const seL4_UntypedDesc = &raw const self.0.untypedList as *const _;
        let len = self.untyped().len().min(MAX_UNTYPEDS);
        // SAFETY: the list is that long at least, and `UntypedDesc` is the kernel's descriptor,
        // which is packed, so that any address is aligned.
        unsafe { slice::from_raw_parts(list.cast::<UntypedDesc>(), len) }
    }

    /// Which of [`untyped_list`](Self::untyped_list) are device memory, if they stand together.
    pub fn device_untyped_range(&self) -> Range<usize> {
        self.untyped_run(true)
    }

    /// Which of [`untyped_list`](Self::untyped_list) are RAM, if they stand together.
    pub fn kernel_untyped_range(&self) -> Range<usize> {
        self.untyped_run(false)
    }

    /// The first run of descriptors that are (or are not) devices.
    fn untyped_run(&self, device: bool) -> Range<usize> {
        let list = self.untyped_list();
        let start = list.iter().position(|d| d.is_device() == device).unwrap_or(list.len());
        let len = list[start..].iter().take_while(|d| d.is_device() == device).count();
        start..start + len
    }
}

fn region<T: CapType>(region: seL4_SlotRegion) -> SlotRegion<T> {
    SlotRegion::from_range(region.start as usize..region.end as usize)
}

/// What the boot information says of one untyped.
#[repr(transparent)]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UntypedDesc(seL4_UntypedDesc);

impl UntypedDesc {
    /// The kernel's own structure.
    pub const fn inner(&self) -> &seL4_UntypedDesc {
        &self.0
    }

    /// Its physical address, in bytes.
    pub fn paddr(&self) -> usize {
        self.0.paddr as usize
    }

    /// The logarithm of its bytes.
    pub fn size_bits(&self) -> usize {
        self.0.sizeBits.into()
    }

    /// Whether it is device memory: usable for frames and smaller untypeds only, and never cleared
    /// by the kernel.
    pub fn is_device(&self) -> bool {
        self.0.isDevice != 0
    }
}

/// One additional chunk of boot information.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BootInfoExtra<'a> {
    /// What it is.
    pub id: BootInfoExtraId,
    /// Its bytes, with the header of two words.
    pub content_with_header: &'a [u8],
}

impl BootInfoExtra<'_> {
    /// Its bytes, without the header.
    pub fn content(&self) -> &[u8] {
        &self.content_with_header[size_of::<seL4_BootInfoHeader>()..]
    }
}

/// What an additional chunk of boot information is: upstream's kinds, of which seL4 5.0.0 knows the
/// first two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BootInfoExtraId {
    /// Nothing: space left over.
    Padding,
    /// The graphics mode the boot loader set.
    X86Vbe,
    /// What memory there is, by the boot loader.
    X86Mbmmap,
    /// Where the ACPI's tables begin.
    X86AcpiRsdp,
    /// A frame buffer.
    X86FrameBuffer,
    /// The frequency of the time-stamp counter in MHz. Here it is in `archInfo`.
    X86TscFreq,
    /// The flattened device tree.
    Fdt,
}

/// The additional chunks of boot information.
pub struct BootInfoExtraIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for BootInfoExtraIter<'a> {
    type Item = BootInfoExtra<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let word = |index: usize| {
                Some(Word::from_ne_bytes(
                    *self.rest.get(index * size_of::<Word>()..)?.first_chunk()?,
                ))
            };
            let (id, len) = (word(0)?, word(1)? as usize);
            if len < size_of::<seL4_BootInfoHeader>() || len > self.rest.len() {
                return None;
            }
            let (content_with_header, rest) = self.rest.split_at(len);
            self.rest = rest;
            let id = match id {
                sys::SEL4_BOOTINFO_HEADER_PADDING => BootInfoExtraId::Padding,
                sys::SEL4_BOOTINFO_HEADER_X86_VBE => BootInfoExtraId::X86Vbe,
                _ => continue,
            };
            return Some(BootInfoExtra { id, content_with_header });
        }
    }
}
