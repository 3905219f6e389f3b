// SPDX-License-Identifier: BSD-2-Clause
//! The program itself, with what it began with.

use super::call::call;
use super::kinds::{Account, Handle, Space};
use crate::objects::{Line, Request, ACCOUNT_SLOT, SPACE_SLOT};

/// The program: it runs, so there is one.
#[derive(Debug)]
pub struct Program(());

impl Program {
    /// The program that calls this.
    pub const THIS: Program = Program(());

    /// Its account.
    pub fn account(&self) -> Account {
        Account::from_slot(ACCOUNT_SLOT)
    }

    /// The space that it runs in.
    pub fn space(&self) -> Space {
        Space::from_slot(SPACE_SLOT)
    }

    /// Says a line to people.
    pub fn say(&self, line: Line) {
        // No well-formed line is refused, and there is nobody else to report an error to.
        let _ = call(&Request::Say { line }, &[]);
    }

    /// Ends the program.
    pub fn exit(&self, code: u32) -> ! {
        loop {
            // There is no answer.
            let _ = call(&Request::Exit { code }, &[]);
        }
    }
}
