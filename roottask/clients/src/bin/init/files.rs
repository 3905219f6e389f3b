// SPDX-License-Identifier: BSD-2-Clause
//! A file server that is the pager of its file, and readers that map it.

use sel4::{cap, CapRights, CapRightsBuilder, MessageInfoBuilder, Word};
use vmm_client::handles::{empty_slot, mint, Memory, Object, Result};
use vmm_client::objects::{Amounts, ProgramOptions, State};
use vmm_client::tell;
use vmm_clients::files::{BAD_PAGE, CACHE_PAGES, EDITED_PAGES, FILE_PAGES, MARKED_PAGES, STOP};

use super::{Running, System};

/// What the server may have: fewer pages than its file.
const SERVER: Amounts = Amounts([150, 160, 700, 20, 5, 60, 200, 0]);
/// What a reader may have.
const READER: Amounts = Amounts([120, 160, 700, 10, 5, 40, 120, 0]);

/// The two programs, and the endpoint at which the one answers the other.
struct Files<'a> {
    system: &'a System<'a>,
    reader: Memory,
    endpoint: u32,
}

impl Files<'_> {
    /// A reader that runs with these arguments. Its fault suspends it.
    fn reader(&self, name: &str, arguments: &str, badge: usize) -> Result<Running> {
        let account = self.system.program.account();
        let options = ProgramOptions::SUSPEND_AT_FAULT;
        let mut starting = account.begin_program(name, &self.reader, READER, options)?;
        // Who could receive there would be the server.
        let to_call: CapRights = CapRightsBuilder::none().write(true).grant(true).build();
        let slot = mint(self.endpoint, to_call, badge)?;
        starting.give_kernel("files", slot)?;
        empty_slot(slot);
        starting.start(arguments, self.system.priority)
    }

    /// Waits until a reader has faulted, ends it, and returns where it was.
    fn fault_of(&self, (child, space, account): Running) -> Result<usize> {
        let status = child.wait(self.system.told)?;
        assert_eq!(status.state, State::Faulted);
        child.kill()?;
        child.wait(self.system.told)?;
        child.remove(space, account)?;
        Ok(status.address)
    }
}

/// Starts the server and the readers, and waits until all have ended.
pub fn served(system: &System<'_>, [server, reader]: [Memory; 2]) -> Result {
    let account = system.program.account();
    let (endpoint_object, endpoint) = account.create_endpoint()?;
    let options = ProgramOptions::empty();
    let mut starting = account.begin_program("files", &server, SERVER, options)?;
    starting.give_console()?;
    starting.give_kernel("endpoint", endpoint)?;
    let server = starting.start("", system.priority)?;
    let files = Files { system, reader, endpoint };

    // Two at a time: one remembers what it has read, the other falls off its stack.
    let collector = files.reader("collector", "collect", 1)?;
    let diver = files.reader("diver", "dive", 2)?;
    let at = files.fault_of(diver)?;
    tell!("the diver fell off its stack at {at:#x} and is started again");
    let second = system.end_of(files.reader("diver", "swim", 2)?)?;
    let first = system.end_of(collector)?;
    tell!("the readers found {first} and {second} pages right");
    assert_eq!((first, second), (BAD_PAGE, BAD_PAGE));
    let edited = system.end_of(files.reader("editor", "edit", 4)?)?;
    assert_eq!(edited, EDITED_PAGES);
    tell!("an editor found {edited} pages as it changed them, and the file as it was");
    let at = files.fault_of(files.reader("third", "bad", 3)?)?;
    tell!("a page that cannot be had is a fault, at {at:#x}");

    let stop = MessageInfoBuilder::default().label(STOP).build();
    let answer = cap::Endpoint::from_bits(endpoint as Word).call(stop);
    assert_eq!(answer.length(), 3);
    let words = sel4::with_ipc_buffer(|buffer| [0, 1, 2].map(|at| buffer.msg_regs()[at] as u32));
    let [supplied, most, written] = words;
    assert!(
        supplied >= BAD_PAGE + BAD_PAGE - CACHE_PAGES,
        "what was taken back was supplied again"
    );
    assert_eq!((most, written), (CACHE_PAGES, MARKED_PAGES));
    tell!("of {FILE_PAGES} pages {most} were there at a time; {written} were written and kept");
    let (child, space, account) = server;
    child.kill()?;
    child.wait(system.told)?;
    child.remove(space, account)?;
    empty_slot(endpoint);
    endpoint_object.destroy()
}
