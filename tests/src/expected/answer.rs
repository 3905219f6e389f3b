// SPDX-License-Identifier: BSD-2-Clause
//! Which answers to a request are right.

use untyped_alloc::{Blame, KernelError};
use vmm::Error;

use crate::support::{PAGE, without_amounts};

/// Pages that can be missing although they are counted free, besides one for each thread: untypeds
/// smaller than a page.
const UNUSABLE_PAGES: usize = 3;

/// A refusal that would be right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// This error, with its values but for amounts and names.
    Exactly(Error),
    /// An error of this variant: its values depend on what the reference does not know.
    Named(&'static str),
}

impl Refusal {
    /// Whether it is that a number is no address, or a range none.
    pub fn is_of_an_address(&self) -> bool {
        matches!(self, Refusal::Exactly(Error::Address(_) | Error::Guard { address: 0, .. }))
    }

    /// Whether an error is this one.
    pub fn is(&self, error: &Error) -> bool {
        match self {
            Refusal::Exactly(expected) => without_amounts(*expected) == without_amounts(*error),
            Refusal::Named(expected) => name(error) == *expected,
        }
    }
}

/// The name of an error's variant.
fn name(error: &Error) -> String {
    let all = format!("{error:?}");
    let end = all.find(|c: char| !c.is_alphanumeric()).unwrap_or(all.len());
    all[..end].to_string()
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Exactly(error)
    }
}

/// The right answers: success if nothing is wrong with the request, or one of these refusals.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// What is wrong with the request: any of these may be the answer, and one must be.
    pub refusals: Vec<Refusal>,
    /// What may turn out to be wrong, where the reference cannot know.
    pub may: Vec<Refusal>,
    /// Where a region may begin, guards included, if it is a request for one.
    pub places: Vec<usize>,
}

impl Expected {
    /// Success.
    pub fn success() -> Expected {
        Expected::default()
    }

    /// A refusal for this reason.
    pub fn refused(why: impl Into<Refusal>) -> Expected {
        Expected { refusals: vec![why.into()], ..Expected::default() }
    }

    /// Success, unless there is a reason.
    pub fn unless<R: Into<Refusal>>(why: impl IntoIterator<Item = R>) -> Expected {
        Expected { refusals: why.into_iter().map(R::into).collect(), ..Expected::default() }
    }

    /// These answers, and for these reasons refusals too.
    #[must_use]
    pub fn or<R: Into<Refusal>>(mut self, why: impl IntoIterator<Item = R>) -> Expected {
        self.refusals.extend(why.into_iter().map(R::into));
        self
    }

    /// These answers, and perhaps an error of this variant.
    #[must_use]
    pub fn perhaps(mut self, why: Option<&'static str>) -> Expected {
        self.may.extend(why.map(Refusal::Named));
        self
    }

    /// Whether the request should succeed, if nothing is short.
    pub fn is_success(&self) -> bool {
        self.refusals.is_empty()
    }

    /// Whether an error is one of those that are right.
    pub fn has(&self, error: &Error) -> bool {
        self.refusals.iter().chain(&self.may).any(|refusal| refusal.is(error))
    }
}

/// What a request needs at the most: with that much memory free it must not be refused for want of
/// it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Need {
    /// Pages, besides those for paging structures and book-keeping.
    pub pages: usize,
    /// Whether a page table may be missing. Memory that is free as frames of a batch that is partly
    /// in use cannot become one.
    pub tables: bool,
    /// Nothing at all: the request may never be refused for want of memory.
    pub nothing: bool,
}

impl Need {
    /// Of a request that takes no memory.
    pub const NOTHING: Need = Need { pages: 0, tables: false, nothing: true };

    /// Of a request for so many pages, with their tables.
    pub fn pages(pages: usize) -> Need {
        Need { pages, tables: true, nothing: false }
    }

    /// Whether it can be more than what is free. Each of the threads keeps a page from being had.
    pub fn exceeds(&self, free: usize, threads: usize) -> bool {
        let pages = self.pages.saturating_add(UNUSABLE_PAGES + threads);
        let short = self.tables && free < 32 * PAGE || free < pages.saturating_mul(PAGE);
        short && !self.nothing
    }
}

/// A kernel call that is to fail.
#[derive(Clone, Copy, Debug)]
pub struct Failing {
    /// Its number, counted from 1.
    pub nth: usize,
    /// What it returns.
    pub error: KernelError,
    /// Whether all after it fail, too.
    pub lasts: bool,
}

/// A request that did not succeed, as it may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Halt {
    /// The manager's answer.
    pub error: Error,
    /// Whether a kernel call failed because it was to.
    pub fired: bool,
}

impl Halt {
    /// Pages that were done before the kernel refused.
    pub fn done(&self) -> usize {
        match self.error {
            Error::Kernel { done, .. } => done,
            _ => 0,
        }
    }

    /// Whether something was short, or a kernel call failed: then some of it may be done.
    pub fn is_in_its_midst(&self) -> bool {
        self.fired || matches!(self.error, Error::Allocator(_) | Error::OutOfNodes(_))
    }

    /// Whether something was short.
    pub fn is_short(&self) -> bool {
        self.error.blame() == Blame::Resource
    }
}

/// Success, or why not.
pub type Outcome<T = ()> = Result<T, Halt>;
