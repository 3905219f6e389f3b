//! A client program, and what is to become of it.

use roottask::{check, check_eq, Outcome};
use sel4::init_thread::slot;
use sel4::{cap, UserContext, Word};
use vmm_service::{ClientId, Start};

use crate::engine::Stress;

/// The most threads of a client.
pub const THREADS: usize = 2;
/// The most objects of a client: its threads, and a CNode.
pub const OBJECTS: usize = THREADS + 1;

/// The bit of a client's argument that says that it is to end by a crime.
pub const WILD: u32 = 0x100;

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
    if !matches!(client.end, Some(End::Killed | End::Short | End::Abandoned)) {
        check_eq!(client.end, Some(expected));
    }
    Ok(())
}

/// With which message a client is killed, and how.
pub fn plan(stress: &mut Stress) -> (usize, Kill) {
    let kills = [Kill::Unheard, Kill::Unanswered, Kill::Answered];
    (stress.random.size(128), kills[stress.random.below(kills.len())])
}

/// Lets a client's thread run.
pub fn let_run(start: &Start, argument: u32, priority: Word) -> Outcome {
    let tcb = cap::Tcb::from_bits(start.tcb.bits() as Word);
    let mut context = UserContext::default();
    *context.pc_mut() = start.entry as Word;
    // As after a call: 4 below a multiple of 16.
    *context.sp_mut() = (start.stack_top - 4) as Word;
    *context.fastcall_param_mut(0) = start.ipc_buffer as Word;
    *context.fastcall_param_mut(1) = argument;
    tcb.tcb_set_sched_params(slot::TCB.cap(), priority, priority)?;
    Ok(tcb.tcb_write_all_registers(true, &mut context)?)
}
