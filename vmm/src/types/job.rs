// SPDX-License-Identifier: BSD-2-Clause
//! Work ahead, as jobs with a bound.

/// Work that can be done ahead, and what it costs: for a root task that has nothing else to do.
/// [`crate::Vmm::next_job`] says what is next, [`crate::Vmm::run_job`] does it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Job {
    /// Frames that came back are zeroed, so that they can be mapped at once: two kernel calls each,
    /// and some 2.8 thousand instructions for 4 KiB, between which others run.
    ZeroFrames {
        /// How many at the most.
        count: usize,
    },
    /// Frames of the smallest size are made of memory that is clean: a kernel call, and one for
    /// each two bits of size that a larger untyped is split by.
    MakeFrames {
        /// How many.
        count: usize,
    },
    /// A batch of frames that nobody uses is given back, so that there is an untyped to make page
    /// tables or other objects of: a kernel call, which deletes a capability for each 4 KiB, at
    /// some 500 instructions each. What is given back is to be cleared then.
    GiveBack {
        /// Its bytes.
        bytes: usize,
    },
    /// The kernel clears an untyped, by one call in which nobody else runs: some 1.5 thousand
    /// instructions for 4 KiB.
    Clear {
        /// Its bytes.
        bytes: usize,
    },
}

impl Job {
    /// The bytes that the kernel clears by one call, in which nobody else runs.
    pub fn cleared_by_one_call(&self) -> usize {
        match *self {
            Job::Clear { bytes } => bytes,
            Job::ZeroFrames { .. } | Job::MakeFrames { .. } | Job::GiveBack { .. } => 0,
        }
    }
}
