// SPDX-License-Identifier: BSD-2-Clause
//! A small machine for an input to work on.

use vmm::{CPtr, RegionId};
use vmm_tests::model::{Arch, BootConfig};
use vmm_tests::support::{Fixture, Machine, Target};

use crate::bytes::Bytes;

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
/// RAM of two large pages of IA32, behind that of other machines.
pub const LARGE: [(usize, u8); 1] = [(0x200_0000, 23)];
/// RAM begins here.
pub const RAM: usize = 0x80_0000;

/// A machine as the input wants it: IA32 or, where words have 64 bits, x86_64; 0.7 to 9 MiB, CNodes
/// that soon are full or never.
pub fn config(bytes: &mut Bytes<'_>) -> BootConfig {
    let base = match bytes.below(2) {
        0 => BootConfig::ia32(),
        #[cfg(target_pointer_width = "64")]
        _ => BootConfig::x86_64(),
        #[cfg(not(target_pointer_width = "64"))]
        _ => BootConfig::ia32(),
    };
    sized(bytes, base)
}

/// Memory and slots as the input wants them.
fn sized(bytes: &mut Bytes<'_>, base: BootConfig) -> BootConfig {
    let ram = match bytes.below(3) {
        0 => vec![(RAM, 19), (RAM + 0x9_0000, 16), (RAM + 0xa_1000, 12), (RAM + 0xb_0000, 7)],
        1 => vec![(RAM, 22), (RAM + 0x40_0000, 20)],
        _ => vec![(RAM, 23), (RAM + 0x80_0000, 20), (RAM + 0x90_0000, 12)],
    };
    let cnode_radix = bytes.pick(&[12, 10, 16]);
    let devices = vec![(DEVICE, 22)];
    BootConfig { ram, devices, cnode_radix, image_pages: IMAGE_PAGES, ..base }
}

/// A machine of IA32 for a manager to start on.
pub fn machine_32(bytes: &mut Bytes<'_>) -> Machine {
    let config = sized(bytes, BootConfig::ia32());
    Machine {
        target: Target::Ia32,
        config,
        pool_pages: IMAGE_PAGES - PROGRAM_PAGES,
        most_cleared: usize::MAX,
        direct_map: false,
    }
}

/// The same for a manager to start on.
pub fn machine(bytes: &mut Bytes<'_>) -> Machine {
    let config = config(bytes);
    let target = match config.arch {
        Arch::IA32 => Target::Ia32,
        #[cfg(target_pointer_width = "64")]
        _ => Target::X86_64,
        #[cfg(not(target_pointer_width = "64"))]
        _ => unreachable!("words of 32 bits know IA32 alone"),
    };
    Machine {
        target,
        config,
        pool_pages: IMAGE_PAGES - PROGRAM_PAGES,
        most_cleared: usize::MAX,
        direct_map: bytes.below(4) == 1,
    }
}

/// A machine for the service of objects: of IA32 or, where words have 64 bits, x86_64, on which not
/// all faults are told. On an ample one there is all that accounts may use. Who serves promises
/// clears in words what one call may not clear by itself, so calls are not bounded.
pub fn of_service(bytes: &mut Bytes<'_>, ample: bool) -> Machine {
    let (target, base) = match bytes.below(3) {
        #[cfg(target_pointer_width = "64")]
        0 => (Target::X86_64, BootConfig::x86_64()),
        _ => (Target::Ia32, BootConfig::ia32()),
    };
    let config = match ample {
        true => of_ample(target, base),
        false => sized(bytes, base),
    };
    // What begins with a direct map can need more cleared for it than the limit.
    let (most_cleared, direct_map) =
        bytes.pick(&[(usize::MAX, false), (usize::MAX, true), (1 << 16, false), (1 << 12, false)]);
    let pool_pages = IMAGE_PAGES - PROGRAM_PAGES;
    Machine { target, config, pool_pages, most_cleared, direct_map }
}

/// 9 MiB and two large pages, or where tables and threads are larger, 17.
fn of_ample(target: Target, base: BootConfig) -> BootConfig {
    let mut ram = match target {
        Target::Ia32 => vec![(RAM, 23), (RAM + 0x80_0000, 20), (RAM + 0x90_0000, 12)],
        #[cfg(target_pointer_width = "64")]
        _ => vec![(RAM + 0x80_0000, 24), (RAM, 20), (RAM + 0x10_0000, 12)],
    };
    ram.extend(LARGE);
    let devices = vec![(DEVICE, 22)];
    BootConfig { ram, devices, cnode_radix: 16, image_pages: IMAGE_PAGES, ..base }
}

/// Gives back what was taken beside programs that have ended, and looks that nothing else is left.
pub fn give_back(
    host: &mut Fixture<'_>,
    regions: &mut Vec<RegionId>,
    slots: &mut Vec<(CPtr, usize)>,
) {
    let vmm = &mut host.vmm;
    for region in regions.drain(..) {
        vmm.release(region).expect("no call is refused");
    }
    for (first, count) in slots.drain(..) {
        vmm.free_slots(first, count).expect("they are ours");
    }
    vmm.trim().expect("no call is refused");
    assert_eq!(vmm.validate(), Ok(()));
    assert_eq!(vmm.next_thread(0), None, "all threads are gone");
    let stats = vmm.stats();
    let live = stats.allocator.live;
    // Up to seven of a batch for book-keeping are kept for the next time.
    let spare = live.frames[0].checked_sub(stats.bookkeeping_pages);
    assert!(spare.is_some_and(|spare| spare < 8), "frames that live are book-keeping: {live:?}");
    assert_eq!((live.tcbs, live.endpoints, live.vspaces), (0, 1, 0), "objects are left");
}
