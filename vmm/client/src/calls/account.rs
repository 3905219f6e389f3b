// SPDX-License-Identifier: BSD-2-Clause
//! Calls on the client itself and its children: statistics, limits, output, the end.

use super::error::{Error, Result};
use super::service::Service;
use crate::protocol::{Amounts, Answer, Limits, Line, Request, Statistics};

impl Service {
    /// Returns how much memory this client has.
    pub fn statistics(&self) -> Result<Statistics> {
        match self.call(&Request::Statistics)? {
            Answer::Statistics(statistics) => Ok(statistics),
            _ => Err(Error::Answer),
        }
    }

    /// Returns the number of this client and its limits.
    pub fn limits(&self) -> Result<Limits> {
        match self.call(&Request::Limits)? {
            Answer::Limits(limits) => Ok(limits),
            _ => Err(Error::Answer),
        }
    }

    /// Moves a part of this client's limits to a child.
    pub fn give_quota(&self, child: u32, amounts: Amounts) -> Result {
        self.done(&Request::Split { child, back: false, amounts })
    }

    /// Moves a part of a child's limits, which the child does not use, back.
    pub fn take_quota(&self, child: u32, amounts: Amounts) -> Result {
        self.done(&Request::Split { child, back: true, amounts })
    }

    /// Ends a child.
    pub fn kill(&self, child: u32) -> Result {
        self.done(&Request::Kill { child })
    }

    /// Has the service say a line, for people to read.
    pub fn say(&self, line: Line) -> Result {
        self.done(&Request::Say(line))
    }

    /// Ends this client; 0 stands for success.
    pub fn exit(&self, code: u32) -> ! {
        loop {
            // There is no answer; if one comes all the same, the client must still end.
            let _ = self.call(&Request::Exit { code });
        }
    }
}
