// SPDX-License-Identifier: BSD-2-Clause
//! User mode's accesses to memory, through a VSpace's tables and with its rights.

use untyped_alloc::kernel::{CPtr, Memory, Rights};

use super::kernel::ModelKernel;
use super::state::cap::Cap;
use super::state::contents::PAGE;
use super::state::objects::ObjectKind;
use super::state::tables::Mapping;

/// Why user mode could not access an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccessFault {
    /// The capability is no VSpace, or one whose ASID is gone: its threads run without mappings.
    NoVSpace,
    /// Nothing is mapped there.
    NotMapped {
        /// The address.
        vaddr: usize,
    },
    /// The mapping does not allow it.
    Rights {
        /// The address.
        vaddr: usize,
        /// What it allows.
        rights: Rights,
    },
    /// The mapping leads to memory that is no longer a frame. The machine would access what is
    /// there now; no test should get this far.
    Dangling {
        /// The address.
        vaddr: usize,
        /// The physical address.
        paddr: usize,
    },
}

impl<'p> ModelKernel<'p> {
    /// What is mapped at `vaddr` of the VSpace that the capability in slot `vspace` stands for.
    pub fn mapping(&self, vspace: CPtr, vaddr: usize) -> Option<Mapping> {
        self.walk(self.active_root(self.cap(vspace))?, vaddr)
    }

    /// What the first `buf.len()` bytes hold of the frame whose capability is in this slot; says
    /// whether there is one.
    pub fn read_frame(&self, frame: CPtr, buf: &mut [u8]) -> bool {
        let Cap::Frame { base, .. } = self.cap(frame) else { return false };
        self.contents.read(base, buf);
        true
    }

    /// Every mapping of that VSpace's user space, lowest address first.
    pub fn mappings(&self, vspace: CPtr) -> Vec<(usize, Mapping)> {
        self.active_root(self.cap(vspace)).map_or(Vec::new(), |root| self.mappings_of(root))
    }

    /// Reads `buf.len()` bytes at `vaddr` as a thread in that VSpace would.
    pub fn read(&self, vspace: CPtr, vaddr: usize, buf: &mut [u8]) -> Result<(), AccessFault> {
        let root = self.active_root(self.cap(vspace)).ok_or(AccessFault::NoVSpace)?;
        let mut done = 0;
        while done < buf.len() {
            let at = vaddr + done;
            let bytes = (PAGE - at % PAGE).min(buf.len() - done);
            let paddr = self.translate(root, at, Rights::READ)?;
            self.contents.read(paddr, &mut buf[done..done + bytes]);
            done += bytes;
        }
        Ok(())
    }

    /// Writes `bytes` at `vaddr` as a thread in that VSpace would. What comes before a page that
    /// faults is written.
    pub fn write(&mut self, vspace: CPtr, vaddr: usize, bytes: &[u8]) -> Result<(), AccessFault> {
        let root = self.active_root(self.cap(vspace)).ok_or(AccessFault::NoVSpace)?;
        let mut done = 0;
        while done < bytes.len() {
            let at = vaddr + done;
            let end = done + (PAGE - at % PAGE).min(bytes.len() - done);
            let paddr = self.translate(root, at, Rights::WRITE)?;
            self.contents.write(paddr, &bytes[done..end]);
            done = end;
        }
        Ok(())
    }

    /// The physical address behind `vaddr`, if `wanted` is allowed there.
    fn translate(&self, root: usize, vaddr: usize, wanted: Rights) -> Result<usize, AccessFault> {
        let mapping = self.walk(root, vaddr).ok_or(AccessFault::NotMapped { vaddr })?;
        if !mapping.rights.contains(wanted) {
            return Err(AccessFault::Rights { vaddr, rights: mapping.rights });
        }
        let paddr = mapping.paddr + (vaddr & ((1 << mapping.size_bits) - 1));
        match self.objects.get(mapping.paddr) {
            Some(object)
                if object.kind == ObjectKind::Frame && object.size_bits == mapping.size_bits =>
            {
                Ok(paddr)
            }
            _ => Err(AccessFault::Dangling { vaddr, paddr }),
        }
    }

