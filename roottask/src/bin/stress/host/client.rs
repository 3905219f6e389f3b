// SPDX-License-Identifier: BSD-2-Clause
//! A client program, and what is to become of it.

use roottask::{check, check_eq, Outcome};
use sel4::Word;
use vmm::sel4::{first_registers, let_run as run};
use vmm_service::{ClientId, Start};

use crate::engine::Stress;

/// The most threads of a client.
pub const THREADS: usize = 2;
/// The most objects of a client: its threads, and a CNode.
pub const OBJECTS: usize = THREADS + 1;

/// The bit of a client's argument that says that it is to end by a crime.
pub const WILD: u32 = 0x100;

/// The exit code of a client that can page for others no longer, as it was refused for want of
/// memory or slots.
const SHORT: u32 = 2;

/// When a client is killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kill {
    /// Its message was received and nothing else.
    Unheard,
    /// It was done, and not answered.
    Unanswered,
    /// It was answered.
    Answered,
}

/// How a client came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It said so.
    Exited(u32),
    /// It wrote where nothing is its own.
    Wild,
    /// A page could not be had that it touched.
    Short,
    /// Its pager refused a page that it touched, or ended.
    Abandoned,
    /// As was planned for it.
    Killed,
}

/// A client, and what is to become of it.
pub struct Client {
    /// Who it is.
    pub id: ClientId,
    /// How much it does, by which numbers, and how it ends.
    pub argument: u32,
    /// With which of its messages it is killed, and how.
    pub kill: Option<(usize, Kill)>,
    /// How many messages of it have come.
    pub messages: usize,
    /// Whether it had anything to say: it speaks when something is not as it must be.
    pub spoke: bool,
    /// Whether a request of it was refused because memory or slots were short.
    pub short: bool,
    /// How it ended, if it has.
    pub end: Option<End>,
}

/// Who was not killed came to the end that its argument says, unless something was short.
pub fn check_end(client: &Client) -> Outcome {
    let expected = match client.argument & WILD {
        0 => End::Exited(0),
        _ => End::Wild,
    };
    check!(!client.spoke);
    match client.end {
        Some(End::Killed | End::Short | End::Abandoned) => {}
        Some(End::Exited(SHORT)) => check!(client.short),
        end => check_eq!(end, Some(expected)),
    }
    Ok(())
}

/// With which message a client is killed, and how.
pub fn plan(stress: &mut Stress) -> (usize, Kill) {
    let kills = [Kill::Unheard, Kill::Unanswered, Kill::Answered];
    (stress.random.size(128), kills[stress.random.below(kills.len())])
}

/// Lets a client's thread run.
pub fn let_run(start: &Start, argument: usize, priority: Word) -> Outcome {
    let Start { tcb, entry, stack_top, ipc_buffer, thread_pointer } = *start;
    let arguments = [ipc_buffer, argument];
    let mut registers = first_registers(entry, stack_top, arguments, thread_pointer);
    Ok(run(tcb, priority, &mut registers)?)
}
