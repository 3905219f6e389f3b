// SPDX-License-Identifier: BSD-2-Clause
//! How the kernel leaves the machine to the initial thread: rules from `src/kernel/boot.c` and
//! `src/arch/x86/kernel/boot.c`.
//!
//! ```text
//!   slot 0 ── 11   fixed capabilities, see [`slot`](super::state::machine::slot)
//!          12 ──   page tables of the image │ boot info's second page │ image frames
//!             ──   untypeds: RAM first, then devices │ free slots ── 2^radix
//! ```
//!
//! Capabilities of the boot are in no derivation list, and every untyped counts as used to its
//! end, so that its first retype clears all of it.

use std::ops::Range;

use untyped_alloc::kernel::CPtr;

use super::kernel::{Arena, ModelKernel};
use super::state::arch::mask;
use super::state::asids::Asids;
use super::state::cap::{Cap, Place, VmRights};
use super::state::contents::Contents;
use super::state::machine::{BootConfig, BootFacts, BootUntyped, slot};
use super::state::meter::Meter;
use super::state::objects::{ObjectKind, Objects};
use super::state::sends::Sends;
use super::state::slots::Slots;
use super::state::tables::{Entry, Tables};
use super::state::threads::tcb_slot;

/// The initial thread's ASID (`IT_ASID`).
const INITIAL_ASID: usize = 1;
const PAGE_BITS: u8 = 12;

/// The boot's own state: where the next object and the next capability go.
struct Boot<'p> {
    kernel: ModelKernel<'p>,
    cnode: usize,
    next_paddr: usize,
    next_slot: usize,
}

impl<'p> ModelKernel<'p> {
    /// Boots. Book-keeping that is adopted later comes from `arena`.
    pub fn boot(arena: &'p Arena, config: &BootConfig) -> ModelKernel<'p> {
        let arch = config.arch;
        let kernel = ModelKernel {
            arch,
            slots: Slots::new(arch.sizes.slot_bits),
            objects: Objects::default(),
            tables: Tables::new(&arch),
            asids: Asids::new(&arch),
            tcbs: Default::default(),
            contents: Contents::default(),
            meter: Meter::default(),
            beside: None,
            sends: Sends::default(),
            caller: 0,
            facts: BootFacts::default(),
            arena,
            adopted: Default::default(),
            stale: Default::default(),
        };
        Boot { kernel, cnode: 0, next_paddr: config.kernel_base, next_slot: slot::FIRST_VARIABLE }
            .run(config)
    }
}

impl<'p> Boot<'p> {
    fn run(mut self, config: &BootConfig) -> ModelKernel<'p> {
        let sizes = config.arch.sizes;
        let image = config.image_vaddr..config.image_vaddr + (config.image_pages << PAGE_BITS);
        let ipc_buffer = image.end;
        let boot_info = ipc_buffer + (1 << PAGE_BITS);
        let all = image.start..boot_info + (2 << PAGE_BITS);

        let cnode_bits = config.cnode_radix + sizes.slot_bits;
        self.cnode = self.object(ObjectKind::CNode, cnode_bits);
        let cnode = Cap::CNode {
            base: self.cnode,
            radix: config.cnode_radix,
            guard: 0,
            guard_bits: sizes.word_bits - config.cnode_radix,
        };
        self.put(slot::CNODE, cnode);
        self.put(slot::IO_PORT, Cap::IoPort { first: 0, last: u16::MAX });
        self.put(slot::DOMAIN, Cap::Domain);
        self.put(slot::IRQ_CONTROL, Cap::IrqControl);

        let root = self.object(ObjectKind::Table, sizes.root_table_bits);
        let place = Place { asid: INITIAL_ASID, vaddr: 0 };
        let vspace = Cap::Table { base: root, level: 0, mapped: Some(place) };
        self.put(slot::VSPACE, vspace);
        let image_tables = self.tables(root, all);
        let pool = self.object(ObjectKind::AsidPool, sizes.asid_pool_bits);
        self.put(slot::ASID_POOL, Cap::AsidPool { base: pool, first: 0 });
        self.put(slot::ASID_CONTROL, Cap::AsidControl);
        self.kernel.asids.set_pool(0, pool);
        self.kernel.asids.set(INITIAL_ASID, root);

        self.frame(root, boot_info, Some(slot::BOOT_INFO_FRAME));
        self.frame(root, boot_info + (1 << PAGE_BITS), None);
        self.frame(root, ipc_buffer, Some(slot::IPC_BUFFER));
        let frames = self.next_slot;
        for vaddr in image.clone().step_by(1 << PAGE_BITS) {
            self.frame(root, vaddr, None);
        }
        let image_frames = frames..self.next_slot;
        self.thread(cnode, vspace, ipc_buffer);
        let untypeds = self.untypeds(config);

        let kernel = &mut self.kernel;
        kernel.facts = BootFacts {
            untypeds,
            free: self.next_slot..1 << config.cnode_radix,
            cnode: CPtr::new(slot::CNODE),
            cnode_radix: config.cnode_radix,
            vspace: CPtr::new(slot::VSPACE),
            tcb: CPtr::new(slot::TCB),
            image,
            image_frames,
            image_tables,
            ipc_buffer,
            boot_info,
        };
        self.kernel
    }

