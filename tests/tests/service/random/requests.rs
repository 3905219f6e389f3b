// SPDX-License-Identifier: BSD-2-Clause
//! What a sender asks for: meant, meant and then mutated, or of random words.

use vmm_service::protocol::{
    Amounts, MAX_PAGES, MAX_WORDS, Name, NewThread, Options, RegionHandle, Request, Reserve,
    Rights, Text,
};

use super::dice::{Random, across_a_line};
use super::storm::Storm;
use crate::world::PAGE;

impl Storm {
    /// A request that could be meant.
    pub fn request(&mut self, sender: usize) -> Request {
        if let Some(rest) = self.senders[sender].rest.pop() {
            return rest;
        }
        let whose = if self.random.one_in(8) {
            self.random.below(self.senders.len() as u32) as usize
        } else {
            sender
        };
        let random = &mut self.random;
        let known = random.pick(&self.senders[whose].regions);
        // Rather one that was made just now.
        let other = self.senders[whose].regions.last().copied();
        let other = if random.one_in(4) { known } else { other };
        let guess = (RegionHandle { start: PAGE, serial: 1 }, PAGE, 1);
        let (region, first, pages) = known.unwrap_or(guess);
        let own = self.senders[sender].client;
        let children = self.senders.iter().filter(|other| other.parent == Some(own));
        let child = children.map(|child| child.client.number()).next();
        let buffer = random.pick(&self.senders[whose].buffers).unwrap_or(first);
        let client = |random: &mut Random| match random.below(6) {
            0 => self.victim.number(),
            1 => random.below(20),
            _ => self.senders[random.below(self.senders.len() as u32) as usize].client.number(),
        };
        let skipped = random.below(pages.max(1));
        let beyond = u32::from(random.one_in(20));
        let start = first + skipped as usize * PAGE;
        let some = 1 + random.below((pages - skipped + beyond).max(1));
        let rights = random.rights();
        let size = if random.one_in(20) { 200 } else { 20 };
        let told =
            self.faults.iter().copied().filter(|&(pager, _)| pager == own || random.one_in(9));
        let told = told.last().map_or(0, |(_, ticket)| ticket);
        let fault = told.wrapping_add(u64::from(random.below(8) / 7));
        match random.below(61) {
            57..=58 => Request::CloneMore {
                region,
                into: other.map_or(region, |(other, ..)| other),
                page: if random.one_in(3) { random.below(200) } else { MAX_PAGES },
            },
            59..=60 => Request::AcceptMore {
                from: client(random),
                region: other.map_or(region, |(other, ..)| other),
            },
            54..=55 => Request::Thread(NewThread {
                entry: random.word(),
                argument: random.word(),
                stack_pages: if random.one_in(6) { MAX_PAGES } else { 1 + random.below(3) },
                slot: random.below(18),
            }),
            56 => Request::EndThread { thread: buffer, own: random.one_in(4) },
            40..=41 => Request::OfferPaging {
                to: client(random),
                key: random.next(),
                pages: 1 + random.below(12),
                rights,
            },
            42..=44 => Request::AcceptPaging {
                from: client(random),
                ticket: if random.one_in(3) { random.below(9) } else { 0 },
                address: 0,
                rights,
            },
            45..=47 => Request::NextFault { after: if random.one_in(4) { fault } else { 0 } },
            48..=52 => Request::Supply { ticket: fault, page: start, give: random.one_in(2) },
            53 => Request::Refuse { ticket: fault },
            0..=5 => Request::Reserve(Reserve {
                pages: 1 + random.below(size),
                address: match random.below(4) {
                    0 => random.below(0xe_0000) as usize * PAGE,
                    1 => across_a_line(random),
                    _ => 0,
                },
                rights,
                ceiling: if random.one_in(4) { random.rights() } else { Rights::READ_WRITE },
                around: [0, 0, 1, 4, 16][random.below(5) as usize],
                guards: (random.below(3), random.below(3)),
                options: Options::from_bits_truncate(random.below(2)),
                name: Name::from_words([random.next(); 4]),
            }),
            6..=12 => Request::Map { start: first, pages },
            13..=15 => Request::Map { start, pages: some },
            16..=17 => Request::Unmap { start, pages: some },
            18..=19 => Request::Protect { start, pages: some, rights },
            20..=21 => Request::Release(region),
            22 if pages > MAX_PAGES => Request::Release(region),
            22 => Request::Unmap { start: first, pages },
            23 => Request::Query { address: start, next: random.one_in(2) },
            24 => Request::Offer { to: client(random), start: first, pages, rights },
            25..=26 => Request::Offer { to: client(random), start, pages: 1, rights },
            27 if random.one_in(4) => Request::Withdraw { ticket: random.below(20) },
            27..=30 => Request::Accept {
                from: client(random),
                ticket: if random.one_in(3) { random.below(9) } else { 0 },
                address: 0,
                rights,
            },
            31..=32 => Request::Clone { region, address: 0 },
            33 => Request::IpcBuffer { slot: random.below(18) },
            34 => Request::ReleaseIpcBuffer { address: buffer },
            35 => Request::Statistics,
            36 => Request::Limits,
            37 => Request::Split {
                child: child.unwrap_or(client(random)),
                back: random.one_in(2),
                amounts: Amounts {
                    frames: random.below(9),
                    tables: random.below(2),
                    slots: random.below(9),
                    objects: random.below(2),
                },
            },
            38 => Request::Say(Text::from_words([random.next(); 24])),
            _ if random.one_in(5) => Request::Exit { code: random.next() },
            _ => Request::Kill { child: child.unwrap_or(client(random)) },
        }
    }

    /// A message: meant, meant and then mutated, or of random words.
    pub fn message(&mut self, sender: usize) -> (u32, Vec<usize>, usize) {
        if self.random.one_in(10) {
            let length = self.random.below(MAX_WORDS as u32 + 8);
            let words = (0..length).map(|_| self.random.word()).collect();
            return (self.random.next() & 0xf_ffff, words, self.random.below(4) as usize);
        }
        let message = self.request(sender).encode();
        let (mut label, mut words) = (message.label(), message.words().to_vec());
        while self.random.one_in(3) {
            match self.random.below(5) {
                0 => label ^= 1 << self.random.below(20),
                1 => words.push(self.random.word()),
                2 => drop(words.pop()),
                3 if !words.is_empty() => {
                    let place = self.random.below(words.len() as u32) as usize;
                    words[place] ^= 1 << self.random.below(32);
                }
                _ if !words.is_empty() => {
                    let place = self.random.below(words.len() as u32) as usize;
                    words[place] = self.random.word();
                }
                _ => {}
            }
        }
        (label, words, 0)
    }
}
