// SPDX-License-Identifier: BSD-2-Clause
//! The architecture that the program runs on, as the manager describes it, held to the bindings: a
//! number that differs does not compile.

use page_tables::Geometry;
use sel4::{sys, vspace_levels, FrameObjectType, ObjectBlueprint, TranslationTableObjectType};

use super::bindings;
use crate::types::architecture::{Architecture, PAGE_BYTES};

/// The architecture that the program runs on.
#[cfg(target_arch = "x86")]
pub(super) const ARCHITECTURE: Architecture = as_told(Architecture::IA32);
/// The architecture that the program runs on.
#[cfg(target_arch = "x86_64")]
pub(super) const ARCHITECTURE: Architecture = as_told(Architecture::X86_64);

/// An architecture with what this kernel tells of a fault's address.
const fn as_told(architecture: Architecture) -> Architecture {
    let Architecture { sizes, geometry } = architecture;
    let fault_end = match bindings::TELLS_ALL_FAULTS {
        true => geometry.user_end,
        false => geometry.fault_end,
    };
    Architecture { sizes, geometry: Geometry { fault_end, ..geometry } }
}

/// Pages of book-keeping that are enough to start with: records have words.
pub(super) const DEFAULT_POOL_PAGES: usize = 4 * size_of::<usize>();

const fn bits(blueprint: ObjectBlueprint) -> u8 {
    blueprint.physical_size_bits() as u8
}

const _: () = {
    let sizes = ARCHITECTURE.sizes;
    assert!(sizes.word_bits as usize == sel4::WORD_SIZE);
    assert!(sizes.slot_bits == bits(ObjectBlueprint::CNode { size_bits: 0 }));
    assert!(sizes.tcb_bits == bits(ObjectBlueprint::Tcb));
    assert!(sizes.endpoint_bits == bits(ObjectBlueprint::Endpoint));
    assert!(sizes.notification_bits == bits(ObjectBlueprint::Notification));
    assert!(sizes.asid_pool_bits == bits(ObjectBlueprint::asid_pool()));
    assert!(sizes.ipc_buffer_bytes() == size_of::<sel4::IpcBuffer>());
    assert!(sizes.untyped_min_bits as u32 == sys::seL4_MinUntypedBits as u32);
    assert!(sizes.untyped_max_bits as u32 == sys::seL4_MaxUntypedBits as u32);
    assert!(sizes.retype_limit == sel4::sel4_cfg_usize!(RETYPE_FAN_OUT_LIMIT));
    assert!(sizes.table_levels as usize == vspace_levels::NUM_LEVELS);
    assert!(sizes.frame_bits[0] as usize == FrameObjectType::GRANULE.bits());
    assert!(sizes.frame_bits[1] as usize == FrameObjectType::LargePage.bits());
    assert!(sizes.frame_bits[2] == 0);

    let geometry = ARCHITECTURE.geometry;
    assert!(geometry.page_bits as usize == FrameObjectType::GRANULE.bits());
    assert!(PAGE_BYTES == FrameObjectType::GRANULE.bytes());
    assert!(geometry.user_end <= bindings::USER_TOP);
    assert!(geometry.levels.len() == vspace_levels::NUM_LEVELS);
    let mut level = 0;
    while level < geometry.levels.len() {
        let shape = &geometry.levels[level];
        // Pages of 1 GiB, which some kernels have, are not used.
        assert!(!shape.holds_frames || level + 1 > vspace_levels::HIGHEST_LEVEL_WITH_PAGE_ENTRIES);
        match TranslationTableObjectType::from_level(level) {
            Some(table) if level == 0 => {
                assert!(sizes.root_table_bits == bits(table.blueprint()));
            }
            Some(table) => assert!(sizes.table_bits == bits(table.blueprint())),
            None => panic!("the bindings lack a level"),
        }
        level += 1;
    }
};

/// Whether what an entry of each level spans is what the bindings say: asked once, as those of
/// today's kernels have no constants for it.
pub(super) fn levels_are_right() -> bool {
    let mut levels = ARCHITECTURE.geometry.levels.iter().enumerate();
    levels.all(|(level, shape)| {
        let (entry, span) = (usize::from(shape.entry_bits), usize::from(shape.span_bits()));
        entry == vspace_levels::step_bits(level) && span == vspace_levels::span_bits(level)
    })
}
