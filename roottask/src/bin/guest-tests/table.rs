// SPDX-License-Identifier: BSD-2-Clause
//! What a test is, and the table of a module's tests.

use roottask::Outcome;

use crate::context::Context;

/// One test.
pub struct Test {
    /// The module's name and the function's, as `frame::a_mapped_frame_cannot_be_mapped_again`.
    pub name: &'static str,
    /// The function.
    pub run: fn(&mut Context) -> Outcome,
}

/// The table of a module's tests: their names are the functions', behind the module's.
macro_rules! tests {
    ($module:literal: $($test:ident),* $(,)?) => {
        pub const TESTS: &[crate::table::Test] = &[$(crate::table::Test {
            name: concat!($module, "::", stringify!($test)),
            run: $test,
        }),*];
    };
}
pub(crate) use tests;
