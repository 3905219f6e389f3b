// SPDX-License-Identifier: BSD-2-Clause
//! The configuration of the kernel these bindings are built for. Code is chosen by it with
//! [`sel4_cfg`](macro@crate::sel4_cfg) and its kin.

/// The kernel's configuration by the names of its `CONFIG_…` options, as upstream has it: a switch
/// is a `bool`, all else is text, numbers too ([`sel4_cfg_usize!`](crate::sel4_cfg_usize) and
/// [`sel4_cfg_word!`](crate::sel4_cfg_word) have them as numbers).
#[allow(missing_docs)]
pub mod consts {
    sel4_config::all_constants! {}
}
