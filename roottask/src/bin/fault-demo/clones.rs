// SPDX-License-Identifier: BSD-2-Clause
//! Copy-on-write between two address spaces, messages fed from our own loop.
//!
//! A space has a ledger of four pages. It is cloned as a whole; then a thread of each writes. What
//! is true of the frames is asked of the kernel: `X86_Page_GetAddress`.

use core::sync::atomic::{AtomicUsize, Ordering};

use roottask::{check, check_eq, Manager, Outcome};
use sel4::cap;
use sel4_root_task::debug_println;
use vmm::sel4::faults::{FaultHandler, Incident, ThreadFault, Verdict};
use vmm::{Blueprint, Invocation, RegionOptions, SpaceId};

use crate::remote::{load_program, Remote, UNDEFINED};

const PAGE: usize = vmm::PAGE_BYTES;
const PAGES: usize = 4;

/// Threads that ended as they should.
static ENDED: AtomicUsize = AtomicUsize::new(0);

/// A thread's end is an exception; any other fault that comes here is none that was planned.
fn policy(_: &mut Manager, incident: &Incident<'_>) -> Verdict {
    match incident.fault {
        ThreadFault::Exception { number: UNDEFINED, .. } => {
            ENDED.fetch_add(1, Ordering::Relaxed);
        }
        _ => sel4_root_task::abort!("{incident}"),
    }
    Verdict::Suspend
}

/// The loop: everything that comes is fed to the handler until a thread has ended.
struct Loop {
    endpoint: cap::Endpoint,
    handler: FaultHandler<fn(&mut Manager, &Incident<'_>) -> Verdict>,
}

impl Loop {
    /// Answers faults until a thread has ended; returns how many were answered.
    fn run(&mut self, vmm: &mut Manager) -> usize {
        let (ended, mut faults) = (ENDED.load(Ordering::Relaxed), 0);
        let (mut info, mut badge) = self.endpoint.recv(());
        while let Some(answer) = self.handler.handle(vmm, &info, badge) {
            faults += 1;
            (info, badge) = self.endpoint.reply_recv(answer, ());
        }
        assert!(ENDED.load(Ordering::Relaxed) == ended + 1, "a thread has ended");
        faults
    }
}

/// Two spaces, a thread in each, and the ledger's address, which is the same in both.
struct Scene {
    faults: Loop,
    spaces: [SpaceId; 2],
    threads: [Remote; 2],
    ledger: usize,
}

impl Scene {
    /// Thread `side` stores a word in page `page`: how many faults that took, how many kernel calls
    /// of the manager's, and how many of these mapped or changed a page.
    fn store(
        &mut self,
        vmm: &mut Manager,
        side: usize,
        page: usize,
        value: u32,
    ) -> Outcome<[usize; 3]> {
        let before = vmm.kernel_calls();
        self.threads[side].store(self.ledger + page * PAGE, value)?;
        let faults = self.faults.run(vmm);
        let calls = vmm.kernel_calls().since(&before);
        let remaps = calls.of(Invocation::PageRemap) as usize;
        Ok([faults, calls.total() as usize, remaps])
    }

    fn load(&mut self, vmm: &mut Manager, side: usize, page: usize) -> Outcome<u32> {
        self.threads[side].load(self.ledger + page * PAGE)?;
        check_eq!(self.faults.run(vmm), 0);
        self.threads[side].value()
    }

