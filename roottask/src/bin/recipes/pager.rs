// SPDX-License-Identifier: BSD-2-Clause
//! A pager: a thread that supplies the pages of a region when they are touched.

use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use roottask::{check_eq, Manager, Outcome, Thread, ThreadOptions};
use sel4::{cap, MessageInfoBuilder, Word};
use sel4_root_task::debug_println;
use vmm::sel4::faults::{FaultHandler, PagerCall, SharedManager};
use vmm::{Backing, Blueprint, RegionOptions, PAGE_BYTES};

use crate::own_policy::Policy;

const PAGES: usize = 4;
const TOKEN: u32 = 7; // what the pager knows the region by
static NEWS: AtomicUsize = AtomicUsize::new(0); // the notification that tells it of faults
static CALLS: AtomicUsize = AtomicUsize::new(0); // where it calls the handler

/// When the handler begins.
pub fn register(vmm: &mut Manager, handler: &mut FaultHandler<Policy>) -> vmm::Result {
    let (own, news) = (vmm.own_space(), vmm.allocate(Blueprint::Notification)?.slot());
    NEWS.store(news.bits(), SeqCst);
    CALLS.store(handler.add_pager(vmm, TOKEN, news, own)?.bits(), SeqCst);
    Ok(())
}

sel4::thread_entry! {
    fn serve(store: usize, _: usize) -> ! {
        let mut last = [0; 2];
        loop {
            let [_, low, high, page] = call(PagerCall::Next, &last);
            if [low, high] == [0; 2] {
                cap::Notification::from_bits(NEWS.load(SeqCst) as Word).wait();
                continue;
            }
            last = [low, high];
            let page = store + (page as usize >> 1) * PAGE_BYTES; // the lowest bit tells a write
            // SAFETY: a page of the store that is not given away yet.
            unsafe { (page as *mut usize).write_volatile(page) };
            call(PagerCall::Supply, &[low, high, page as Word, 1]);
        }
    }
}

fn call(call: PagerCall, words: &[Word]) -> [Word; 4] {
    let info = MessageInfoBuilder::default().label(call as Word).length(words.len()).build();
    cap::Endpoint::from_bits(CALLS.load(SeqCst) as Word).call_with_mrs(info, words).msg
}

pub fn recipe(manager: &SharedManager) -> Outcome {
    let mut vmm = manager.lock();
    let (own, options) = (vmm.own_space(), RegionOptions::new(PAGES));
    let store = vmm.map(own, &options.named("store"))?;
    let paged = vmm.reserve(own, &options.backed(Backing::Pager { token: TOKEN }))?;
    let pager = Thread::new(&mut vmm, &ThreadOptions::new("pager"))?;
    drop(vmm); // or the fault would wait for the lock
    pager.start(serve, [store.start().bits(), 0])?;
    for page in 0..PAGES {
        // SAFETY: the region is ours; the pager supplies the page before this goes on.
        let found = unsafe { ((paged.start().bits() + page * PAGE_BYTES) as *const usize).read() };
        check_eq!(found, store.start().bits() + page * PAGE_BYTES);
    }
    debug_println!("pager: {PAGES} pages came from it");
    let mut vmm = manager.lock();
    pager.release(&mut vmm)?;
    vmm.release(store)?;
    Ok(vmm.release(paged)?)
}
