// SPDX-License-Identifier: BSD-2-Clause
//! IA32: its description.

use crate::types::architecture::Architecture;

/// The description of the architecture that the program runs on.
pub const ARCHITECTURE: Architecture = Architecture::IA32;