    fn frames(&self, vmm: &mut Manager, page: usize) -> Outcome<[usize; 2]> {
        let at = self.ledger + page * PAGE;
        Ok([vmm.physical_address(self.spaces[0], at)?, vmm.physical_address(self.spaces[1], at)?])
    }
}

/// Shows it.
pub fn show(vmm: &mut Manager) -> Outcome {
    let endpoint = vmm.allocate(Blueprint::Endpoint)?;
    let original = vmm.create_space()?;
    let program = load_program(vmm, original)?.start().bits();
    let options = RegionOptions::new(PAGES).named("ledger").guarded(1, 1);
    let ledger = vmm.map(original, &options)?.start().bits() + PAGE;
    let faults =
        Loop { endpoint: endpoint.cap(), handler: FaultHandler::new(endpoint.slot(), policy) };
    let frames_before = vmm.usage(original)?.frames;

    let clone = vmm.clone_space(original)?;
    // What is shared counts with everyone who has it: a first write needs nothing more.
    check_eq!(vmm.usage(clone)?.frames, vmm.usage(clone)?.slots);
    check_eq!(vmm.usage(clone)?.frames, frames_before);
    // The threads come only now: their stacks are not to be cloned.
    let first = Remote::new(vmm, original, program, endpoint.slot(), "first")?;
    let second = Remote::new(vmm, clone, program, endpoint.slot(), "second")?;
    let (spaces, threads) = ([original, clone], [first, second]);
    let mut scene = Scene { faults, spaces, threads, ledger };
    for page in 0..PAGES {
        let [a, b] = scene.frames(vmm, page)?;
        check_eq!(a, b);
    }
    debug_println!("  a space is cloned: {PAGES} pages of ledger, every frame the same in both");

    broken_by(vmm, &mut scene, 0, 1)?;
    broken_by(vmm, &mut scene, 1, 0)?;

    // The other side has gone: what was shared with it is the first's alone.
    let Scene { threads: [first, second], faults, ledger, .. } = scene;
    second.release(vmm)?;
    let kept = vmm.physical_address(original, ledger + 2 * PAGE)?;
    vmm.destroy_space(clone)?;
    let region = vmm.region_at(original, ledger)?;
    check!(region.is_some());
    if let Some(region) = region {
        vmm.restore_write_access(region.id)?;
    }
    check_eq!(vmm.physical_address(original, ledger + 2 * PAGE)?, kept);
    first.store(ledger + 2 * PAGE, 9)?;
    let mut faults = faults;
    check_eq!(faults.run(vmm), 0);
    debug_println!("  the clone is destroyed: the original writes again without a fault");

    first.release(vmm)?;
    check_eq!(vmm.usage(original)?.frames, frames_before);
    vmm.destroy_space(original)?;
    Ok(vmm.free(endpoint)?)
}

/// `writer` writes first to a page that both have, then the other does.
fn broken_by(vmm: &mut Manager, scene: &mut Scene, page: usize, writer: usize) -> Outcome {
    let other = 1 - writer;
    let names = ["the original", "the clone"];
    let before = scene.frames(vmm, page)?;
    let [faults, calls, _] = scene.store(vmm, writer, page, 0x1000 + page as u32)?;
    check_eq!(faults, 1);
    let after = scene.frames(vmm, page)?;
    check!(after[writer] != before[writer]);
    check_eq!(after[other], before[other]);
    check_eq!(scene.load(vmm, other, page)?, 0);
    check_eq!(scene.load(vmm, writer, page)?, 0x1000 + page as u32);
    debug_println!(
        "  {} writes to page {page}: 1 fault, {calls} kernel calls, frame {:#x} copied to {:#x}",
        names[writer],
        before[writer],
        after[writer],
    );
    let [faults, calls, remaps] = scene.store(vmm, other, page, 0x2000)?;
    check_eq!((faults, calls, remaps), (1, 1, 1));
    check_eq!(scene.frames(vmm, page)?, after);
    check_eq!(scene.load(vmm, other, page)?, 0x2000);
    check_eq!(scene.load(vmm, writer, page)?, 0x1000 + page as u32);
    debug_println!(
        "  {} writes there too: 1 fault, 1 kernel call, it keeps frame {:#x} without a copy",
        names[other],
        after[other],
    );
    let [faults, calls, _] = scene.store(vmm, other, page, 0x2001)?;
    check_eq!((faults, calls), (0, 0));
    Ok(vmm.validate()?)
}
