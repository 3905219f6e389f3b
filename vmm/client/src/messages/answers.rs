// SPDX-License-Identifier: BSD-2-Clause
//! Answers to messages, and messages to answers or refusals.

use super::fields::{
    around, flag, guards, guards_word, halves, number as count, numbers, rights, whole, words,
};
use super::message::{exactly, message, number, Message, REFUSED};
use crate::types::answer::{Answer, Info, Limits, PagedFault, Statistics};
use crate::types::items::{Amounts, RegionHandle};
use crate::types::malformed::Malformed;
use crate::types::refusal::Refusal;
use crate::types::text::Text;

/// The bit in an [`Info`]'s word for the page that says that the page is mapped.
const PAGE_MAPPED: u32 = 1 << 31;

impl Answer {
    /// The message of this answer.
    pub fn encode(&self) -> Message {
        match *self {
            Answer::Done => message(0x100, &[]),
            Answer::Pages(pages) => message(0x101, &[pages as usize]),
            Answer::Region { handle, first, pages } => {
                let [a, b, c] = handle.words();
                message(0x102, &[a, b, c, first, pages as usize])
            }
            Answer::Ticket(ticket) => message(0x103, &[ticket as usize]),
            Answer::Address(address) => message(0x104, &[address]),
            Answer::Info(Info { region, pages, guards, rights, ceiling, around, page, name }) => {
                let guards = guards_word(guards);
                let page = page.map_or(0, |rights| PAGE_MAPPED | rights.bits());
                let [pages, rights, ceiling, around, page] =
                    words([pages, rights.bits(), ceiling.bits(), around, page]);
                let [a, b, c, d] = words(*name.words());
                let [start, low, high] = region.words();
                message(
                    0x105,
                    &[start, low, high, pages, guards, rights, ceiling, around, page, a, b, c, d],
                )
            }
            Answer::Statistics(Statistics { mapped_pages, regions, tables, largest_hole }) => {
                message(0x106, &words([mapped_pages, regions, tables, largest_hole]))
            }
            Answer::Part { handle, first, pages, done } => {
                let [a, b, c] = handle.words();
                message(0x108, &[a, b, c, first, pages as usize, done as usize])
            }
            Answer::Fault(PagedFault { ticket, client, key, page, write }) => {
                let [low, high] = halves(ticket);
                let [client, key, page] = words([client, key, page]);
                message(0x109, &[low, high, client, key, page, write.into()])
            }
            Answer::Limits(Limits { own, parent, limits, used }) => {
                let ([a, b, c, d], [e, f, g, h]) = (limits.words(), used.words());
                message(0x107, &[own as usize, parent as usize, a, b, c, d, e, f, g, h])
            }
        }
    }

    /// The answer, or the refusal, in a message.
    ///
    /// # Errors
    /// What is wrong with the message.
    pub fn parse(label: u32, words: &[usize]) -> Result<Result<Answer, Refusal>, Malformed> {
        Ok(Ok(match number(label)? {
            0x100 => {
                let [] = exactly(words)?;
                Answer::Done
            }
            0x101 => {
                let [pages] = exactly(words)?;
                Answer::Pages(count(pages)?)
            }
            0x102 => {
                let [a, b, c, first, pages] = exactly(words)?;
                let handle = RegionHandle::parse([a, b, c])?;
                Answer::Region { handle, first, pages: count(pages)? }
            }
            0x103 => {
                let [ticket] = exactly(words)?;
                Answer::Ticket(count(ticket)?)
            }
            0x104 => {
                let [address] = exactly(words)?;
                Answer::Address(address)
            }
            0x105 => Answer::Info(Info::parse(exactly(words)?)?),
            0x106 => {
                let [mapped_pages, regions, tables, largest_hole] = numbers(exactly(words)?)?;
                Answer::Statistics(Statistics { mapped_pages, regions, tables, largest_hole })
            }
            0x107 => {
                let [own, parent, a, b, c, d, e, f, g, h] = exactly(words)?;
                let (limits, used) = (Amounts::parse([a, b, c, d])?, Amounts::parse([e, f, g, h])?);
                Answer::Limits(Limits { own: count(own)?, parent: count(parent)?, limits, used })
            }
            0x108 => {
                let [a, b, c, first, pages, done] = exactly(words)?;
                let handle = RegionHandle::parse([a, b, c])?;
                Answer::Part { handle, first, pages: count(pages)?, done: count(done)? }
            }
            0x109 => {
                let [low, high, numbered @ .., write] = exactly::<6>(words)?;
                let ticket = whole(low, high)?;
                let [client, key, page] = numbers(numbered)?;
                Answer::Fault(PagedFault { ticket, client, key, page, write: flag(write)? })
            }
            REFUSED => return Ok(Err(Refusal::parse(exactly(words)?)?)),
            _ => return Err(Malformed::Number),
        }))
    }
}

impl Info {
    fn parse(words: [usize; 13]) -> Result<Info, Malformed> {
        let [start, low, high, pages, g, r, ceiling, a, page, name @ ..] = words;
        let page = match count(page)? {
            0 => None,
            mapped if mapped & PAGE_MAPPED != 0 => Some(rights((mapped & !PAGE_MAPPED) as usize)?),
            _ => return Err(Malformed::Value),
        };
        Ok(Info {
            region: RegionHandle::parse([start, low, high])?,
            pages: count(pages)?,
            guards: guards(g)?,
            rights: rights(r)?,
            ceiling: rights(ceiling)?,
            around: around(a)?,
            page,
            name: Text::from_words(numbers(name)?),
        })
    }
}
