// SPDX-License-Identifier: BSD-2-Clause
//! What a main may return.

use core::fmt::{self, Debug};

use crate::panicking::abort_with;

/// A type without a value: what a main that never returns normally has for success.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Never {}

/// What a root task's main may return: `!`, [`Never`], or a `Result` of either with an error that
/// is printed: by `Display` if it has that, else by `Debug`. Beyond upstream `()` and `Result<(),
/// E>`.
///
/// A root task has nobody to return to: whatever comes back is printed, and the program ends with
/// [`ExitCode::Failure`](crate::ExitCode::Failure).
pub trait Termination {
    /// Prints what came back, and ends the program.
    fn report(self) -> !;
}

/// `!`, by a name that stable Rust lets us say: the return type of `fn() -> !`.
type Diverging = <fn() -> ! as output::Function>::Output;

mod output {
    pub trait Function {
        type Output;
    }

    impl<T> Function for fn() -> T {
        type Output = T;
    }
}

impl Termination for Diverging {
    fn report(self) -> ! {
        self
    }
}

impl Termination for Never {
    fn report(self) -> ! {
        match self {}
    }
}

impl Termination for () {
    fn report(self) -> ! {
        abort_with(format_args!("the root task's main returned"))
    }
}

/// Prints with what error a main failed, and ends the program.
pub(crate) fn failed(error: fmt::Arguments<'_>) -> ! {
    abort_with(format_args!("the root task's main failed: {error}"))
}

impl<T: Termination, E: Debug> Termination for Result<T, E> {
    fn report(self) -> ! {
        match self {
            Ok(value) => value.report(),
            Err(error) => failed(format_args!("{error:?}")),
        }
    }
}
