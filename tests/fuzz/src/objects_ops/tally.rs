// SPDX-License-Identifier: BSD-2-Clause
//! What is counted.

/// What came of one input.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tally {
    /// Requests that were granted.
    pub granted: usize,
    /// Requests that were refused.
    pub refused: usize,
    /// Requests that waited.
    pub waited: usize,
    /// Those of them that were answered.
    pub went_on: usize,
    /// Programs that others started.
    pub started: usize,
    /// Pages that were mapped by a touch.
    pub touched: usize,
    /// Threads that programs started beside their first.
    pub threads: usize,
    /// How often a thread that was to be suspended was.
    pub stopped: usize,
    /// How often a program was to be suspended.
    pub halted: usize,
    /// How often who holds a program has got its first thread.
    pub firsts: usize,
    /// Faults that ended no program.
    pub alone: usize,
    /// Touches of pages that a pager is to supply.
    pub paged: usize,
    /// Touches for which there was no memory, and that wait for some.
    pub lacking: usize,
    /// What was told of ends, faults, pages and accounts.
    pub told: usize,
    /// First writes to supplied pages.
    pub written: usize,
    /// Writes to pages of private mappings, which are copies from then on.
    pub copied: usize,
    /// Large pages that were mapped by a touch.
    pub large: usize,
    /// Pages that were supplied or taken back.
    pub supplied: usize,
    /// Kernel calls that failed by the input's choice.
    pub failed: u64,
}
