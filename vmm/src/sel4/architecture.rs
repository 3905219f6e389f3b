// SPDX-License-Identifier: BSD-2-Clause
//! The architecture that the program runs on, as the manager describes it, held to the bindings: a
//! number that differs does not compile.

use sel4::{sys, FrameObjectType, ObjectBlueprint, TranslationTableObjectType};

use super::{arch, bindings};
use crate::types::architecture::{Architecture, PAGE_BYTES};

/// The architecture that the program runs on.
pub(super) const ARCHITECTURE: Architecture = bindings::as_configured(arch::ARCHITECTURE);

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
    assert!(sizes.table_levels as usize == ARCHITECTURE.geometry.levels.len());
    assert!(sizes.frame_bits[0] as usize == FrameObjectType::GRANULE.bits());
    let mut size = 0;
    while size < sizes.frame_bits.len() {
        let bits = sizes.frame_bits[size] as usize;
        assert!(bits == 0 || FrameObjectType::from_bits(bits).is_some());
        size += 1;
    }

    let geometry = ARCHITECTURE.geometry;
    assert!(geometry.page_bits as usize == FrameObjectType::GRANULE.bits());
    assert!(PAGE_BYTES == FrameObjectType::GRANULE.bytes());
    assert!(geometry.user_end <= bindings::USER_TOP);
    // From the leaves to the root, what an entry spans. Upstream's `vspace_levels` is not asked: on
    // aarch64 it has four levels where the kernel has three.
    let mut entry_bits = geometry.page_bits as usize;
    let mut level = geometry.levels.len();
    while level > 0 {
        level -= 1;
        let shape = &geometry.levels[level];
        let table = match TranslationTableObjectType::from_level(level) {
            Some(table) => table,
            None => panic!("the bindings lack a level"),
        };
        assert!(shape.entry_bits as usize == entry_bits);
        assert!(shape.index_bits as usize == table.index_bits());
        // Pages of 1 GiB, which x86_64 has as an option, are not used there.
        assert!(!shape.holds_frames || FrameObjectType::from_bits(entry_bits).is_some());
        let bytes = if level == 0 { sizes.root_table_bits } else { sizes.table_bits };
        assert!(bytes == bits(table.blueprint()));
        entry_bits += table.index_bits();
    }
    assert!(entry_bits >= usize::BITS as usize || geometry.user_end <= 1 << entry_bits);
};
