// SPDX-License-Identifier: BSD-2-Clause
//! The manager, behind the lock that the first thread and the handler's take turns at.

use vmm::sel4::faults::SharedManager;

/// Empty until the first thread shares its manager, and again after it has taken it back.
pub static MANAGER: SharedManager = SharedManager::new();
