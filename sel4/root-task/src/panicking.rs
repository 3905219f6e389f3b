// SPDX-License-Identifier: BSD-2-Clause
//! Panics: printed with their place, then the end.
//!
//! There is no unwinding. What upstream offers around it is here in the form that is left:
//! [`catch_unwind`] never catches.

use core::fmt;
use core::panic::{Location, PanicInfo, UnwindSafe};
use core::sync::atomic::{AtomicBool, Ordering};

use sel4::{debug_println, Backtrace};

use crate::{exit, ExitCode};

/// What a panic hook is told.
pub struct ExternalPanicInfo<'a> {
    info: &'a PanicInfo<'a>,
}

impl ExternalPanicInfo<'_> {
    /// The message.
    pub fn message(&self) -> impl fmt::Display + '_ {
        self.info.message()
    }

    /// Where it panicked.
    pub fn location(&self) -> Option<&Location<'_>> {
        self.info.location()
    }

    /// Whether the panic unwinds: never.
    pub fn can_unwind(&self) -> bool {
        false
    }
}

impl fmt::Display for ExternalPanicInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.info)
    }
}

/// What is called at a panic, before the end.
pub type PanicHook = &'static (dyn Fn(&ExternalPanicInfo<'_>) + Send + Sync);

/// The hook, behind a word that says whether somebody is at it.
struct Hook {
    taken: AtomicBool,
    hook: core::cell::UnsafeCell<PanicHook>,
}

// SAFETY: `hook` is read and written only between setting and clearing `taken`.
unsafe impl Sync for Hook {}

static HOOK: Hook =
    Hook { taken: AtomicBool::new(false), hook: core::cell::UnsafeCell::new(&print) };

fn print(info: &ExternalPanicInfo<'_>) {
    debug_println!("{info}");
}

/// Makes `hook` what is called at a panic, in place of printing the message and its place. (When
/// two threads set one at the same moment, one of the two stays.)
pub fn set_hook(hook: PanicHook) {
    if !HOOK.taken.swap(true, Ordering::Acquire) {
        // SAFETY: `taken` was false and is now ours.
        unsafe { *HOOK.hook.get() = hook };
        HOOK.taken.store(false, Ordering::Release);
    }
}

/// What a caught panic would carry: nothing, as none is caught.
#[derive(Debug)]
pub enum Payload {}

/// Calls `f`. A panic in it ends the program, so this is always `Ok`.
///
/// # Errors
/// None.
pub fn catch_unwind<R>(f: impl FnOnce() -> R + UnwindSafe) -> Result<R, Payload> {
    Ok(f())
}

/// Calls `f`. A panic in it ends the program, as any.
pub fn abort_unwind<R>(f: impl FnOnce() -> R) -> R {
    f()
}

/// What `declare_root_task!` makes the program's panic handler.
#[doc(hidden)]
pub fn panicked(info: &PanicInfo<'_>) -> ! {
    // A panic inside the hook finds the hook taken, and is printed.
    let hook: PanicHook = if HOOK.taken.swap(true, Ordering::Acquire) {
        &print
    } else {
        // SAFETY: `taken` was false and is now ours; it stays so, as this is the end.
        unsafe { *HOOK.hook.get() }
    };
    // Before the hook: its own callers are of no use, and it may not come back.
    let backtrace = Backtrace::of_this_thread();
    hook(&ExternalPanicInfo { info });
    debug_println!("backtrace: {backtrace}");
    exit(ExitCode::Panic)
}

/// Prints the message and ends the program with [`ExitCode::Failure`].
#[doc(hidden)]
pub fn abort_with(message: fmt::Arguments<'_>) -> ! {
    debug_println!("{message}");
    exit(ExitCode::Failure)
}

/// Prints a message, if given one, and ends the program with
/// [`ExitCode::Failure`](crate::ExitCode::Failure), without the panic hook.
#[macro_export]
macro_rules! abort {
    () => {
        $crate::_private::abort_with(::core::format_args!("aborted"))
    };
    ($($arg:tt)*) => {
        $crate::_private::abort_with(::core::format_args!("aborted: {}", ::core::format_args!($($arg)*)))
    };
}
