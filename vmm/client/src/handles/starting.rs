// SPDX-License-Identifier: BSD-2-Clause
//! A program that is being put together: loaded, given capabilities by name, started.

use super::error::{Error, Result};
use super::kinds::{Account, Child, Handle, Memory, Space};
use super::object::{no_answer, Object};
use super::program::Program;
use super::slots::{empty_slot, free_slot};
use super::space::Mapping;
use crate::objects::first_page::{add, begin, set_arguments, GivenObject, Page};
use crate::objects::{
    Amounts, Answer, Kind, ProgramOptions, Rights, CONSOLE_SLOT, FIRST_FREE_SLOT,
};

/// A program that does not run yet, and the page that will tell it what it was given.
#[derive(Debug)]
#[must_use = "what is not started stays"]
pub struct Starting {
    child: Child,
    space: Space,
    account: Account,
    page: Memory,
    shown: Mapping,
    next: u32,
    stack: u32,
}

/// Pages of a stack, unless it is said otherwise.
const STACK_PAGES: u32 = 4;

impl Account {
    /// A program that is loaded from an ELF file, whose account has these amounts of this one's.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::OutOfSlots`]; then there is none.
    pub fn begin_program(
        &self,
        name: &str,
        file: &Memory,
        amounts: Amounts,
        options: ProgramOptions,
    ) -> Result<Starting> {
        let (child, space, account) = self.create_program(name, amounts, options)?;
        let page = child.load(file).and_then(|()| account.create_memory(1));
        let shown = page.as_ref().map_err(|&error| error).and_then(|page| {
            Program::THIS.space().map(page, Rights::READ_WRITE, &Program::THIS.account())
        });
        match (page, shown) {
            (Ok(page), Ok(shown)) => {
                let (next, stack) = (FIRST_FREE_SLOT, STACK_PAGES);
                let mut starting = Starting { child, space, account, page, shown, next, stack };
                begin(starting.page());
                Ok(starting)
            }
            (page, shown) => {
                child.remove(space, account)?;
                // The capability was charged to the account that is gone.
                page.map(|page| free_slot(page.slot()))?;
                Err(shown.map_or_else(|error| error, |_| no_answer("Map")))
            }
        }
    }
}

impl Starting {
    fn page(&mut self) -> &mut Page {
        // SAFETY: a page of its own is mapped there for as long as this lives, to be written; it is
        // there when it is touched.
        unsafe { &mut *(self.shown.address() as *mut Page) }
    }

    fn note(&mut self, object: &GivenObject<'_>) -> Result {
        match add(self.page(), object) {
            true => Ok(()),
            false => Err(Error::NoRoom { what: "what is given" }),
        }
    }

    /// Gives it a capability to an object, by a name of at most 20 bytes.
    ///
    /// # Errors
    /// [`Error::Refused`]; [`Error::NoRoom`] for a name that is too long, and a list that is.
    pub fn give(&mut self, name: &str, object: &impl Handle, rights: Rights) -> Result {
        let kind = Some(kind_of(&object.info()?));
        self.note(&GivenObject { name, kind, rights, slot: self.next })?;
        self.child.grant(object, rights, self.next)?;
        self.next += 1;
        Ok(())
    }

    /// Gives it a copy of a capability that is not the service's, by a name.
    ///
    /// # Errors
    /// As [`Starting::give`].
    pub fn give_kernel(&mut self, name: &str, slot: u32) -> Result {
        let rights = Rights::empty();
        self.note(&GivenObject { name, kind: None, rights, slot: self.next })?;
        self.child.grant_kernel(slot, self.next)?;
        self.next += 1;
        Ok(())
    }

    /// Lets it say lines as this program does.
    ///
    /// # Errors
    /// [`Error::Refused`], if this one has no console.
    pub fn give_console(&mut self) -> Result {
        self.child.grant(&Program::THIS.console(), Rights::WRITE, CONSOLE_SLOT)
    }

    /// Gives it so many pages of stack in the place of four, from 1 to
    /// [`MAX_PAGES`](crate::objects::MAX_PAGES).
    pub fn with_stack(mut self, pages: u32) -> Starting {
        self.stack = pages;
        self
    }

    /// Lets it run, with these arguments and its stack. What comes back is to be given to
    /// [`Child::remove`] in the end.
    ///
    /// # Errors
    /// [`Error::Refused`]; [`Error::NoRoom`] for more than 2,048 bytes of arguments. Then it has
    /// ended.
    pub fn start(mut self, arguments: &str, priority: u8) -> Result<(Child, Space, Account)> {
        let fits = set_arguments(self.page(), arguments);
        let Starting { child, space, account, page, shown, stack, .. } = self;
        let started = shown.unmap().and_then(|()| match fits {
            false => Err(Error::NoRoom { what: "arguments" }),
            true => {
                let shown = space.map(&page, Rights::READ, &account)?;
                child.start(shown.address(), stack, priority)
            }
        });
        // It is charged to the program, and ends with it.
        empty_slot(page.slot());
        match started {
            Ok(()) => Ok((child, space, account)),
            Err(error) => {
                child.remove(space, account)?;
                Err(error)
            }
        }
    }
}

/// The kind of what an answer is about.
fn kind_of(answer: &Answer) -> Kind {
    match answer {
        Answer::Account { .. } => Kind::Account,
        Answer::Memory { .. } => Kind::Memory,
        Answer::Space { .. } | Answer::Reservation { .. } => Kind::Space,
        Answer::Program { .. } => Kind::Program,
        Answer::Object { kind, .. } => *kind,
        // No other answers a request for what there is to say.
        _ => Kind::Console,
    }
}
