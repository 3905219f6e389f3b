//! A small machine for an input to work on.

use untyped_alloc::{CPtr, CSpaceInfo, UntypedInfo};
use vmm::{Architecture, BootInfo, Vmm};
use vmm_tests::model::{Arch, Arena, BootConfig, BootUntyped, ModelKernel};

use crate::bytes::Bytes;

/// The manager on the model kernel.
pub type Manager<'p> = Vmm<'p, ModelKernel<'p>>;

/// Pages of the image; the first few are the program's, the others are for book-keeping.
const IMAGE_PAGES: usize = 72;
const PROGRAM_PAGES: usize = 4;

/// The model checks itself after so many operations: it looks at every capability there is, which
/// takes longer than all else. While operations are traced it does after each.
pub const CHECKED_EACH: usize = 8;

/// Whether the state is checked after every operation. Under Miri only at the end: there the
/// question is how memory is used, and the other takes an hour.
pub const CHECKED: bool = !cfg!(miri);

/// Device memory: 4 MiB from here.
pub const DEVICE: usize = 0xe000_0000;
/// RAM begins here.
pub const RAM: usize = 0x80_0000;

/// A machine as the input wants it: IA32 or x86_64, 0.7 to 9 MiB, CNodes that soon are full or
/// never.
pub fn config(bytes: &mut Bytes<'_>) -> BootConfig {
    let base = match bytes.below(2) {
        0 => BootConfig::ia32(),
        _ => BootConfig::x86_64(),
    };
    let ram = match bytes.below(3) {
        0 => vec![(RAM, 19), (RAM + 0x9_0000, 16), (RAM + 0xa_1000, 12), (RAM + 0xb_0000, 7)],
        1 => vec![(RAM, 22), (RAM + 0x40_0000, 20)],
        _ => vec![(RAM, 23), (RAM + 0x80_0000, 20), (RAM + 0x90_0000, 12)],
    };
    let cnode_radix = bytes.pick(&[12, 10, 16]);
    let devices = vec![(DEVICE, 22)];
    BootConfig { ram, devices, cnode_radix, image_pages: IMAGE_PAGES, ..base }
}

/// Boots a manager on such a machine.
pub fn boot<'p>(arena: &'p Arena, config: &BootConfig) -> Manager<'p> {
    let kernel = ModelKernel::boot(arena, config);
    let facts = kernel.facts().clone();
    let architecture = match config.arch {
        Arch::IA32 => Architecture::IA32,
        _ => Architecture::X86_64,
    };
    let untypeds: Vec<UntypedInfo> = facts.untypeds.iter().map(untyped).collect();
    let page = 4096;
    let mapped = [
        ("image", facts.image.clone()),
        ("IPC buffer", facts.ipc_buffer..facts.ipc_buffer + page),
        ("boot info", facts.boot_info..facts.boot_info + 2 * page),
    ];
    let all = facts.image.start..facts.boot_info + 2 * page;
    let mut tables = Vec::new();
    let mut slot = facts.image_tables.start;
    for level in 1..=config.arch.leaf_level() {
        let span = 1 << config.arch.shifts[level - 1];
        let mut at = all.start & !(span - 1);
        while at < all.end {
            tables.push((level as u8, at, CPtr::new(slot)));
            slot += 1;
            at += span;
        }
    }
    assert_eq!(slot, facts.image_tables.end, "the model's own tables");
    let boot = BootInfo {
        untypeds: &untypeds,
        cspace: cspace(&kernel),
        vspace: facts.vspace,
        asid_pool: CPtr::new(vmm_tests::model::slot::ASID_POOL),
        mapped: &mapped,
        tables: &tables,
        pool: facts.image.start + PROGRAM_PAGES * page..facts.image.end,
    };
    Vmm::new(kernel, architecture, &boot).expect("the machine is large enough")
}

/// An untyped of the boot, as the allocator is told of it.
pub fn untyped(untyped: &BootUntyped) -> UntypedInfo {
    UntypedInfo {
        slot: CPtr::new(untyped.slot),
        paddr: untyped.paddr,
        size_bits: untyped.size_bits,
        is_device: untyped.device,
    }
}

/// The CSpace of the boot, as the allocator is told of it.
pub fn cspace(kernel: &ModelKernel<'_>) -> CSpaceInfo {
    let facts = kernel.facts();
    CSpaceInfo {
        root: facts.cnode,
        radix_bits: facts.cnode_radix,
        first_free: facts.free.start,
        end_free: facts.free.end,
        tcb: facts.tcb,
        vspace: facts.vspace,
    }
}
