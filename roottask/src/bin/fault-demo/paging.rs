// SPDX-License-Identifier: BSD-2-Clause
//! A pager outside, one that refuses and one that never answers.
//!
//! ```text
//!   client ──fault──► handler ──signal──► pager (a thread of its own)
//!                        ◄── what is there to do? ──┤
//!                        ── ticket, page ──►        │ fills a page of its store
//!      goes on ◄──       ◄── ticket, that page ─────┘
//! ```

use roottask::{check, check_eq, Manager, Outcome};
use sel4::{cap, MessageInfoBuilder, Word};
use sel4_root_task::debug_println;
use vmm::sel4::faults::{FaultHandler, HandlerThread, Incident, PagerCall, Verdict};
use vmm::{Backing, Blueprint, CPtr, Error, Object, RegionId, RegionOptions};

use crate::manager::MANAGER;
use crate::touching::mapped;
use crate::workers::{done, run, End, Worker};

const PAGE: usize = vmm::PAGE_BYTES;
/// Pages of the region behind the pager, and of its store.
const PAGES: usize = 6;
/// The page that the pager refuses.
const REFUSED_PAGE: usize = 5;
/// What the two pagers know their regions by.
const TOKEN: u32 = 0xd15c;
const DEAF_TOKEN: u32 = 0xdeaf;

/// What the pager's thread needs to know; in its store's first words, before they are given away.
#[derive(Clone, Copy)]
#[repr(C)]
struct Brief {
    news: Word,
    calls: Word,
    store: usize,
}

/// The pagers and what they have.
pub struct Pagers {
    /// Signalled when there is something to do.
    news: Object,
    /// An endpoint at which nobody waits.
    deaf: Object,
    store: RegionId,
    brief: RegionId,
}

/// Makes what the pagers need.
pub fn prepare(vmm: &mut Manager) -> Outcome<Pagers> {
    let own = vmm.own_space();
    Ok(Pagers {
        news: vmm.allocate(Blueprint::Notification)?,
        deaf: vmm.allocate(Blueprint::Endpoint)?,
        store: vmm.map(own, &RegionOptions::new(PAGES).named("pager's store"))?,
        brief: vmm.map(own, &RegionOptions::new(1).named("pager's brief"))?,
    })
}

impl Pagers {
    /// Tells the handler of them.
    pub fn register<P>(&self, vmm: &mut Manager, handler: &mut FaultHandler<P>) -> Result<(), Error>
    where
        P: FnMut(&mut Manager, &Incident<'_>) -> Verdict,
    {
        let own = vmm.own_space();
        let calls: CPtr = handler.add_pager(vmm, TOKEN, self.news.slot(), own)?;
        handler.add_pager(vmm, DEAF_TOKEN, self.deaf.slot(), own)?;
        let brief = Brief {
            news: self.news.slot().bits() as Word,
            calls: calls.bits() as Word,
            store: self.store.start().bits(),
        };
        // SAFETY: the region is ours, mapped, and read by the pager's thread only, later.
        unsafe { (self.brief.start().bits() as *mut Brief).write(brief) };
        Ok(())
    }

    /// Shows them at work.
    pub fn show(&self, handler: &HandlerThread) -> Outcome {
        debug_println!("a pager outside:");
        let (pager, paged, deaf) = {
            let vmm = &mut *MANAGER.lock();
            let own = vmm.own_space();
            let options = RegionOptions::new(PAGES).guarded(1, 1);
            let behind = |token| options.backed(Backing::Pager { token });
            let paged = vmm.reserve(own, &behind(TOKEN).named("paged"))?;
            let deaf = vmm.reserve(own, &behind(DEAF_TOKEN).named("paged, deaf"))?;
            (Worker::new(vmm, handler, "pager")?, paged, deaf)
        };
        pager.start(serve, [self.brief.start().bits(), 0])?;
        let first = |region: RegionId| region.start().bits() + PAGE;

        // One that never answers first: whoever waits for it is not in anybody's way.
        let stuck = Worker::new(&mut MANAGER.lock(), handler, "stuck")?;
        stuck.start(reader, [first(deaf), 1])?;

        // Pages 0 to 4, each with its number ten times over.
        let sum = (0..REFUSED_PAGE).map(|page| 10 * page).sum();
        check_eq!(run(handler, "client", reader, [first(paged), REFUSED_PAGE])?, End::Done(sum));
        check_eq!(mapped(first(paged), PAGES)?, REFUSED_PAGE);
        debug_println!("  {REFUSED_PAGE} pages were read, each filled by the pager when it was");
        let waiting = MANAGER.lock().next_request(DEAF_TOKEN, 0);
        check!(waiting.is_some_and(|request| request.page == 0));
        debug_println!("  meanwhile another pager never answered: its client waits, nobody else");

        let end = run(handler, "client", reader, [first(paged), PAGES])?;
        check_eq!(end, End::Stopped);
        check_eq!(mapped(first(paged), PAGES)?, REFUSED_PAGE);

        stuck.release()?;
        check!(MANAGER.lock().next_request(DEAF_TOKEN, 0).is_none());
        pager.release()?;
        let vmm = &mut *MANAGER.lock();
        vmm.validate()?;
        vmm.release(paged)?;
        Ok(vmm.release(deaf)?)
    }

    /// Gives everything back.
    pub fn release(self, vmm: &mut Manager) -> Outcome {
        vmm.release(self.store)?;
        vmm.release(self.brief)?;
        vmm.free(self.deaf)?;
        Ok(vmm.free(self.news)?)
    }
}

sel4::thread_entry! {
    /// Adds up the first words of some pages.
    fn reader(start: usize, pages: usize) -> ! {
        let word = |page: usize| (start + page * PAGE) as *const usize;
        // SAFETY: the pages are this thread's to read; what is not mapped yet the pager supplies.
        done((0..pages).map(|page| unsafe { word(page).read_volatile() }).sum())
    }
}

sel4::thread_entry! {
    /// The pager: fills the page asked for, and gives odd ones away; even ones it shares. One it
    /// refuses.
    ///
    /// It is told by a notification, which loses nothing, and asks for what there is to do.
    fn serve(brief: usize, _: usize) -> ! {
        // SAFETY: `Pagers::register` wrote it there.
        let Brief { news, calls, store } = unsafe { (brief as *const Brief).read() };
        let news = cap::Notification::from_bits(news);
        let call = |call: PagerCall, words: &[Word]| {
            let info = MessageInfoBuilder::default().label(call as Word).length(words.len()).build();
            cap::Endpoint::from_bits(calls).call_with_mrs(info, words).msg
        };
        let mut last = [0; 2];
        loop {
            news.wait();
            loop {
                let [_, low, high, page] = call(PagerCall::Next, &last);
                if [low, high] == [0; 2] {
                    break;
                }
                last = [low, high];
                // The lowest bit says whether it is a write.
                let page = page >> 1;
                if page as usize == REFUSED_PAGE {
                    call(PagerCall::Refuse, &last);
                    continue;
                }
                let address = store + page as usize * PAGE;
                // SAFETY: a page of the pager's own store, which it has not given away yet.
                unsafe { (address as *mut usize).write_volatile(10 * page as usize) };
                call(PagerCall::Supply, &[low, high, address as Word, page % 2]);
            }
        }
    }
}
