// SPDX-License-Identifier: BSD-2-Clause
//! The manager that programs here work with.

/// The manager of a root task on seL4.
pub type Manager = vmm::Vmm<'static, vmm::sel4::Sel4>;
