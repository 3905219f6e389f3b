// SPDX-License-Identifier: BSD-2-Clause
//! The thread-local storage of the program that this is.

use super::bindings;
use crate::types::thread::TlsImage;

impl TlsImage<'static> {
    /// That of the running program, from its ELF headers: what each of its threads wants a copy of
    /// before it touches a `#[thread_local]` variable. `None` if it has no such variables.
    pub fn of_this_program() -> Option<TlsImage<'static>> {
        bindings::tls_segment()
    }
}
