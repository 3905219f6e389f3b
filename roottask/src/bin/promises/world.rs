// SPDX-License-Identifier: BSD-2-Clause
//! The manager, a server, and programs that are started together and served to their ends.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use roottask::arch::ticks as now;
use roottask::{check_eq, Manager, Outcome};
use sel4_root_task::debug_print;
use vmm::{Blueprint, CPtr};
use vmm_service::objects::protocol::{Amounts, PAGE_BYTES};
use vmm_service::objects::{NewProgram, Options, ProgramId, Server};
use vmm_service::server::{End, Notice};

/// The most programs that run at a time.
const MAX_PROGRAMS: usize = 8;
/// Pages of a program's stack.
pub const STACK_PAGES: usize = 12;
/// The slot in which programs find an endpoint of theirs; one that has two has the second in the
/// next.
pub const MEETING_SLOT: u32 = 5;
/// A line that a program says again and again, and of how many one is printed.
const SAME: &str = "a line";
const SHOWN: u32 = 512;
/// The priority of all programs.
pub const PRIORITY: u8 = 100;

pub struct World {
    pub vmm: Manager,
    pub server: Server,
    /// Endpoints at which programs meet.
    pub meetings: [CPtr; 2],
}

/// A program that is to run: its name, its file, what it may use, and its argument.
#[derive(Clone, Copy)]
pub struct Part {
    pub name: &'static str,
    pub file: &'static [u8],
    pub amounts: Amounts,
    pub argument: usize,
}

/// What is free: pages, and slots.
type Free = (usize, usize);

impl World {
    /// A manager with a server whose accounts together have `amounts`.
    pub fn new(mut vmm: Manager, amounts: Amounts) -> Outcome<World> {
        let endpoints = vmm.allocate_many(Blueprint::Endpoint, 3)?;
        let [Some(endpoint), Some(one), Some(other)] = [0, 1, 2].map(|index| endpoints.get(index))
        else {
            return Err(vmm::Error::BadBootInfo(0).into());
        };
        let endpoint = endpoint.slot();
        let options = Options { report: tell, ..Options::default() };
        let server = Server::new(&mut vmm, endpoint, amounts, options)?;
        Ok(World { vmm, server, meetings: [one.slot(), other.slot()] })
    }

    /// Makes programs and runs them together until all have ended, each as it should.
    pub fn run(&mut self, parts: &[(Part, End)]) -> Outcome {
        self.run_with(parts, |_, _| Ok(()))
    }

    /// The same, where `before` does something with the programs before they begin.
    pub fn run_with(
        &mut self,
        parts: &[(Part, End)],
        before: impl FnOnce(&mut World, &[Option<ProgramId>; MAX_PROGRAMS]) -> Outcome,
    ) -> Outcome {
        let (mut programs, mut begins) = ([None; MAX_PROGRAMS], [None; MAX_PROGRAMS]);
        for (index, (part, _)) in parts.iter().enumerate() {
            let new = NewProgram::new(part.name, part.file, part.amounts);
            let new = NewProgram { stack_pages: STACK_PAGES, ..new };
            let (program, begin) = self.server.create(&mut self.vmm, &new)?;
            (programs[index], begins[index]) = (Some(program), Some(begin));
        }
        before(self, &programs)?;
        for (begin, (part, _)) in begins.iter().flatten().zip(parts) {
            self.server.start(&mut self.vmm, begin, (PRIORITY, part.argument))?;
        }
        let mut left = parts.len();
        while let Some((program, end)) = self.server.run(&mut self.vmm)? {
            let index = programs.iter().position(|known| *known == Some(program));
            check_eq!(index.map(|index| parts[index].1), Some(end));
            left -= 1;
        }
        check_eq!(left, 0);
        Ok(())
    }

    /// All is back that programs had: there is no object but the account of all there is, and the
    /// console.
    pub fn check_empty(&mut self) -> Outcome<Free> {
        check_eq!(self.server.objects().counts(), [2, 0, 0, 0]);
        check_eq!(self.server.objects().amounts().1, Amounts::NONE);
        self.server.objects().validate(&self.vmm)?;
        self.vmm.trim()?;
        self.vmm.validate()?;
        let stats = self.vmm.stats();
        // A small kernel object that ended may leave its place to the next of its batch.
        Ok((stats.free_bytes().div_ceil(PAGE_BYTES), stats.allocator.free_slots))
    }
}

/// What something costs, in ticks of the time-stamp counter.
pub fn ticks(work: impl FnOnce() -> vmm::Result) -> vmm::Result<u64> {
    let begun = now();
    work()?;
    Ok(now() - begun)
}

/// Prints what the server tells; of what is all the same, some or nothing.
fn tell(notice: &Notice<'_>) {
    static LINES: AtomicU32 = AtomicU32::new(0);
    match notice {
        Notice::Said { line, .. } if line.chars().eq(SAME.chars()) => {
            if LINES.fetch_add(1, Relaxed) % SHOWN == 0 {
                debug_print!("  {notice}");
            }
        }
        // Of which there are hundreds.
        Notice::Ended { name: "rung", .. } => {}
        _ => debug_print!("  {notice}"),
    }
}
