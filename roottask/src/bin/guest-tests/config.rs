// SPDX-License-Identifier: BSD-2-Clause
//! The kernel's configuration, as code is chosen by it.

use roottask::{check, check_eq, Outcome};
use sel4::{sel4_cfg, sel4_cfg_attr, sel4_cfg_bool, sel4_cfg_enum, sel4_cfg_if, sel4_cfg_str};
use sel4::{sel4_cfg_struct, sel4_cfg_usize, sel4_cfg_word, sel4_cfg_wrap_match, Word};

use crate::context::Context;

crate::table::tests!("config":
    items_are_chosen_by_the_configuration,
    parts_of_items_are_chosen_too,
    options_have_the_values_of_the_kernel_that_runs,
);

#[sel4_cfg(not(KERNEL_MCS))]
const REPLIES: &str = "by the caller's capability";
#[sel4_cfg(KERNEL_MCS)]
const REPLIES: &str = "by reply objects";

sel4_cfg_if! {
    if #[sel4_cfg(all(WORD_SIZE = "64", KERNEL_MCS = true))] {
        const WIDTH: usize = 0;
    } else if #[sel4_cfg(WORD_SIZE = 64)] {
        const WIDTH: usize = 8;
    } else if #[sel4_cfg(any(ARCH_IA32, ARCH_AARCH32))] {
        const WIDTH: usize = 4;
    } else {
        const WIDTH: usize = 0;
    }
}

/// A type, and a value, as the first block says.
type Chosen = sel4_cfg_if! { if #[sel4_cfg(PRINTING)] { u8 } else { u16 } };

fn items_are_chosen_by_the_configuration(_: &mut Context) -> Outcome {
    check_eq!(REPLIES, "by the caller's capability");
    check_eq!(WIDTH, size_of::<Word>());
    check_eq!(size_of::<Chosen>(), if sel4_cfg_bool!(PRINTING) { 1 } else { 2 });
    let value = sel4_cfg_if! { if #[sel4_cfg(VTX)] { 1 } else { 2 } };
    check_eq!(value, 2);
    Ok(())
}

#[sel4_cfg_enum]
#[sel4_cfg_attr(not(KERNEL_MCS), derive(Clone, Copy, PartialEq, Eq, Debug))]
enum Kind {
    #[sel4_cfg(KERNEL_MCS)]
    Reply(Option<[Word; 2]>),
    Endpoint(Option<[Word; 2]>),
}

#[sel4_cfg_struct]
struct Parts {
    #[sel4_cfg(VTX)]
    guests: Result<Word, Word>,
    words: Result<Word, Word>,
    #[sel4_cfg(not(VTX))]
    none: u8,
}

fn number(of: Word) -> Word {
    sel4_cfg_wrap_match! {
        match of {
            #[sel4_cfg(KERNEL_MCS)]
            1 => 10,
            #[sel4_cfg(not(KERNEL_MCS))]
            1 => { if of < 2 { 11 } else { 12 } }
            2 if of > 1 => 20,
            #[sel4_cfg(VTX)]
            3 => { 31 }
            _ => 0,
        }
    }
}

fn parts_of_items_are_chosen_too(_: &mut Context) -> Outcome {
    let Kind::Endpoint(found) = Kind::Endpoint(Some([1, 2]));
    let parts = Parts { words: Ok(3), none: 4 };
    check_eq!((found, parts.words, parts.none), (Some([1, 2]), Ok(3), 4));
    check_eq!([1, 2, 3].map(number), [11, 20, 0]);
    Ok(())
}

fn options_have_the_values_of_the_kernel_that_runs(context: &mut Context) -> Outcome {
    check_eq!(sel4_cfg_usize!(WORD_SIZE), sel4::WORD_SIZE);
    check_eq!(sel4_cfg_str!(WORD_SIZE).parse(), Ok(sel4::WORD_SIZE));
    let word: Word = sel4_cfg_word!(MAX_NUM_NODES);
    let nodes = context.bootinfo.inner().numNodes;
    check_eq!(word, nodes);
    check_eq!(sel4::config::consts::WORD_SIZE, sel4_cfg_str!(WORD_SIZE));
    let (mcs, nodes): (bool, &str) =
        (sel4::config::consts::KERNEL_MCS, sel4::config::consts::MAX_NUM_NODES);
    check_eq!((mcs, nodes), (false, "1"));
    check_eq!(sel4::config::consts::PRINTING, sel4_cfg_bool!(PRINTING));
    let slots = context.bootinfo.inner().initThreadCNodeSizeBits;
    check_eq!(sel4_cfg_usize!(ROOT_CNODE_SIZE_BITS), usize::from(slots));
    check!(context.bootinfo.untyped().len() <= sel4_cfg_usize!(MAX_NUM_BOOTINFO_UNTYPED_CAPS));
    Ok(())
}
