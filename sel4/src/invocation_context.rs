// SPDX-License-Identifier: BSD-2-Clause
//! Through which IPC buffer an invocation goes.

use core::cell::RefCell;

use crate::IpcBuffer;

/// A way to the calling thread's IPC buffer.
///
/// The buffer must be the one the kernel knows for the calling thread: message words beyond the
/// second and capabilities go through it.
pub trait InvocationContext {
    /// Calls `f` with the IPC buffer.
    fn with_context<T>(&mut self, f: impl FnOnce(&mut IpcBuffer) -> T) -> T;

    /// As `with_context`, for an `f` that does not come back to this context while it runs.
    #[doc(hidden)]
    #[inline(always)]
    fn with_context_leaf<T>(&mut self, f: impl FnOnce(&mut IpcBuffer) -> T) -> T {
        self.with_context(f)
    }

    /// As `with_context_leaf`, but does nothing where that would panic.
    #[doc(hidden)]
    fn try_with_context_leaf<T>(&mut self, f: impl FnOnce(&mut IpcBuffer) -> T) -> Option<T> {
        Some(self.with_context(f))
    }
}

impl InvocationContext for IpcBuffer {
    #[inline(always)]
    fn with_context<T>(&mut self, f: impl FnOnce(&mut IpcBuffer) -> T) -> T {
        f(self)
    }
}

impl<U: InvocationContext> InvocationContext for &mut U {
    #[inline(always)]
    fn with_context<T>(&mut self, f: impl FnOnce(&mut IpcBuffer) -> T) -> T {
        U::with_context(self, f)
    }

    #[inline(always)]
    fn with_context_leaf<T>(&mut self, f: impl FnOnce(&mut IpcBuffer) -> T) -> T {
        U::with_context_leaf(self, f)
    }

    fn try_with_context_leaf<T>(&mut self, f: impl FnOnce(&mut IpcBuffer) -> T) -> Option<T> {
        U::try_with_context_leaf(self, f)
    }
}

impl<U: InvocationContext> InvocationContext for &RefCell<U> {
    fn with_context<T>(&mut self, f: impl FnOnce(&mut IpcBuffer) -> T) -> T {
        self.borrow_mut().with_context(f)
    }

    fn try_with_context_leaf<T>(&mut self, f: impl FnOnce(&mut IpcBuffer) -> T) -> Option<T> {
        self.try_borrow_mut().ok()?.try_with_context_leaf(f)
    }
}

/// The context of a capability that was given none, without the feature `state`: none. A capability
/// must be given an IPC buffer with [`Cap::with`](crate::Cap::with) before it can be invoked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct NoInvocationContext(());

impl NoInvocationContext {
    /// The only value.
    pub const fn new() -> Self {
        Self(())
    }
}

cfg_if::cfg_if! {
    if #[cfg(feature = "state")] {
        /// The context of a capability that was given none: the calling thread's own IPC buffer.
        pub type NoExplicitInvocationContext = crate::ImplicitInvocationContext;
    } else {
        /// The context of a capability that was given none: none.
        pub type NoExplicitInvocationContext = NoInvocationContext;
    }
}