    /// Memory for an object of the boot.
    fn object(&mut self, kind: ObjectKind, size_bits: u8) -> usize {
        let base = self.next_paddr.next_multiple_of(1 << size_bits);
        self.next_paddr = base + (1 << size_bits);
        self.kernel.objects.create(base, kind, size_bits);
        base
    }

    fn put(&mut self, number: usize, cap: Cap) {
        let slot = self.kernel.slots.id(self.cnode, number);
        self.kernel.insert_original(slot, cap);
    }

    /// Puts a capability into the next slot (`provide_cap`).
    fn provide(&mut self, cap: Cap) -> usize {
        let number = self.next_slot;
        self.next_slot += 1;
        self.put(number, cap);
        number
    }

    /// The paging structures that cover `range`: all of the level below the root first, and so on.
    fn tables(&mut self, root: usize, range: Range<usize>) -> Range<usize> {
        let arch = self.kernel.arch;
        let first = self.next_slot;
        for level in 1..=arch.leaf_level() {
            let span = mask(arch.shifts[level - 1]) + 1;
            let mut vaddr = range.start & !(span - 1);
            while vaddr < range.end {
                let base = self.object(ObjectKind::Table, arch.sizes.table_bits);
                let mapped = Some(Place { asid: INITIAL_ASID, vaddr });
                let parent = self.table_at(root, level - 1, vaddr);
                self.kernel.tables.set(parent, arch.index(level - 1, vaddr), Entry::Table(base));
                self.provide(Cap::Table { base, level: level as u8, mapped });
                vaddr += span;
            }
        }
        first..self.next_slot
    }

    fn table_at(&self, root: usize, level: usize, vaddr: usize) -> usize {
        let mut table = root;
        for above in 0..level {
            let index = self.kernel.arch.index(above, vaddr);
            let Entry::Table(next) = self.kernel.entry(above, table, index) else {
                unreachable!("tables are made from the root down")
            };
            table = next;
        }
        table
    }

    /// A mapped 4 KiB frame, its capability in slot `number` or the next.
    fn frame(&mut self, root: usize, vaddr: usize, number: Option<usize>) {
        let arch = self.kernel.arch;
        let base = self.object(ObjectKind::Frame, PAGE_BITS);
        let (rights, mapped) = (VmRights::ReadWrite, Some(Place { asid: INITIAL_ASID, vaddr }));
        let cap = Cap::Frame { base, size_bits: PAGE_BITS, rights, device: false, mapped };
        let leaf = arch.leaf_level();
        let table = self.table_at(root, leaf, vaddr);
        let entry = Entry::Page { paddr: base, rights: rights.rights(), cache: Default::default() };
        self.kernel.tables.set(table, arch.index(leaf, vaddr), entry);
        match number {
            Some(number) => self.put(number, cap),
            None => {
                self.provide(cap);
            }
        }
    }

    /// The initial thread, with its copies of the capabilities it runs with
    /// (`create_initial_thread`).
    fn thread(&mut self, cspace: Cap, vspace: Cap, ipc_buffer: usize) {
        let tcb = self.object(ObjectKind::Tcb, self.kernel.arch.sizes.tcb_bits);
        self.put(slot::TCB, Cap::Tcb { base: tcb });
        let kernel = &mut self.kernel;
        kernel.caller = tcb;
        kernel.tcbs.insert(tcb, Default::default());
        kernel.tcbs.entry(tcb).and_modify(|state| state.ipc_buffer = ipc_buffer);
        let buffer = kernel.slots.id(self.cnode, slot::IPC_BUFFER);
        let copy = kernel.derived(buffer, kernel.cap_in(buffer)).expect("a frame can be copied");
        for (number, source, cap) in [
            (tcb_slot::CSPACE, slot::CNODE, cspace),
            (tcb_slot::VSPACE, slot::VSPACE, vspace),
            (tcb_slot::IPC_BUFFER, slot::IPC_BUFFER, copy),
        ] {
            let source = kernel.slots.id(self.cnode, source);
            let slot = kernel.slots.id(tcb, number);
            kernel.insert_copy(source, slot, cap);
        }
    }

    /// All untypeds, used to their ends (`provide_untyped_cap`).
    fn untypeds(&mut self, config: &BootConfig) -> Vec<BootUntyped> {
        let own = config.kernel_base..self.next_paddr;
        let mut untypeds = Vec::new();
        for (device, regions) in [(false, &config.ram), (true, &config.devices)] {
            for &(paddr, size_bits) in regions {
                // Its end may be the end of the word.
                let last = paddr + mask(size_bits);
                // Large device memory is aligned in the kernel's addresses, not in these.
                let aligned = paddr.is_multiple_of(1 << size_bits);
                assert!(aligned || device, "{paddr:#x} is not aligned");
                assert!(last < own.start || own.end <= paddr, "{paddr:#x} is the kernel's");
                let cap = Cap::Untyped { base: paddr, size_bits, used: 1 << size_bits, device };
                let slot = self.provide(cap);
                untypeds.push(BootUntyped { slot, paddr, size_bits, device });
            }
        }
        untypeds
    }
}
