// SPDX-License-Identifier: BSD-2-Clause
//! Requests to messages and back.

use super::fields::{
    around, bits, flag, guards, guards_word, halves, number as count, numbers, rights, whole, words,
};
use super::message::{exactly, message, number, Message};
use crate::types::items::{Amounts, Options, RegionHandle};
use crate::types::limits::MAX_PAGES;
use crate::types::malformed::Malformed;
use crate::types::request::{NewThread, Request, Reserve};
use crate::types::text::Text;

/// The word of a number.
fn word(number: u32) -> usize {
    number as usize
}

impl Request {
    /// The message of this request.
    pub fn encode(&self) -> Message {
        match *self {
            Request::Reserve(Reserve {
                pages,
                address,
                rights,
                ceiling,
                around,
                guards,
                options,
                name,
            }) => {
                let guards = guards_word(guards);
                let [pages, rights, ceiling, around, options] =
                    words([pages, rights.bits(), ceiling.bits(), around, options.bits()]);
                let [a, b, c, d] = words(*name.words());
                message(1, &[pages, address, rights, ceiling, around, guards, options, a, b, c, d])
            }
            Request::Map { start, pages } => message(2, &[start, word(pages)]),
            Request::Unmap { start, pages } => message(3, &[start, word(pages)]),
            Request::Protect { start, pages, rights } => {
                message(4, &[start, word(pages), word(rights.bits())])
            }
            Request::Release(region) => message(5, &region.words()),
            Request::Query { address, next } => message(6, &[address, next.into()]),
            Request::Offer { to, start, pages, rights } => {
                message(7, &[word(to), start, word(pages), word(rights.bits())])
            }
            Request::Withdraw { ticket } => message(8, &[word(ticket)]),
            Request::Accept { from, ticket, address, rights } => {
                message(9, &[word(from), word(ticket), address, word(rights.bits())])
            }
            Request::Clone { region, address } => {
                let [a, b, c] = region.words();
                message(10, &[a, b, c, address])
            }
            Request::IpcBuffer { slot } => message(11, &[word(slot)]),
            Request::ReleaseIpcBuffer { address } => message(12, &[address]),
            Request::Statistics => message(13, &[]),
            Request::Limits => message(14, &[]),
            Request::Split { child, back, amounts } => {
                let [a, b, c, d] = amounts.words();
                message(15, &[word(child), back.into(), a, b, c, d])
            }
            Request::Kill { child } => message(16, &[word(child)]),
            Request::Say(line) => message(17, &words(*line.words())),
            Request::Exit { code } => message(18, &[word(code)]),
            Request::OfferPaging { to, key, pages, rights } => {
                message(19, &words([to, key, pages, rights.bits()]))
            }
            Request::AcceptPaging { from, ticket, address, rights } => {
                message(20, &[word(from), word(ticket), address, word(rights.bits())])
            }
            Request::NextFault { after } => message(21, &halves(after)),
            Request::Supply { ticket, page, give } => {
                let [low, high] = halves(ticket);
                message(22, &[low, high, page, give.into()])
            }
            Request::Refuse { ticket } => message(23, &halves(ticket)),
            Request::Thread(NewThread { entry, argument, stack_pages, slot }) => {
                message(24, &[entry, argument, word(stack_pages), word(slot)])
            }
            Request::EndThread { thread, own } => message(25, &[thread, own.into()]),
            Request::CloneMore { region, into, page } => {
                let ([a, b, c], [d, e, f]) = (region.words(), into.words());
                message(26, &[a, b, c, d, e, f, word(page)])
            }
            Request::AcceptMore { from, region } => {
                let [a, b, c] = region.words();
                message(27, &[word(from), a, b, c])
            }
        }
    }

