// SPDX-License-Identifier: BSD-2-Clause
//! Where a sequence works.

use untyped_alloc::kernel::{CPtr, CapPath, Kernel, KernelResult, ObjectSizes};

/// Slots of the window.
pub const WINDOW: u8 = 64;
/// The slots from here on are passive: what may be an endpoint is put nowhere else, and nothing in
/// them is ever invoked.
pub const PASSIVE: u8 = 48;
/// How many untypeds a sequence starts from.
pub const SOURCES: usize = 4;
/// How many addresses a sequence uses.
pub const VADDRS: usize = 20;

/// Where a sequence works.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The sizes of objects.
    pub sizes: ObjectSizes,
    /// The caller's root CNode, which must resolve all bits of a word and hold the window.
    pub root: CPtr,
    /// The first slot of the window, all of which are empty at the start.
    pub window: CPtr,
    /// The untypeds, without children at the start. Large ones make for slow resets; one of a
    /// device makes for more errors.
    pub sources: [CPtr; SOURCES],
    /// The caller's VSpace.
    pub vspace: CPtr,
    /// An ASID pool.
    pub asid_pool: CPtr,
    /// Addresses, the useful ones first. Nothing of the caller's is in the 16 MiB around them.
    pub vaddrs: [usize; VADDRS],
}

impl Config {
    /// Empties the window and gives all memory of the untypeds back, so that another sequence can
    /// start. What mappings were left behind stays: give that one other addresses.
    ///
    /// # Errors
    /// None on seL4, as long as the root CNode is one.
    pub fn clear(&self, kernel: &mut impl Kernel) -> KernelResult {
        let at = |cptr: CPtr| CapPath {
            root: self.root,
            index: cptr.bits(),
            depth: self.sizes.word_bits,
        };
        for source in self.sources {
            kernel.cnode_revoke(at(source))?;
        }
        for slot in 0..usize::from(WINDOW) {
            kernel.cnode_delete(at(self.window.offset(slot)))?;
        }
        Ok(())
    }

    /// On the architecture whose words have as many bits as a pointer here. See
    /// [`Config::ia32`].
    pub const fn native(window: CPtr, sources: [CPtr; SOURCES], vaddr: usize) -> Config {
        #[cfg(target_pointer_width = "64")]
        return Config::x86_64(window, sources, vaddr);
        #[cfg(not(target_pointer_width = "64"))]
        return Config::ia32(window, sources, vaddr);
    }

    /// As [`Config::ia32`], on x86_64: `vaddr` is below 512 GiB, and the same addresses 1 GiB and
    /// 512 GiB above are free, too, so that tables of each level are missing somewhere. The kernel
    /// of 5.0.0 takes addresses that the processor has not, up to its own part.
    #[cfg(target_pointer_width = "64")]
    pub const fn x86_64(window: CPtr, sources: [CPtr; SOURCES], vaddr: usize) -> Config {
        Config {
            sizes: ObjectSizes::X86_64,
            vaddrs: [
                vaddr,
                vaddr + 0x1000,
                vaddr + 0x2000,
                vaddr + 0x1f_f000,
                vaddr + 0x20_0000,
                vaddr + 0x20_1000,
                vaddr + 0x3f_f000,
                vaddr + 0x4000_0000,
                vaddr + 0x80_0000_0000,
                0x7fff_ffff_f000,
                0xffff_ff7f_ffff_f000,
                vaddr + 0x200,
                vaddr + 0x100,
                0,
                0x7fff_ffff_fe00,
                0x7fff_ffff_f001,
                0xffff_ff80_0000_0000,
                0x8000_0000_0000,
                0xffff_ffff_ffff_f000,
                0xffff_ffff_ffff_ff00,
            ],
            ..Config::ia32(window, sources, vaddr)
        }
    }

    /// On IA32 with the boot's own capabilities, 64 free slots from `window` on, and addresses of
    /// 16 free MiB from `vaddr` on (a multiple of 4 MiB) and around the end of user space.
    pub const fn ia32(window: CPtr, sources: [CPtr; SOURCES], vaddr: usize) -> Config {
        Config {
            sizes: ObjectSizes::IA32,
            root: CPtr::new(2),
            window,
            sources,
            vspace: CPtr::new(3),
            asid_pool: CPtr::new(6),
            vaddrs: [
                vaddr,
                vaddr + 0x1000,
                vaddr + 0x2000,
                vaddr + 0x3f_f000,
                vaddr + 0x40_0000,
                vaddr + 0x40_1000,
                vaddr + 0x7f_f000,
                vaddr + 0x80_0000,
                vaddr + 0xc0_0000,
                0xdfc0_0000,
                0xdfff_f000,
                vaddr + 0x200,
                vaddr + 0x100,
                0,
                0xdfff_fe00,
                0xdfff_f001,
                0xe000_0000,
                0xffc0_0000,
                0xffff_f000,
                0xffff_ff00,
            ],
        }
    }
}
