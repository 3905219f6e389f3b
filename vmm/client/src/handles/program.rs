// SPDX-License-Identifier: BSD-2-Clause
//! The program itself, with what it began with.

use super::call::call;
use super::kinds::{Account, Console, Handle, Space};
use crate::objects::{Line, Request, ACCOUNT_SLOT, CONSOLE_SLOT, SPACE_SLOT};

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

    /// Its console. Whether it has one, [`Console::say`] tells.
    pub fn console(&self) -> Console {
        Console::from_slot(CONSOLE_SLOT)
    }

    /// Says a line to people, if the program has a console.
    pub fn say(&self, line: Line) {
        // There is nobody else to report an error to.
        let _ = self.console().say(line);
    }

    /// Ends the program.
    pub fn exit(&self, code: u32) -> ! {
        loop {
            // There is no answer.
            let _ = call(&Request::Exit { code }, &[]);
        }
    }
}
