// SPDX-License-Identifier: BSD-2-Clause
//! The program itself, with what it began with.

use super::call::{call, finish};
use super::error::Result;
use super::kinds::{Account, Console, Handle, Space};
use super::slots::mark_taken;
use crate::objects::first_page::{Given, Page};
use crate::objects::{Line, Request, ACCOUNT_SLOT, CONSOLE_SLOT, PAGE_BYTES, SPACE_SLOT};

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

    /// What its starter gave it, if it was started by a program that says so in its argument:
    /// [`Account::begin_program`]. The slots of what it names are taken from now on.
    pub fn given(&self, argument: usize) -> Option<Given<'static>> {
        let page = argument as *const Page;
        if page.is_null() || argument % PAGE_BYTES != 0 {
            return None;
        }
        // SAFETY: the starter maps it to be read only, for as long as the program lives; where it
        // does not, the program ends for a fault. Any bytes are a page.
        let given = Given::new(unsafe { &*page })?;
        given.objects().for_each(|object| mark_taken(object.slot));
        Some(given)
    }

    /// Says a line to people, if the program has a console.
    pub fn say(&self, line: Line) {
        // There is nobody else to report an error to.
        let _ = self.console().say(line);
    }

    /// Sleeps for at least so many milliseconds; 0 only tells whether the service has a clock.
    ///
    /// # Errors
    /// [`super::Error::Refused`]: with `NoClock` where the service has none, at once or when it is
    /// lost.
    pub fn sleep(&self, ms: u32) -> Result {
        finish(&Request::Sleep { ms }, &[])
    }

    /// Ends the program.
    pub fn exit(&self, code: u32) -> ! {
        loop {
            // There is no answer.
            let _ = call(&Request::Exit { code }, &[]);
        }
    }
}
