// SPDX-License-Identifier: BSD-2-Clause
//! Lazily mapped memory, a stack that grows, a guard that is hit, a jump to nowhere.

use core::arch::asm;

use roottask::{check, check_eq, Outcome};
use sel4_root_task::debug_println;
use vmm::sel4::faults::HandlerThread;
use vmm::{Backing, RegionOptions};

use crate::manager::MANAGER;
use crate::workers::{done, run, End, Worker};

const PAGE: usize = vmm::PAGE_BYTES;

/// Pages of a range of ours that are mapped.
pub fn mapped(start: usize, pages: usize) -> Outcome<usize> {
    let vmm = MANAGER.lock();
    let own = vmm.own_space();
    let mut count = 0;
    for page in 0..pages {
        count += usize::from(vmm.mapping_at(own, start + page * PAGE)?.is_some());
    }
    Ok(count)
}

sel4::thread_entry! {
    /// Writes its page's number into every `step`th page, and adds up what it finds there.
    fn toucher(start: usize, pages_and_step: usize) -> ! {
        let (pages, step) = (pages_and_step & 0xffff, pages_and_step >> 16);
        let mut sum = 0;
        for page in (0..pages).step_by(step) {
            let word = (start + page * PAGE) as *mut usize;
            // SAFETY: the region is this thread's to use; what is not mapped yet is mapped by a
            // fault.
            unsafe {
                sum += word.read_volatile();
                word.write_volatile(page);
                sum += word.read_volatile();
            }
        }
        done(sum)
    }
}

/// A region of which only what is touched gets memory: page by page, or 16 at a time.
pub fn lazy_memory(handler: &HandlerThread) -> Outcome {
    const PAGES: usize = 64;
    debug_println!("lazily mapped memory:");
    for (around, step, expected) in [(1, 16, 4), (16, 16, 64), (16, 32, 32)] {
        let (region, before) = {
            let vmm = &mut *MANAGER.lock();
            let options = RegionOptions::new(PAGES).named("lazy").aligned(16).guarded(1, 1);
            let own = vmm.own_space();
            let region = vmm.reserve(own, &options.backed(Backing::OnDemand { around }))?;
            (region, vmm.usage(own)?.frames)
        };
        let start = region.start().bits() + PAGE;
        check_eq!(mapped(start, PAGES)?, 0);
        let sum = (0..PAGES).step_by(step).sum();
        let end = run(handler, "toucher", toucher, [start, PAGES | step << 16])?;
        check_eq!(end, End::Done(sum));
        check_eq!(mapped(start, PAGES)?, expected);
        debug_println!(
            "  {} of {PAGES} pages touched, up to {around} mapped a fault: {expected} mapped",
            PAGES / step,
        );
        let vmm = &mut *MANAGER.lock();
        let own = vmm.own_space();
        check_eq!(vmm.usage(own)?.frames, before + expected);
        vmm.release(region)?;
        vmm.validate()?;
    }
    Ok(())
}

/// Uses about a quarter of a page of stack for each level.
fn dig(levels: usize) -> usize {
    let mut sand = [0u32; 256];
    // So that the array is really there.
    let sand = core::hint::black_box(&mut sand);
    sand[levels % 256] = 1;
    match levels {
        0 => 0,
        // By way of a pointer, or levels would be put together.
        _ => {
            let deeper = core::hint::black_box(dig as fn(usize) -> usize);
            deeper(levels - 1) + core::hint::black_box(sand)[levels % 256] as usize
        }
    }
}

sel4::thread_entry! {
    fn digger(levels: usize, _: usize) -> ! {
        done(dig(levels))
    }
}

fn digger_on(handler: &HandlerThread, pages: usize, name: &str) -> Outcome<(Worker, usize)> {
    let worker = Worker::growing(&mut MANAGER.lock(), handler, pages, name)?;
    let bottom = worker.stack().bottom();
    Ok((worker, bottom))
}

/// A stack of which nothing is mapped before it is used.
pub fn growing_stack(handler: &HandlerThread) -> Outcome {
    const PAGES: usize = 32;
    debug_println!("a stack that grows:");
    for levels in [1, 40, 80] {
        // A new thread each time: one that is set going out of a system call loses its arguments,
        // as the kernel leaves by SYSEXIT then, which needs their registers.
        let (worker, bottom) = digger_on(handler, PAGES, "digger")?;
        check_eq!(mapped(bottom, PAGES)?, 0);
        worker.start(digger, [levels, 0])?;
        check_eq!(worker.wait(), End::Done(levels));
        let grown = mapped(bottom, PAGES)?;
        check!(grown > levels / 4 && grown <= levels / 3 + 2);
        debug_println!("  {levels} levels deep: {grown} of {PAGES} pages mapped");
        worker.release()?;
    }
    Ok(())
}

/// A stack that is too small: the guard below it is hit, and the thread stops with a report.
pub fn guard(handler: &HandlerThread) -> Outcome {
    debug_println!("a guard that is hit:");
    let (worker, bottom) = digger_on(handler, 4, "worker-3")?;
    worker.start(digger, [1000, 0])?;
    check_eq!(worker.wait(), End::Stopped);
    check_eq!(mapped(bottom, 4)?, 4);
    check_eq!(mapped(bottom - PAGE, 1)?, 0);
    debug_println!(
        "  worker-3 (badge {}) was stopped; its guard is still unmapped",
        worker.badge()
    );
    worker.release()
}

sel4::thread_entry! {
    /// Goes on at an address.
    fn jumper(to: usize, _: usize) -> ! {
        // SAFETY: nothing that is mapped is written; the thread ends there.
        unsafe { asm!("call {0}", in(reg) to) };
        done(0)
    }
}

sel4::thread_entry! {
    /// Reads the word below a thread pointer that nobody has set.
    fn without_tls(_: usize, _: usize) -> ! {
        done(roottask::arch::read_below_no_thread_pointer())
    }
}

/// Jumps to where nothing is, to an instruction whose end is not there, and a thread without
/// thread-local storage that uses some: the reports say what was done.
pub fn nowhere(handler: &HandlerThread) -> Outcome {
    debug_println!("a jump to nowhere, half an instruction, no thread-local storage:");
    check_eq!(run(handler, "jumper", jumper, [0, 0])?, End::Stopped);
    let region = {
        let vmm = &mut *MANAGER.lock();
        let own = vmm.own_space();
        vmm.map(own, &RegionOptions::new(1).named("half").guarded(0, 1))?
    };
    let last = region.start().bits() + PAGE - 1;
    // SAFETY: the page is ours. The first byte of `mov eax, imm32`.
    unsafe { (last as *mut u8).write_volatile(0xb8) };
    check_eq!(run(handler, "stumbler", jumper, [last, 0])?, End::Stopped);
    MANAGER.lock().release(region)?;
    check_eq!(run(handler, "without-tls", without_tls, [0, 0])?, End::Stopped);
    Ok(())
}
