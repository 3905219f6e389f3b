// SPDX-License-Identifier: BSD-2-Clause
//! Refusals that change nothing.

use core::fmt::Debug;

use vmm::{Error, Result};

use super::error::without_amounts;
use super::fixture::{Fixture, Manager};
use super::snapshot::Snapshot;

impl<'a> Fixture<'a> {
    /// Makes a request that must be refused with `expected`, and leave everything as it was, with
    /// no kernel call made.
    #[track_caller]
    pub fn refuses<T: Debug>(
        &mut self,
        expected: Error,
        request: impl FnOnce(&mut Manager<'a>) -> Result<T>,
    ) {
        let calls = self.vmm.kernel_calls();
        self.refuses_leaving_nothing(expected, request);
        assert_eq!(self.vmm.kernel_calls().since(&calls).total(), 0, "a refusal made calls");
    }

    /// The same, but kernel calls may be made, if what they did is undone.
    #[track_caller]
    pub fn refuses_leaving_nothing<T: Debug>(
        &mut self,
        expected: Error,
        request: impl FnOnce(&mut Manager<'a>) -> Result<T>,
    ) {
        let before = Snapshot::of(self);
        match request(&mut self.vmm) {
            Ok(done) => panic!("{done:?}, where {expected:?} was expected"),
            Err(error) => assert_eq!(without_amounts(error), without_amounts(expected)),
        }
        self.check();
        before.assert_same(&Snapshot::of(self));
    }
}
