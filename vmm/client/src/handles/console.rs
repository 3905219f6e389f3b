// SPDX-License-Identifier: BSD-2-Clause
//! Consoles: lines for people.

use super::call::finish;
use super::error::Result;
use super::kinds::{Console, Handle};
use crate::objects::{Line, Request};

impl Console {
    /// Says a line to people. What it takes to show it is the program's own time.
    ///
    /// # Errors
    /// [`super::Error::Refused`], as when there is no console in the slot.
    pub fn say(&self, line: Line) -> Result {
        finish(&Request::Say { line }, &[self.slot()])
    }
}
