// SPDX-License-Identifier: BSD-2-Clause
//! The state after boot: `src/kernel/boot.c`

use super::support::*;
use crate::model::{Arch, split_region};

#[test]
fn the_boot_leaves_a_sound_machine() {
    let configs = [
        BootConfig::small(),
        BootConfig::ia32(),
        #[cfg(target_pointer_width = "64")]
        BootConfig::x86_64(),
    ];
    for config in configs {
        Host::new(&config).kernel.check_manager();
    }
}

#[test]
fn capabilities_lie_where_the_kernel_puts_them() {
    let host = Host::new(&BootConfig::ia32());
    let cap = |number| host.kernel.cap(CPtr::new(number));
    assert!(matches!(cap(slot::TCB), Cap::Tcb { .. }));
    assert!(matches!(cap(slot::CNODE), Cap::CNode { radix: 16, guard: 0, guard_bits: 16, .. }));
    assert!(matches!(cap(slot::VSPACE), Cap::Table { level: 0, mapped: Some(_), .. }));
    assert_eq!((cap(0), cap(slot::IO_SPACE)), (Cap::Null, Cap::Null));
    assert_eq!(cap(slot::ASID_CONTROL), Cap::AsidControl);
    let facts = host.kernel.facts();
    assert_eq!(facts.image_tables.start, slot::FIRST_VARIABLE);
    assert_eq!(facts.image_frames.start, facts.image_tables.end + 1, "boot info's second page");
    assert_eq!(facts.untypeds[0].slot, facts.image_frames.end);
    assert_eq!(facts.untypeds.last().unwrap().slot + 1, facts.free.start);
    assert!(host.is_empty(CPtr::new(facts.free.start)));
}

#[test]
fn the_image_is_mapped_and_its_frames_know() {
    let host = Host::small();
    let facts = host.kernel.facts();
    for (frame, vaddr) in facts.image_frames.clone().zip(facts.image.clone().step_by(0x1000)) {
        assert_eq!(host.paddr_at(OWN, vaddr), Some(host.base(CPtr::new(frame))));
    }
    for vaddr in [facts.ipc_buffer, facts.boot_info, facts.boot_info + 0x1000] {
        assert!(host.paddr_at(OWN, vaddr).is_some());
    }
    assert_eq!(host.paddr_at(OWN, facts.boot_info + 0x2000), None);
}

#[test]
fn untypeds_of_the_boot_count_as_used() {
    let host = Host::small();
    for i in 0..6 {
        let cap = host.kernel.cap(host.untyped(i));
        assert!(matches!(cap, Cap::Untyped { size_bits, used, .. } if used == 1 << size_bits));
    }
}

#[test]
fn the_initial_thread_holds_copies() {
    let mut host = Host::small();
    let thread = host.kernel.tcb(CPtr::new(slot::TCB)).unwrap();
    assert!(matches!(thread.ipc_frame, Cap::Frame { mapped: None, .. }));
    assert_eq!(thread.ipc_buffer, host.kernel.facts().ipc_buffer);
    let buffer = CPtr::new(slot::IPC_BUFFER);
    host.delete(buffer);
    assert!(host.paddr_at(OWN, thread.ipc_buffer).is_some(), "it was not the last capability");
}

#[test]
fn a_region_is_cut_into_the_largest_aligned_pieces() {
    assert_eq!(split_region(0x30, 0x100, 29), [(0x30, 4), (0x40, 6), (0x80, 7)]);
    assert_eq!(split_region(0x1000, 0x3800, 29), [(0x1000, 12), (0x2000, 12), (0x3000, 11)]);
    assert_eq!(split_region(0, 0x4000_0000, 29), [(0, 29), (0x2000_0000, 29)]);
    assert_eq!(split_region(0xff8, 0x1000, 29), [], "smaller than an untyped can be");
}

#[test]
fn the_guard_word_has_the_kernels_fields() {
    assert_eq!(Arch::IA32.guard_word(0b101, 3), 0b101 << 8 | 3 << 3);
    #[cfg(target_pointer_width = "64")]
    assert_eq!(Arch::X86_64.guard_word(0b101, 3), 0b101 << 8 | 3 << 2);
    assert_eq!(Arch::IA32.guard_of_word(0b1101 << 8 | 3 << 3), (0b101, 3));
}