    /// The request in a message.
    ///
    /// # Errors
    /// What is wrong with the message.
    pub fn parse(label: u32, words: &[usize]) -> Result<Request, Malformed> {
        Ok(match number(label)? {
            1 => {
                let [pages, address, r, ceiling, a, g, options, name @ ..] = exactly::<11>(words)?;
                Request::Reserve(Reserve {
                    pages: count(pages)?,
                    address,
                    rights: rights(r)?,
                    ceiling: rights(ceiling)?,
                    around: around(a)?,
                    guards: guards(g)?,
                    options: Options::from_bits(bits(options)?).ok_or(Malformed::Bits)?,
                    name: Text::from_words(numbers(name)?),
                })
            }
            2 => {
                let [start, pages] = exactly(words)?;
                Request::Map { start, pages: count(pages)? }
            }
            3 => {
                let [start, pages] = exactly(words)?;
                Request::Unmap { start, pages: count(pages)? }
            }
            4 => {
                let [start, pages, r] = exactly(words)?;
                Request::Protect { start, pages: count(pages)?, rights: rights(r)? }
            }
            5 => Request::Release(RegionHandle::parse(exactly(words)?)?),
            6 => {
                let [address, next] = exactly(words)?;
                Request::Query { address, next: flag(next)? }
            }
            7 => {
                let [to, start, pages, r] = exactly(words)?;
                let (to, pages) = (count(to)?, count(pages)?);
                Request::Offer { to, start, pages, rights: rights(r)? }
            }
            8 => {
                let [ticket] = exactly(words)?;
                Request::Withdraw { ticket: count(ticket)? }
            }
            9 => {
                let [from, ticket, address, r] = exactly(words)?;
                let [from, ticket] = numbers([from, ticket])?;
                Request::Accept { from, ticket, address, rights: rights(r)? }
            }
            10 => {
                let [region @ .., address] = exactly::<4>(words)?;
                Request::Clone { region: RegionHandle::parse(region)?, address }
            }
            11 => {
                let [slot] = exactly(words)?;
                Request::IpcBuffer { slot: count(slot)? }
            }
            12 => {
                let [address] = exactly(words)?;
                Request::ReleaseIpcBuffer { address }
            }
            13 => {
                let [] = exactly(words)?;
                Request::Statistics
            }
            14 => {
                let [] = exactly(words)?;
                Request::Limits
            }
            15 => {
                let [child, back, amounts @ ..] = exactly::<6>(words)?;
                let amounts = Amounts::parse(amounts)?;
                Request::Split { child: count(child)?, back: flag(back)?, amounts }
            }
            16 => {
                let [child] = exactly(words)?;
                Request::Kill { child: count(child)? }
            }
            17 => Request::Say(Text::from_words(numbers(exactly(words)?)?)),
            18 => {
                let [code] = exactly(words)?;
                Request::Exit { code: count(code)? }
            }
            19 => {
                let [numbered @ .., r] = exactly::<4>(words)?;
                let [to, key, pages] = numbers(numbered)?;
                if pages == 0 {
                    return Err(Malformed::Value);
                }
                Request::OfferPaging { to, key, pages, rights: rights(r)? }
            }
            20 => {
                let [from, ticket, address, r] = exactly(words)?;
                let [from, ticket] = numbers([from, ticket])?;
                Request::AcceptPaging { from, ticket, address, rights: rights(r)? }
            }
            21 => {
                let [low, high] = exactly(words)?;
                Request::NextFault { after: whole(low, high)? }
            }
            22 => {
                let [low, high, page, give] = exactly(words)?;
                Request::Supply { ticket: whole(low, high)?, page, give: flag(give)? }
            }
            23 => {
                let [low, high] = exactly(words)?;
                Request::Refuse { ticket: whole(low, high)? }
            }
            24 => {
                let [entry, argument, stack_pages, slot] = exactly(words)?;
                let [stack_pages, slot] = numbers([stack_pages, slot])?;
                if !(1..=MAX_PAGES).contains(&stack_pages) {
                    return Err(Malformed::Value);
                }
                Request::Thread(NewThread { entry, argument, stack_pages, slot })
            }
            25 => {
                let [thread, own] = exactly(words)?;
                Request::EndThread { thread, own: flag(own)? }
            }
            26 => {
                let [a, b, c, d, e, f, page] = exactly(words)?;
                let region = RegionHandle::parse([a, b, c])?;
                let into = RegionHandle::parse([d, e, f])?;
                Request::CloneMore { region, into, page: count(page)? }
            }
            27 => {
                let [from, region @ ..] = exactly::<4>(words)?;
                Request::AcceptMore { from: count(from)?, region: RegionHandle::parse(region)? }
            }
            _ => return Err(Malformed::Number),
        })
    }
}
