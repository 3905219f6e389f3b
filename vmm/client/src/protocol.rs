//! The layout of every message, in this one file that both sides use.
//!
//! ```text
//!   label (20 bits)          words (32 bits each)
//!  ┌─────────┬───────────┐  ┌──────┬──────┬─ ─ ─
//!  │ version │ number    │  │      │      │          of exactly the number's length
//!  └─────────┴───────────┘  └──────┴──────┴─ ─ ─
//!    19 … 12   11 … 0         numbers: requests from 0x001, answers from 0x100, refusals 0x200
//! ```
//!
//! A message is refused unless its version is [`VERSION`], its number known, its length exact and
//! each of its words possible: no bit is ignored. No message carries a capability. Addresses are
//! bytes, lengths pages of 4 KiB. Pages, regions and tickets in a request are always the sender's:
//! there is no way to name anybody else's.

pub use crate::answer::{Answer, Info, Limits, PagedFault, Statistics};
pub use crate::items::{Amounts, Line, Malformed, Name, Options, RegionHandle, Resource, Rights};
pub use crate::refusal::Refusal;
pub use crate::request::{NewThread, Request, Reserve};
use crate::words::exactly;
pub use crate::words::{Message, Text};

/// The version of this layout.
pub const VERSION: u32 = 2;
/// The most words of a message.
pub const MOST_WORDS: usize = 32;
/// The most pages that one request maps, unmaps, protects, shares or clones: the service answers
/// how far it got, and the client asks for the rest. So no request of one client keeps the faults of
/// others waiting for long.
pub const MOST_PAGES: u32 = 64;
/// The most guard pages on one side of a region.
pub const MOST_GUARDS: u32 = 16;
/// The most regions a client has.
pub const MOST_REGIONS: u32 = 256;
/// The most offers of one client that are open.
pub const MOST_OFFERS: u32 = 16;
/// The most threads a client has, its first one included.
pub const MOST_THREADS: u32 = 8;

/// Logarithm of the slots of a client's CNode. Its CPtrs are slot numbers.
pub const CNODE_BITS: u8 = 4;
/// The slot of the service's endpoint, badged with who the client is.
pub const SERVICE_SLOT: u32 = 1;
/// The slot of the endpoint that the client's faults go to.
pub const FAULT_SLOT: u32 = 2;
/// The first slot that is the program's own: what it was given beyond that begins here.
pub const FIRST_FREE_SLOT: u32 = 3;

const VERSION_SHIFT: u32 = 12;
const NUMBER_MASK: u32 = (1 << VERSION_SHIFT) - 1;
const REFUSED: u32 = 0x200;

fn rights(word: u32) -> Result<Rights, Malformed> {
    Rights::from_bits(word).ok_or(Malformed::Bits)
}

fn flag(word: u32) -> Result<bool, Malformed> {
    match word {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed::Bits),
    }
}

fn guards(word: u32) -> Result<(u32, u32), Malformed> {
    let (below, above) = (word & 0xffff, word >> 16);
    let possible = below <= MOST_GUARDS && above <= MOST_GUARDS;
    possible.then_some((below, above)).ok_or(Malformed::Value)
}

fn around(word: u32) -> Result<u32, Malformed> {
    match word {
        0 | 1 | 2 | 4 | 8 | 16 => Ok(word),
        _ => Err(Malformed::Value),
    }
}

fn message(number: u32, words: &[u32]) -> Message {
    Message::new(VERSION << VERSION_SHIFT | number, words)
}

/// The number of a message of this version.
fn number(label: u32) -> Result<u32, Malformed> {
    if label >> VERSION_SHIFT != VERSION {
        return Err(Malformed::Version);
    }
    Ok(label & NUMBER_MASK)
}

