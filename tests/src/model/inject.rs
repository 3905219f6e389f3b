//! Counting invocations, and failing some on purpose.

use std::fmt;
use std::sync::Arc;

use untyped_alloc::kernel::{KernelError, KernelResult};

use super::ModelKernel;

/// The invocations of the seam.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)] // They are the methods of `Kernel`, name by name.
pub enum CallKind {
    UntypedRetype,
    CNodeCopy,
    CNodeMintBadge,
    CNodeMintGuard,
    CNodeDelete,
    CNodeRevoke,
    CNodeCancelBadgedSends,
    PageMap,
    PageRemap,
    PageUnmap,
    PageGetAddress,
    TableMap,
    TableUnmap,
    AsidControlMakePool,
    AsidPoolAssign,
    TcbSetIpcBuffer,
    TcbSetSpace,
    TcbSetPriority,
    TcbResume,
}

/// How many kinds of invocations there are.
const KINDS: usize = CallKind::TcbResume as usize + 1;

type Predicate = Arc<dyn Fn(CallKind) -> bool + Send + Sync>;

/// What is to fail.
#[derive(Clone)]
enum Fault {
    /// The call after so many more, of one kind or of any.
    After { calls: usize, kind: Option<CallKind>, error: KernelError },
    /// Every call after so many more.
    From { calls: usize, error: KernelError },
    /// Every call the predicate picks.
    When { picks: Predicate, error: KernelError },
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::After { calls, kind, error } => write!(f, "{error:?} after {calls} of {kind:?}"),
            Fault::From { calls, error } => write!(f, "{error:?} on all after {calls}"),
            Fault::When { error, .. } => write!(f, "{error:?} on a condition"),
        }
    }
}

/// Counters, and the fault that is armed.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    calls: [u64; KINDS],
    bytes_cleared: u64,
    fault: Option<Fault>,
    injected: u64,
}

impl Meter {
    /// Counts a call, and fails it where a fault says so.
    pub(super) fn enter(&mut self, kind: CallKind) -> KernelResult {
        self.calls[kind as usize] += 1;
        let error = match &mut self.fault {
            None => return Ok(()),
            Some(Fault::When { picks, error }) => picks(kind).then_some(*error),
            Some(Fault::From { calls: calls @ 1.., .. }) => {
                *calls -= 1;
                None
            }
            Some(Fault::From { error, .. }) => Some(*error),
            Some(Fault::After { kind: Some(only), .. }) if *only != kind => None,
            Some(Fault::After { calls: calls @ 1.., .. }) => {
                *calls -= 1;
                None
            }
            Some(Fault::After { error, .. }) => {
                let error = *error;
                self.fault = None;
                Some(error)
            }
        };
        match error {
            Some(error) => {
                self.injected += 1;
                Err(error)
            }
            None => Ok(()),
        }
    }

    pub(super) fn cleared(&mut self, bytes: usize) {
        self.bytes_cleared += bytes as u64;
    }
}

impl ModelKernel<'_> {
    /// How many invocations of `kind` were made, refused ones included.
    pub fn calls(&self, kind: CallKind) -> u64 {
        self.meter.calls[kind as usize]
    }

    /// How many invocations were made, refused ones included.
    pub fn total_calls(&self) -> u64 {
        self.meter.calls.iter().sum()
    }

    /// How many bytes untypeds' resets have cleared.
    pub fn bytes_cleared(&self) -> u64 {
        self.meter.bytes_cleared
    }

    /// How many invocations failed because a test wanted it.
    pub fn injected_failures(&self) -> u64 {
        self.meter.injected
    }

    /// Sets the counters of calls, bytes and failures to zero.
    pub fn reset_counters(&mut self) {
        let fault = self.meter.fault.take();
        self.meter = Meter { fault, ..Meter::default() };
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
