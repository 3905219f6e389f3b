// SPDX-License-Identifier: BSD-2-Clause
//! The manager, a server, and programs that are started together and served to their ends.

use roottask::{check_eq, Manager, Outcome};
use sel4_root_task::debug_print;
use vmm_service::objects::protocol::{Amounts, PAGE_BYTES};
use vmm_service::objects::{NewProgram, Options, ProgramId, Server};
use vmm_service::server::End;

/// The most programs that run at a time.
const MAX_PROGRAMS: usize = 8;
/// The priority of all programs.
pub const PRIORITY: u8 = 100;

pub struct World {
    pub vmm: Manager,
    pub server: Server,
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
        let endpoint = vmm.allocate(vmm::Blueprint::Endpoint)?.slot();
        let options = Options { report: |notice| debug_print!("  {notice}") };
        let server = Server::new(&mut vmm, endpoint, amounts, options)?;
        Ok(World { vmm, server })
    }

    /// Makes a program and lets it run.
    pub fn start(&mut self, part: &Part) -> Outcome<ProgramId> {
        let new = NewProgram::new(part.name, part.file, part.amounts);
        let (program, begin) = self.server.create(&mut self.vmm, &new)?;
        self.server.start(&begin, (PRIORITY, part.argument))?;
        Ok(program)
    }

    /// Runs programs together until all have ended, each as it should.
    pub fn run(&mut self, parts: &[(Part, End)]) -> Outcome {
        let mut due = [None; MAX_PROGRAMS];
        for (place, (part, end)) in due.iter_mut().zip(parts) {
            *place = Some((self.start(part)?, *end));
        }
        while let Some(ended) = self.server.run(&mut self.vmm)? {
            let place = due.iter_mut().find(|place| place.is_some_and(|(id, _)| id == ended.0));
            check_eq!(place.and_then(Option::take), Some(ended));
        }
        check_eq!(due, [None; MAX_PROGRAMS]);
        Ok(())
    }

    /// All is back that programs had: there is no object but the account of all there is.
    pub fn check_empty(&mut self) -> Outcome<Free> {
        check_eq!(self.server.objects().counts(), [1, 0, 0, 0]);
        check_eq!(self.server.objects().amounts().1, Amounts::NONE);
        self.server.objects().validate(&self.vmm)?;
        self.vmm.trim()?;
        self.vmm.validate()?;
        let stats = self.vmm.stats();
        // A small kernel object that ended may leave its place to the next of its batch.
        Ok((stats.free_bytes().div_ceil(PAGE_BYTES), stats.allocator.free_slots))
    }
}
