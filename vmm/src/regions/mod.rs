// SPDX-License-Identifier: BSD-2-Clause
//! Regions of addresses: reserved, released, split, merged, moved.

pub(crate) mod reserve;
pub(crate) mod reshape;
