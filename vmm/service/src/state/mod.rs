// SPDX-License-Identifier: BSD-2-Clause
//! What the service remembers: plain records in trees, changed by nobody but the service.

pub(crate) mod client;
pub(crate) mod offer;
pub(crate) mod paging;
