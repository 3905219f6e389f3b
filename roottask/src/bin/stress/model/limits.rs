// SPDX-License-Identifier: BSD-2-Clause
//! How much of everything there is at a time.

/// The most areas.
pub const MAX_AREAS: usize = 128;
/// The most spaces.
pub const MAX_SPACES: usize = 12;
/// The most regions, those of the warm-up included.
pub const MAX_REGIONS: usize = 2048;
