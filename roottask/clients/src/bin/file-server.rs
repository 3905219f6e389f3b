// SPDX-License-Identifier: BSD-2-Clause
//! A file server that is a pager, in one thread: it keeps eight pages of a file that is larger than
//! all that it may have. What is not written it can make again; what is written it keeps.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use sel4::{cap, MessageInfo, MessageInfoBuilder, Word};
use vmm_client::handles::{
    mint_bit, Handle, Mapping, Memory, PagedMemory, Program, Result, Wanted,
};
use vmm_client::objects::{Rights, Supply, PAGE_BYTES};
use vmm_client::program;
use vmm_clients::files::{word, BAD_PAGE, CACHE_PAGES, FILE_PAGES, OPEN, STOP, WORDS};

program!(main);
vmm_client::heap!(HEAP);

/// The bit of the word that it receives where a page is waited for. Clients' badges are below it.
const FAULTS: Word = 1 << 20;

/// The file: its pages, those that are there, the oldest first, and those that were written.
struct File {
    paged: PagedMemory,
    /// A page, and where it is mapped.
    page: Memory,
    shown: Mapping,
    cached: Vec<u32>,
    written: BTreeMap<u32, Vec<u32>>,
    /// How many pages were supplied, and the most that were there.
    supplied: u32,
    most: usize,
}

impl File {
    fn words(&self) -> *mut u32 {
        self.shown.address() as *mut u32
    }

    /// Takes the page back that is there for longest, and keeps it if it was written.
    fn make_room(&mut self) -> Result {
        let page = self.cached.remove(0);
        if self.paged.take_back((page, 1), (&self.page, 0))? != 0 {
            // SAFETY: nobody else has the page, which appears when it is touched.
            let words = (0..WORDS).map(|at| unsafe { self.words().add(at).read_volatile() });
            self.written.insert(page, words.collect());
        }
        Ok(())
    }

    /// Supplies a page; returns which is waited for next.
    fn supply(&mut self, Wanted { page, .. }: Wanted) -> Result<Option<Wanted>> {
        if page == BAD_PAGE {
            return self.paged.refuse(page);
        }
        if self.cached.len() == CACHE_PAGES as usize {
            self.make_room()?;
        }
        let kept = self.written.get(&page);
        for at in 0..WORDS {
            let value = kept.map_or_else(|| word(page, at), |kept| kept[at]);
            // SAFETY: as above.
            unsafe { self.words().add(at).write_volatile(value) };
        }
        self.cached.push(page);
        self.supplied += 1;
        self.most = self.most.max(self.cached.len());
        self.paged.supply((page, 1), (&self.page, 0), Supply::Give, true)
    }
}

fn main(program: &Program, argument: usize) -> Result {
    let given = program.given(argument).and_then(|given| given.slot("endpoint"));
    let endpoint = given.expect("init gives it an endpoint");
    let account = program.account();
    let (_notification, told) = account.create_notification()?;
    let paged = account.create_paged(FILE_PAGES, CACHE_PAGES)?;
    paged.tell_faults(mint_bit(told, FAULTS as usize)?)?;
    program.bind(told)?;
    let page = account.create_memory(1)?;
    let shown = program.space().map(&page, Rights::READ_WRITE, &account)?;
    let file = paged.to_map(Rights::READ_WRITE, &account)?;
    let (cached, written) = (Vec::new(), BTreeMap::new());
    let mut own = File { paged, page, shown, cached, written, supplied: 0, most: 0 };
    let endpoint = cap::Endpoint::from_bits(endpoint as Word);
    let mut answer: Option<MessageInfo> = None;
    loop {
        let (info, badge) = match answer.take() {
            Some(answer) => endpoint.reply_recv(answer, ()),
            None => endpoint.recv(()),
        };
        if badge & FAULTS != 0 {
            let mut next = own.paged.next_fault()?;
            while let Some(wanted) = next {
                next = own.supply(wanted)?;
            }
            continue;
        }
        let message = MessageInfoBuilder::default();
        match info.label() {
            OPEN => {
                sel4::with_ipc_buffer_mut(|buffer| {
                    buffer.caps_or_badges_mut()[0] = file.slot() as Word;
                });
                answer = Some(message.extra_caps(1).build());
            }
            STOP => {
                let figures = [own.supplied, own.most as u32, own.written.len() as u32];
                sel4::with_ipc_buffer_mut(|buffer| {
                    let words = buffer.msg_regs_mut().iter_mut();
                    words.zip(figures).for_each(|(word, figure)| *word = figure as Word);
                });
                let _ = endpoint.reply_recv(message.length(figures.len()).build(), ());
            }
            _ => answer = Some(message.label(1).build()),
        }
    }
}

const _: () = assert!(WORDS * 4 == PAGE_BYTES);