impl Request {
    /// The message that asks for it.
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
                let guards = guards.0 | guards.1 << 16;
                let (rights, ceiling, options) = (rights.bits(), ceiling.bits(), options.bits());
                let [a, b, c, d] = *name.words();
                message(1, &[pages, address, rights, ceiling, around, guards, options, a, b, c, d])
            }
            Request::Map { start, pages } => message(2, &[start, pages]),
            Request::Unmap { start, pages } => message(3, &[start, pages]),
            Request::Protect { start, pages, rights } => message(4, &[start, pages, rights.bits()]),
            Request::Release(RegionHandle { start, serial }) => message(5, &[start, serial]),
            Request::Query { address, next } => message(6, &[address, next.into()]),
            Request::Offer { to, start, pages, rights } => {
                message(7, &[to, start, pages, rights.bits()])
            }
            Request::Withdraw { ticket } => message(8, &[ticket]),
            Request::Accept { from, ticket, address, rights } => {
                message(9, &[from, ticket, address, rights.bits()])
            }
            Request::Clone { region, address } => {
                message(10, &[region.start, region.serial, address])
            }
            Request::IpcBuffer { slot } => message(11, &[slot]),
            Request::ReleaseIpcBuffer { address } => message(12, &[address]),
            Request::Statistics => message(13, &[]),
            Request::Limits => message(14, &[]),
            Request::Split { child, back, amounts } => {
                let [a, b, c, d] = amounts.words();
                message(15, &[child, back.into(), a, b, c, d])
            }
            Request::Kill { child } => message(16, &[child]),
            Request::Say(line) => message(17, line.words()),
            Request::Exit { code } => message(18, &[code]),
            Request::OfferPaging { to, key, pages, rights } => {
                message(19, &[to, key, pages, rights.bits()])
            }
            Request::AcceptPaging { from, ticket, address, rights } => {
                message(20, &[from, ticket, address, rights.bits()])
            }
            Request::NextFault { after } => message(21, &[after]),
            Request::Supply { ticket, page, give } => message(22, &[ticket, page, give.into()]),
            Request::Refuse { ticket } => message(23, &[ticket]),
            Request::Thread(NewThread { entry, argument, stack_pages, slot }) => {
                message(24, &[entry, argument, stack_pages, slot])
            }
            Request::EndThread { thread, own } => message(25, &[thread, own.into()]),
            Request::CloneMore { region, into, page } => {
                message(26, &[region.start, region.serial, into.start, into.serial, page])
            }
            Request::AcceptMore { from, region } => {
                message(27, &[from, region.start, region.serial])
            }
        }
    }

    /// The request in a message.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(label: u32, words: &[u32]) -> Result<Request, Malformed> {
        Ok(match number(label)? {
            1 => {
                let [pages, address, r, ceiling, a, g, options, name @ ..] = exactly::<11>(words)?;
                Request::Reserve(Reserve {
                    pages,
                    address,
                    rights: rights(r)?,
                    ceiling: rights(ceiling)?,
                    around: around(a)?,
                    guards: guards(g)?,
                    options: Options::from_bits(options).ok_or(Malformed::Bits)?,
                    name: Text::from_words(name),
                })
            }
            2 => {
                let [start, pages] = exactly(words)?;
                Request::Map { start, pages }
            }
            3 => {
                let [start, pages] = exactly(words)?;
                Request::Unmap { start, pages }
            }
            4 => {
                let [start, pages, r] = exactly(words)?;
                Request::Protect { start, pages, rights: rights(r)? }
            }
            5 => {
                let [start, serial] = exactly(words)?;
                Request::Release(RegionHandle { start, serial })
            }
            6 => {
                let [address, next] = exactly(words)?;
                Request::Query { address, next: flag(next)? }
            }
            7 => {
                let [to, start, pages, r] = exactly(words)?;
                Request::Offer { to, start, pages, rights: rights(r)? }
            }
            8 => {
                let [ticket] = exactly(words)?;
                Request::Withdraw { ticket }
            }
            9 => {
                let [from, ticket, address, r] = exactly(words)?;
                Request::Accept { from, ticket, address, rights: rights(r)? }
            }
            10 => {
                let [start, serial, address] = exactly(words)?;
                Request::Clone { region: RegionHandle { start, serial }, address }
            }
            11 => {
                let [slot] = exactly(words)?;
                Request::IpcBuffer { slot }
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
                Request::Split { child, back: flag(back)?, amounts: Amounts::parse(amounts) }
            }
            16 => {
                let [child] = exactly(words)?;
                Request::Kill { child }
            }
            17 => Request::Say(Text::from_words(exactly(words)?)),
            18 => {
                let [code] = exactly(words)?;
                Request::Exit { code }
            }
            19 => {
                let [to, key, pages, r] = exactly(words)?;
                if pages == 0 {
                    return Err(Malformed::Value);
                }
                Request::OfferPaging { to, key, pages, rights: rights(r)? }
            }
            20 => {
                let [from, ticket, address, r] = exactly(words)?;
                Request::AcceptPaging { from, ticket, address, rights: rights(r)? }
            }
            21 => {
                let [after] = exactly(words)?;
                Request::NextFault { after }
            }
            22 => {
                let [ticket, page, give] = exactly(words)?;
                Request::Supply { ticket, page, give: flag(give)? }
            }
            23 => {
                let [ticket] = exactly(words)?;
                Request::Refuse { ticket }
            }
            24 => {
                let [entry, argument, stack_pages, slot] = exactly(words)?;
                if !(1..=MOST_PAGES).contains(&stack_pages) {
                    return Err(Malformed::Value);
                }
                Request::Thread(NewThread { entry, argument, stack_pages, slot })
            }
            25 => {
                let [thread, own] = exactly(words)?;
                Request::EndThread { thread, own: flag(own)? }
            }
            26 => {
                let [start, serial, into, into_serial, page] = exactly(words)?;
                let region = RegionHandle { start, serial };
                let into = RegionHandle { start: into, serial: into_serial };
                Request::CloneMore { region, into, page }
            }
            27 => {
                let [from, start, serial] = exactly(words)?;
                Request::AcceptMore { from, region: RegionHandle { start, serial } }
            }
            _ => return Err(Malformed::Number),
        })
    }
}

