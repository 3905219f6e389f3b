// SPDX-License-Identifier: BSD-2-Clause
//! The macros on a host, for the made-up configuration in `tests/kernel/`, which `SEL4_PREFIX` must
//! name: `config_macros` in `qemu-scripts/lanes/host.sh`. What is refused stands in the crate's
//! documentation.

use sel4_config::{
    all_constants, sel4_cfg, sel4_cfg_bool, sel4_cfg_if, sel4_cfg_str, sel4_cfg_usize,
    sel4_cfg_word, sel4_cfg_wrap_match,
};

mod consts {
    super::all_constants! {}
}

/// A block of each condition that holds adds its number.
macro_rules! sum_of_those_that_hold {
    ($($number:literal: ($($condition:tt)*)),* $(,)?) => {
        0 $(+ sel4_cfg_if! { if #[sel4_cfg($($condition)*)] { $number } else { 0 } })*
    };
}

#[test]
fn conditions_hold_as_the_configuration_says() {
    let held = sum_of_those_that_hold![
        1: (PRINTING),
        2: (VTX),
        4: (PLAT = "made-up"),
        8: (PLAT = "other"),
        16: (PRINTING = true),
        32: (PRINTING = false),
        64: (VTX = false),
        128: (WORD_SIZE = "64"),
        256: (WORD_SIZE = "32"),
        512: (any(VTX, all(PRINTING, not(VTX)))),
        1024: (all(true, not(false))),
        2048: (any()),
    ];
    assert_eq!(held, 1 + 4 + 16 + 64 + 128 + 512 + 1024);
}

#[sel4_cfg(WORD_SIZE = "32")]
const KEPT: &str = "of 32 bits";
#[sel4_cfg(all(WORD_SIZE = "64", MAX_NUM_NODES = "1"))]
const KEPT: &str = "of 64 bits";

#[test]
fn items_and_arms_are_kept_where_the_condition_holds() {
    assert_eq!(KEPT, "of 64 bits");
    let arm = |number: u8| {
        sel4_cfg_wrap_match! {
            match number {
                #[sel4_cfg(VTX)]
                1 => "guests",
                #[sel4_cfg(PLAT = "made-up")]
                1 => "none",
                _ => "other",
            }
        }
    };
    assert_eq!((arm(1), arm(2)), ("none", "other"));
}

#[test]
fn values_have_the_types_that_upstream_has() {
    let text: [&str; 3] = [consts::WORD_SIZE, consts::MAX_NUM_NODES, consts::PLAT];
    assert_eq!(text, ["64", "1", "made-up"]);
    // One that no configuration of today's kernel lacks is known without being set.
    let switches: [bool; 3] = [consts::PRINTING, consts::VTX, consts::KERNEL_MCS];
    assert_eq!(switches, [true, false, false]);
    assert_eq!((sel4_cfg_bool!(PRINTING), sel4_cfg_bool!(VTX)), (true, false));
    assert_eq!((sel4_cfg_str!(PLAT), sel4_cfg_str!(WORD_SIZE)), ("made-up", "64"));
    let word: u16 = sel4_cfg_word!(WORD_SIZE);
    assert_eq!((sel4_cfg_usize!(MAX_NUM_NODES), word), (1, 64));
}
