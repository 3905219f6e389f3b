// SPDX-License-Identifier: BSD-2-Clause
//! Programs that start programs, served by the service of objects: a first one, all that it has
//! started and what those have, ended in the midst of anything, until nothing is left of them.
//!
//! ```text
//!   server, for some requests ──► the records are checked ──► … ──► the first has ended, or is ended
//! ```
//!
//! Each program has a priority of its own, so that nothing depends on time.

use core::fmt::Write;

use roottask::{check, check_eq, Failure, Outcome};
use vmm_service::objects::protocol::first_page::GivenObject;
use vmm_service::objects::protocol::{Amounts, Kind as Objects, Rights, FIRST_FREE_SLOT};
use vmm_service::objects::{NewProgram, ProgramId, Served, Server};
use vmm_service::server::End;

use super::super::programs;
use super::counts::{self, Tree, PRIORITY};
use crate::engine::Stress;
use crate::measure::Kind;

/// The exit code of a program to which something happened that can only be for want of memory.
const SHORT_CODE: u32 = 2;
/// The most requests that are served as one operation.
const REQUESTS: usize = 24;
/// Of so many operations, about one is followed by a look at all records; by the end of the first
/// program.
const LOOKS: usize = 12;
const ENDS: usize = 400;
/// Pages of its stack.
const STACK_PAGES: usize = 6;

/// Numbers with blanks between, as a program's arguments.
struct Arguments {
    bytes: [u8; 96],
    len: usize,
}

impl Write for Arguments {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let place = self.bytes.get_mut(self.len..self.len + text.len()).ok_or(core::fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}

/// Starts a first program with these numbers, and serves it and all that it starts until nothing is
/// left of them.
pub fn session(stress: &mut Stress, tree: &Tree, numbers: &[usize]) -> Outcome {
    let mut server = programs::take(stress)?;
    counts::begin(tree);
    let first = begin(stress, &mut server, tree, numbers)?;
    serve(stress, &mut server, first)?;
    counts::end();
    // The account of all there is, and the console.
    check_eq!(server.objects().counts(), [2, 0, 0, 0]);
    check_eq!(server.objects().amounts().1, Amounts::NONE);
    server.objects().validate(&stress.vmm)?;
    stress.server = Some(server);
    Ok(())
}

/// Starts the first program, if there is memory for it.
fn begin(
    stress: &mut Stress,
    server: &mut Server,
    tree: &Tree,
    numbers: &[usize],
) -> Outcome<Option<ProgramId>> {
    let new = NewProgram::new(tree.name, tree.file, tree.amounts);
    let new = NewProgram { stack_pages: STACK_PAGES, ..new };
    let made = programs::attempt(stress, |vmm| server.create(vmm, &new))?;
    let Some((program, start)) = made else { return Ok(None) };
    let mut arguments = Arguments { bytes: [0; 96], len: 0 };
    for number in numbers {
        check!(write!(arguments, "{number} ").is_ok());
    }
    let text = core::str::from_utf8(&arguments.bytes[..arguments.len]).unwrap_or("");
    let (kind, rights, slot) = (Some(Objects::Memory), Rights::READ, FIRST_FREE_SLOT);
    let given = GivenObject { name: "file", kind, rights, slot };
    let page = programs::attempt(stress, |vmm| {
        server.give_file(vmm, program, (slot, tree.file))?;
        server.give_page_of(vmm, program, core::iter::once(given), text)
    })?;
    match page {
        Some(page) => server.start(&mut stress.vmm, &start, (PRIORITY, page))?,
        None => server.kill(&mut stress.vmm, program)?,
    }
    Ok(page.map(|_| program))
}

/// Serves until nothing is left. Now and then it looks at all records, and ends what runs.
fn serve(stress: &mut Stress, server: &mut Server, mut first: Option<ProgramId>) -> Outcome {
    let refused = server.counts().refused;
    loop {
        let requests = stress.random.within(1, REQUESTS) as u64;
        let mut failed = None;
        let served = stress.must(Kind::Serve, |vmm| {
            Ok(server.run_some(vmm, requests).unwrap_or_else(|error| {
                failed = Some(error);
                Served::Nobody
            }))
        })?;
        if let Some(error) = failed {
            return Err(Failure::Server(error));
        }
        match served {
            Served::Nobody => return Ok(()),
            Served::Ended(program, end) => {
                check_eq!(first.take(), Some(program));
                match end {
                    End::Fault => check!(counts::was_short()),
                    // It may have been refused something, too.
                    End::Exited(SHORT_CODE) => {
                        check!(counts::was_short() || server.counts().refused > refused);
                    }
                    end => check_eq!(end, End::Exited(0)),
                }
            }
            Served::Paused => {
                if stress.random.once_in(LOOKS) {
                    server.objects().validate(&stress.vmm)?;
                }
                let ends = stress.is_over() || stress.random.once_in(ENDS);
                if let Some(program) = first.take_if(|_| ends) {
                    server.kill(&mut stress.vmm, program)?;
                }
            }
        }
    }
}
