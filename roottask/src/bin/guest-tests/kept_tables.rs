// SPDX-License-Identifier: BSD-2-Clause
//! Memory that grows over the line between two page tables where an empty table is kept.

use roottask::{check, check_eq, Outcome};
use sel4::Word;
use vmm::{Backing, PageFault, Pages, RegionId, RegionOptions, Resolution};

use crate::context::{answer_fault, Context};
use crate::probe::{set_word, store, word, words, STORED};

crate::table::tests!("kept_tables":
    a_heap_grows_over_a_kept_table_by_requests,
    a_heap_grows_over_a_kept_table_by_faults,
    a_heap_comes_back_downwards_and_in_no_order,
);

/// Where a page table begins, far from all other memory.
const LINE: usize = 0x9040_0000;
/// Pages of a heap before the line, and behind it.
const BELOW: usize = 4;
const BEHIND: usize = 3;
const PAGES: usize = BELOW + BEHIND;
const PAGE: usize = vmm::PAGE_BYTES;

fn address_of(page: usize) -> usize {
    LINE - BELOW * PAGE + page * PAGE
}

/// A heap of which nothing is mapped, which comes page by page.
fn heap(context: &mut Context) -> Outcome<RegionId> {
    let options =
        RegionOptions::new(PAGES).at(address_of(0)).backed(Backing::OnDemand { around: 1 });
    Ok(context.vmm.reserve(context.space, &options)?)
}

/// Unmaps what is behind the line, and then the rest: two empty tables are kept.
fn shrink(context: &mut Context) -> Outcome {
    context.vmm.unmap(context.space, Pages::at(LINE).count(BEHIND))?;
    context.vmm.validate()?;
    context.vmm.unmap(context.space, Pages::at(address_of(0)).count(BELOW))?;
    context.vmm.validate()?;
    check!(context.vmm.space_stats(context.space)?.empty_tables >= 2);
    Ok(())
}

/// Holds the pages to the words that were written to them, before and after all that is kept was
/// given back.
fn check_through_trim(context: &mut Context, written: impl Fn(usize) -> Word) -> Outcome {
    for trimmed in [false, true] {
        if trimmed {
            context.vmm.trim()?;
        }
        context.vmm.validate()?;
        let empty = context.vmm.space_stats(context.space)?.empty_tables;
        check!(!trimmed || empty == 0);
        for page in 0..PAGES {
            check!(context.vmm.mapping_at(context.space, address_of(page))?.is_some());
            check_eq!(word(address_of(page)), written(page));
        }
    }
    Ok(())
}

/// Grows a heap by one request for each page, in the order given; fresh pages are clear.
fn grow(context: &mut Context, order: [usize; PAGES], round: usize) -> Outcome {
    for page in order {
        context.vmm.populate(context.space, Pages::at(address_of(page)))?;
        check!(words(address_of(page), 1).iter().all(|&word| word == 0));
        set_word(address_of(page), (100 * round + page) as Word);
    }
    Ok(())
}

const UPWARDS: [usize; PAGES] = [0, 1, 2, 3, 4, 5, 6];

fn a_heap_grows_over_a_kept_table_by_requests(context: &mut Context) -> Outcome {
    context.vmm.trim()?;
    let heap = heap(context)?;
    for round in 1..4 {
        grow(context, UPWARDS, round)?;
        check_through_trim(context, |page| (100 * round + page) as Word)?;
        shrink(context)?;
    }
    Ok(context.vmm.release(heap)?)
}

/// Stores in every page from `address` on.
fn store_all(address: usize) -> Word {
    (0..PAGES).fold(0, |_, page| store(address + page * PAGE))
}

fn a_heap_grows_over_a_kept_table_by_faults(context: &mut Context) -> Outcome {
    context.vmm.trim()?;
    let heap = heap(context)?;
    grow(context, UPWARDS, 0)?;
    for _ in 0..3 {
        shrink(context)?;
        let child = context.spawn(store_all, address_of(0))?;
        for page in 0..PAGES {
            let told = child.vm_fault()?;
            let (ip, address) = (told.ip() as usize, told.addr() as usize);
            check_eq!(address, address_of(page));
            let fault = PageFault::from_x86_words(ip, address, 0, told.fsr() as usize);
            let resolved = context.vmm.resolve_fault(context.space, &fault)?;
            check!(matches!(resolved, Resolution::Resolved(_)));
            answer_fault();
        }
        check_eq!(child.result()?, STORED);
        check_through_trim(context, |_| STORED)?;
    }
    shrink(context)?;
    Ok(context.vmm.release(heap)?)
}

fn a_heap_comes_back_downwards_and_in_no_order(context: &mut Context) -> Outcome {
    context.vmm.trim()?;
    let heap = heap(context)?;
    grow(context, UPWARDS, 0)?;
    for (round, order) in [[6, 5, 4, 3, 2, 1, 0], [4, 2, 3, 5, 0, 6, 1], UPWARDS].iter().enumerate()
    {
        shrink(context)?;
        grow(context, *order, round)?;
        check_through_trim(context, |page| (100 * round + page) as Word)?;
    }
    Ok(context.vmm.release(heap)?)
}
