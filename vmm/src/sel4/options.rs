// SPDX-License-Identifier: BSD-2-Clause
//! How a manager starts.

/// How a manager starts, and how long it may hold others up from then on. Start with
/// [`StartOptions::new`] and change what differs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "each method returns the options changed"]
pub struct StartOptions {
    pub(super) cleared_at_boot: usize,
    pub(super) most_cleared: usize,
    pub(super) direct_map: bool,
}

impl StartOptions {
    /// 1 MiB can be had at once, and no kernel call clears more than 2^18 bytes after the start
    /// (some 94 thousand instructions in which nobody else runs). Who needs more memory than that
    /// asks for it here, or has it cleared later: [`Vmm::clear`](crate::Vmm::clear),
    /// [`Vmm::run_job`](crate::Vmm::run_job).
    pub const fn new() -> StartOptions {
        StartOptions { cleared_at_boot: 1 << 20, most_cleared: 1 << 18, direct_map: false }
    }

    /// Has so many bytes cleared at the start, `usize::MAX` for all, as far as there is not so much
    /// memory that needs no clearing. Untypeds are cleared whole, the smallest first, so it can be
    /// up to twice as much; at some 1.5 thousand instructions for 4 KiB, 375 thousand for a MiB.
    /// There is nobody yet who could wait.
    pub const fn clear_at_boot(self, bytes: usize) -> Self {
        StartOptions { cleared_at_boot: bytes, ..self }
    }

    /// Lets each request have as much memory cleared as it needs, whoever waits meanwhile: the
    /// largest untyped, say, of 128 MiB in 48 million instructions. It is not cleared before it is
    /// needed, nor while smaller ones serve.
    pub const fn clear_when_needed(self) -> Self {
        StartOptions { cleared_at_boot: 0, most_cleared: usize::MAX, ..self }
    }

    /// Lets no kernel call clear more than so many bytes after the start, unless it is told to in
    /// words ([`Vmm::limit_clearing`](crate::Vmm::limit_clearing)).
    pub const fn limit_clearing(self, bytes: usize) -> Self {
        StartOptions { most_cleared: bytes, ..self }
    }

    /// Makes a direct map at the start: see
    /// [`Vmm::make_direct_map`](crate::Vmm::make_direct_map). For a program whose memory is used
    /// again and again, or cloned and written to; the start fails where there are not so many
    /// addresses.
    pub const fn direct_map(self) -> Self {
        StartOptions { direct_map: true, ..self }
    }
}

impl Default for StartOptions {
    fn default() -> Self {
        StartOptions::new()
    }
}
