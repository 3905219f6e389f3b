// SPDX-License-Identifier: BSD-2-Clause
//! Counters of invocations, and which of them is to fail.

use std::fmt;
use std::sync::Arc;

use untyped_alloc::kernel::{KernelError, KernelResult};

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

pub(in crate::model) type Predicate = Arc<dyn Fn(CallKind) -> bool + Send + Sync>;

/// What is to fail.
#[derive(Clone)]
pub(in crate::model) enum Fault {
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

/// How long a call may take: nobody else runs meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bound {
    /// The most bytes that the kernel clears.
    pub bytes: usize,
    /// The most capabilities that it deletes.
    pub capabilities: usize,
}

/// Counters, and the fault that is armed.
#[derive(Clone, Debug, Default)]
pub(in crate::model) struct Meter {
    calls: [u64; KINDS],
    /// How many bytes untypeds' resets have cleared.
    pub(in crate::model) bytes_cleared: u64,
    /// The most that one reset has.
    pub(in crate::model) most_cleared: usize,
    /// Capabilities that the call that is being made has deleted so far.
    deleted: usize,
    /// The most that one call has.
    pub(in crate::model) most_deleted: usize,
    /// What no call may exceed.
    pub(in crate::model) bound: Option<Bound>,
    /// What is to fail, if anything.
    pub(in crate::model) fault: Option<Fault>,
    injected: u64,
}

impl Meter {
    /// Counts a call, and fails it where a fault says so.
    pub(in crate::model) fn count(&mut self, kind: CallKind) -> KernelResult {
        self.calls[kind as usize] += 1;
        self.deleted = 0;
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

    /// Counts what a call clears.
    ///
    /// # Panics
    /// Where that is more than one call may.
    pub(in crate::model) fn count_cleared(&mut self, bytes: usize) {
        self.bytes_cleared += bytes as u64;
        self.most_cleared = self.most_cleared.max(bytes);
        if let Some(bound) = self.bound {
            assert!(bytes <= bound.bytes, "one call clears {bytes} bytes");
        }
    }

    /// Counts a capability that the call deletes.
    ///
    /// # Panics
    /// As [`Meter::count_cleared`].
    pub(in crate::model) fn count_deleted(&mut self) {
        self.deleted += 1;
        self.most_deleted = self.most_deleted.max(self.deleted);
        if let Some(bound) = self.bound {
            assert!(self.deleted <= bound.capabilities, "one call deletes {}", self.deleted);
        }
    }

    /// How many calls of `kind` there were, failed ones included.
    pub(in crate::model) fn calls(&self, kind: CallKind) -> u64 {
        self.calls[kind as usize]
    }

    /// How many calls there were, failed ones included.
    pub(in crate::model) fn total_calls(&self) -> u64 {
        self.calls.iter().sum()
    }

    /// How many calls it failed.
    pub(in crate::model) fn injected(&self) -> u64 {
        self.injected
    }

    /// Sets all counters to zero. What is to fail stays, and so does the bound.
    pub(in crate::model) fn reset(&mut self) {
        let (fault, bound) = (self.fault.take(), self.bound);
        *self = Meter { fault, bound, ..Meter::default() };
    }
}