    /// The physical address of a page that the caller is about to use for `what`.
    ///
    /// # Panics
    /// When the access would fault, and when the page is one that was adopted.
    fn own_page(&self, vaddr: usize, wanted: Rights, what: &str) -> usize {
        let root = self.caller_root().expect("the caller has a VSpace");
        let paddr = match self.translate(root, vaddr, wanted) {
            Ok(paddr) => paddr,
            Err(fault) => panic!("{what} at {vaddr:#x} faults: {fault:?}"),
        };
        if let Some(adopted) = self.adopted.get(&(paddr & !(PAGE - 1))) {
            panic!("{what} at {vaddr:#x}: its frame is book-keeping, adopted at {adopted:#x}");
        }
        paddr
    }

    /// Pages adopted for book-keeping so far: physical address and where they were adopted.
    pub(super) fn adopted_in_place(&self) -> bool {
        let Some(root) = self.caller_root() else {
            return self.adopted.is_empty();
        };
        self.adopted
            .iter()
            .all(|(&paddr, &vaddr)| self.translate(root, vaddr, Rights::WRITE) == Ok(paddr))
    }
}

impl<'p> Memory<'p> for ModelKernel<'p> {
    /// # Panics
    /// When a page is not mapped writable in the caller's VSpace, as the machine would fault.
    fn zero(&mut self, vaddr: usize, bytes: usize) {
        let (mut at, end) = (vaddr, vaddr + bytes);
        while at < end {
            let paddr = self.own_page(at, Rights::WRITE, "zero");
            let part = (PAGE - at % PAGE).min(end - at);
            match part {
                PAGE => self.contents.clear(paddr, PAGE),
                _ => self.contents.write(paddr, &[0; PAGE][..part]),
            }
            at += part;
        }
    }

    /// # Panics
    /// When a page is not mapped as needed in the caller's VSpace, and when the two overlap.
    fn copy(&mut self, dst: usize, src: usize, bytes: usize) {
        assert!(dst.is_multiple_of(PAGE) && src.is_multiple_of(PAGE), "copy: not aligned");
        assert!(dst + bytes <= src || src + bytes <= dst, "copy: the two overlap");
        let mut page = [0; PAGE];
        for done in (0..bytes).step_by(PAGE) {
            let part = (bytes - done).min(PAGE);
            let from = self.own_page(src + done, Rights::READ, "copy from");
            self.contents.read(from, &mut page[..part]);
            let to = self.own_page(dst + done, Rights::WRITE, "copy to");
            self.contents.write(to, &page[..part]);
        }
    }

    /// # Panics
    /// When a byte is not mapped writable in the caller's VSpace.
    fn write(&mut self, vaddr: usize, bytes: &[u8]) {
        for (index, byte) in bytes.iter().enumerate() {
            let (page, offset) = ((vaddr + index) / PAGE * PAGE, (vaddr + index) % PAGE);
            let paddr = self.own_page(page, Rights::WRITE, "write");
            self.contents.write(paddr + offset, &[*byte]);
        }
    }

    /// # Panics
    /// When a byte is not mapped readable in the caller's VSpace.
    fn read(&mut self, vaddr: usize, bytes: &mut [u8]) {
        for (index, byte) in bytes.iter_mut().enumerate() {
            let (page, offset) = ((vaddr + index) / PAGE * PAGE, (vaddr + index) % PAGE);
            let paddr = self.own_page(page, Rights::READ, "read");
            self.contents.read(paddr + offset, core::slice::from_mut(byte));
        }
    }

    /// # Panics
    /// When a page is not mapped readable in the caller's VSpace, and for what is no whole pages.
    fn is_zero(&mut self, vaddr: usize, bytes: usize) -> bool {
        assert!(vaddr.is_multiple_of(PAGE) && bytes.is_multiple_of(PAGE), "is_zero: not aligned");
        let mut page = [0; PAGE];
        (0..bytes).step_by(PAGE).all(|done| {
            let paddr = self.own_page(vaddr + done, Rights::READ, "read");
            self.contents.read(paddr, &mut page);
            page == [0; PAGE]
        })
    }

    /// # Panics
    /// When the page is not mapped writable in the caller's VSpace, and when its frame was
    /// adopted before, at this address or another.
    fn adopt<T: Default + 'p>(&mut self, vaddr: usize) -> &'p [T] {
        assert!(vaddr.is_multiple_of(PAGE), "adopt: {vaddr:#x} is not aligned");
        let paddr = self.own_page(vaddr, Rights::READ_WRITE, "adopt");
        self.adopted.insert(paddr, vaddr);
        self.arena.alloc_slice_fill_default(PAGE / size_of::<T>().max(1))
    }
}
