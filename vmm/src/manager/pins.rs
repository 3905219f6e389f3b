// SPDX-License-Identifier: BSD-2-Clause
//! Which threads' memory is pinned.

use crate::types::thread::ThreadMemory;

/// The most threads whose memory can be pinned.
pub(crate) const MAX_PINNED: usize = 16;

/// The memory that is pinned.
#[derive(Default)]
pub(crate) struct Pinned {
    pub memory: [Option<ThreadMemory>; MAX_PINNED],
    pub count: usize,
}
