// SPDX-License-Identifier: BSD-2-Clause
//! Counting invocations, and failing some on purpose.

use std::sync::Arc;

use untyped_alloc::kernel::KernelError;

use super::kernel::ModelKernel;
use super::state::meter::{Bound, CallKind, Fault};

impl ModelKernel<'_> {
    /// How many invocations of `kind` were made, refused ones included.
    pub fn calls(&self, kind: CallKind) -> u64 {
        self.meter.calls(kind)
    }

    /// How many invocations were made, refused ones included.
    pub fn total_calls(&self) -> u64 {
        self.meter.total_calls()
    }

    /// How many bytes untypeds' resets have cleared.
    pub fn bytes_cleared(&self) -> u64 {
        self.meter.bytes_cleared
    }

    /// The most bytes that one call's reset has cleared.
    pub fn most_cleared(&self) -> usize {
        self.meter.most_cleared
    }

    /// The most capabilities that one call has deleted.
    pub fn most_deleted(&self) -> usize {
        self.meter.most_deleted
    }

    /// Lets every call from now on panic that takes longer than `bound`; none, with `None`.
    pub fn bound_calls(&mut self, bound: Option<Bound>) {
        self.meter.bound = bound;
    }

    /// How many invocations failed because a test wanted it.
    pub fn injected_failures(&self) -> u64 {
        self.meter.injected()
    }

    /// Sets the counters of calls, bytes and failures to zero.
    pub fn reset_counters(&mut self) {
        self.meter.reset();
    }

    /// Makes the `nth` invocation from now on (1 is the next) return `error` without effect, once.
    pub fn fail_nth(&mut self, nth: usize, error: KernelError) {
        let calls = nth.checked_sub(1).expect("the first call is number 1");
        self.meter.fault = Some(Fault::After { calls, kind: None, error });
    }

    /// Makes the `nth` invocation of `kind` from now on return `error` without effect, once.
    pub fn fail_nth_of(&mut self, kind: CallKind, nth: usize, error: KernelError) {
        let calls = nth.checked_sub(1).expect("the first call is number 1");
        self.meter.fault = Some(Fault::After { calls, kind: Some(kind), error });
    }

    /// Makes the `nth` invocation from now on (1 is the next) and all after it return `error`
    /// without effect, until [`ModelKernel::disarm`].
    pub fn fail_from(&mut self, nth: usize, error: KernelError) {
        let calls = nth.checked_sub(1).expect("the first call is number 1");
        self.meter.fault = Some(Fault::From { calls, error });
    }

    /// Makes every invocation that `picks` picks return `error` without effect, until
    /// [`ModelKernel::disarm`].
    pub fn fail_when(
        &mut self,
        picks: impl Fn(CallKind) -> bool + Send + Sync + 'static,
        error: KernelError,
    ) {
        self.meter.fault = Some(Fault::When { picks: Arc::new(picks), error });
    }

    /// Lets invocations succeed again. Says whether a failure was still to come.
    pub fn disarm(&mut self) -> bool {
        self.meter.fault.take().is_some()
    }
}
