// SPDX-License-Identifier: BSD-2-Clause
//! Frames are zeroed and copied at a second mapping, by the kernel's own page tables.

use roottask::{check, check_eq, Outcome};
use sel4::Word;
use vmm::{Invocation, Job, Pages, Placement, RegionOptions};

use crate::context::Context;
use crate::probe::{set_word, word, words};

crate::table::tests!("direct_map":
    frames_are_zeroed_and_copied_without_a_call,
);

const PAGES: usize = 40;
const PAGE: usize = vmm::PAGE_BYTES;

/// A96, A98.
fn frames_are_zeroed_and_copied_without_a_call(context: &mut Context) -> Outcome {
    context.vmm.trim()?;
    context.vmm.make_direct_map()?;
    let outcome = used_again(context);
    context.vmm.remove_direct_map()?;
    context.vmm.validate()?;
    check_eq!(context.vmm.stats().direct_map_tables, 0);
    outcome
}

fn used_again(context: &mut Context) -> Outcome {
    let space = context.space;
    for round in 0..3 {
        let region = context.vmm.map(space, &RegionOptions::new(PAGES))?;
        let start = region.start().bits();
        for page in 0..PAGES {
            check!(words(start + page * PAGE, 1).iter().all(|&word| word == 0));
            set_word(start + page * PAGE, page as Word + 1);
            set_word(start + (page + 1) * PAGE - size_of::<usize>(), 0x5a);
        }
        // Its writes go to frames of its own.
        let clone = context.vmm.clone_region(region, space, Placement::anywhere())?;
        let before = context.vmm.kernel_calls();
        context.vmm.write(space, start, &[0xff; 4 * PAGE])?;
        let spent = context.vmm.kernel_calls().since(&before);
        check_eq!(word(clone.start().bits() + 3 * PAGE), 4);
        check_eq!(word(start + 3 * PAGE), Word::MAX);
        check_eq!(word(start + 4 * PAGE), 5);
        check_eq!(spent.of(Invocation::CNodeDelete), 0);
        context.vmm.release(clone)?;
        context.vmm.unmap(space, Pages::at(start).count(PAGES))?;
        context.vmm.release(region)?;
        let before = context.vmm.kernel_calls();
        while let Some(job @ Job::ZeroFrames { .. }) = context.vmm.next_job() {
            context.vmm.run_job(job)?;
        }
        let spent = context.vmm.kernel_calls().since(&before);
        check_eq!(spent.of(Invocation::PageUnmap), 0);
        check!(round == 0 || spent.total() == 0);
        context.vmm.validate()?;
        // Four pages were copied, whatever else there was to be done before zeroing.
        check!(context.vmm.stats().direct_map_frames >= 4);
    }
    Ok(())
}