/// Set in an [`Info`]'s word for the page when it is mapped.
const PAGE_MAPPED: u32 = 1 << 31;

impl Answer {
    /// The message that says it.
    pub fn encode(&self) -> Message {
        match *self {
            Answer::Done => message(0x100, &[]),
            Answer::Pages(pages) => message(0x101, &[pages]),
            Answer::Region { handle, first, pages } => {
                message(0x102, &[handle.start, handle.serial, first, pages])
            }
            Answer::Ticket(ticket) => message(0x103, &[ticket]),
            Answer::Address(address) => message(0x104, &[address]),
            Answer::Info(Info { region, pages, guards, rights, ceiling, around, page, name }) => {
                let guards = guards.0 | guards.1 << 16;
                let page = page.map_or(0, |rights| PAGE_MAPPED | rights.bits());
                let (rights, ceiling) = (rights.bits(), ceiling.bits());
                let [a, b, c, d] = *name.words();
                let RegionHandle { start, serial } = region;
                message(
                    0x105,
                    &[start, serial, pages, guards, rights, ceiling, around, page, a, b, c, d],
                )
            }
            Answer::Statistics(Statistics { mapped_pages, regions, tables, largest_hole }) => {
                message(0x106, &[mapped_pages, regions, tables, largest_hole])
            }
            Answer::Part { handle, first, pages, done } => {
                message(0x108, &[handle.start, handle.serial, first, pages, done])
            }
            Answer::Fault(PagedFault { ticket, client, key, page, write }) => {
                message(0x109, &[ticket, client, key, page, write.into()])
            }
            Answer::Limits(Limits { own, parent, limits, used }) => {
                let ([a, b, c, d], [e, f, g, h]) = (limits.words(), used.words());
                message(0x107, &[own, parent, a, b, c, d, e, f, g, h])
            }
        }
    }

    /// The answer, or refusal, in a message.
    ///
    /// # Errors
    /// What is wrong with the message.
    pub fn parse(label: u32, words: &[u32]) -> Result<Result<Answer, Refusal>, Malformed> {
        Ok(Ok(match number(label)? {
            0x100 => {
                let [] = exactly(words)?;
                Answer::Done
            }
            0x101 => {
                let [pages] = exactly(words)?;
                Answer::Pages(pages)
            }
            0x102 => {
                let [start, serial, first, pages] = exactly(words)?;
                Answer::Region { handle: RegionHandle { start, serial }, first, pages }
            }
            0x103 => {
                let [ticket] = exactly(words)?;
                Answer::Ticket(ticket)
            }
            0x104 => {
                let [address] = exactly(words)?;
                Answer::Address(address)
            }
            0x105 => Answer::Info(Info::parse(exactly(words)?)?),
            0x106 => {
                let [mapped_pages, regions, tables, largest_hole] = exactly(words)?;
                Answer::Statistics(Statistics { mapped_pages, regions, tables, largest_hole })
            }
            0x107 => {
                let [own, parent, a, b, c, d, e, f, g, h] = exactly(words)?;
                let (limits, used) = (Amounts::parse([a, b, c, d]), Amounts::parse([e, f, g, h]));
                Answer::Limits(Limits { own, parent, limits, used })
            }
            0x108 => {
                let [start, serial, first, pages, done] = exactly(words)?;
                Answer::Part { handle: RegionHandle { start, serial }, first, pages, done }
            }
            0x109 => {
                let [ticket, client, key, page, write] = exactly(words)?;
                Answer::Fault(PagedFault { ticket, client, key, page, write: flag(write)? })
            }
            REFUSED => return Ok(Err(Refusal::parse(exactly(words)?)?)),
            _ => return Err(Malformed::Number),
        }))
    }
}

impl Info {
    fn parse(words: [u32; 12]) -> Result<Info, Malformed> {
        let [start, serial, pages, g, r, ceiling, a, page, name @ ..] = words;
        let page = match page {
            0 => None,
            mapped if mapped & PAGE_MAPPED != 0 => Some(rights(mapped & !PAGE_MAPPED)?),
            _ => return Err(Malformed::Value),
        };
        Ok(Info {
            region: RegionHandle { start, serial },
            pages,
            guards: guards(g)?,
            rights: rights(r)?,
            ceiling: rights(ceiling)?,
            around: around(a)?,
            page,
            name: Text::from_words(name),
        })
    }
}

impl Message {
    /// Whether it says that a request was refused.
    pub fn is_refusal(&self) -> bool {
        number(self.label()) == Ok(REFUSED)
    }
}

impl Refusal {
    /// The message that says it.
    pub fn encode(&self) -> Message {
        message(REFUSED, &self.words())
    }
}
