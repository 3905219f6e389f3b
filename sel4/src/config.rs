// SPDX-License-Identifier: BSD-2-Clause
//! The configuration of the kernel these bindings are built for. Code is chosen by it with
//! [`sel4_cfg`](macro@crate::sel4_cfg) and its kin.

/// The kernel's configuration by the names of its `CONFIG_…` options: a switch is 1 when it is set,
/// and 0 when it is known but not set. (Upstream has `bool` and text here.)
#[allow(missing_docs)]
pub mod consts {
    sel4_config::all_constants! {}
}
