//! A server of client programs: requests and faults come to one endpoint, told apart by their
//! badges.
//!
//! ```text
//!   wait ──► badge of a client?   Service::handle ────► answer, or keep the right to answer ──┐
//!    ▲       badge of a thread?   sel4_faults::receive ─► answer, ask its pager, or kill ─────┤
//!    │                            Service::next_due: answer those who waited ◄────────────────┘
//!    └────────── nothing left of those that ended
//!                otherwise: a piece of that work, then look whether somebody called
//! ```

use sel4::init_thread::slot;
use sel4::{cap, MessageInfo, MessageInfoBuilder, UserContext, Word};
use sel4_root_task::{debug_print, debug_println};
use vmm::sel4_faults::{answer_kept, keep_caller, receive, report, Received, ThreadFault};
use vmm::service::protocol::{Message, MOST_WORDS};
use vmm::service::{
    ClientId, Due, Event, ImageError, Incoming, Program, Service, Start, CLIENT_BADGE,
};
use vmm::{CPtr, Error, Quota, Rights, ThreadId};

use crate::{Failure, Manager, Outcome};

/// Below the server's, so that it answers before anybody goes on.
const PRIORITY: Word = 100;
/// The most clients at a time.
const MOST_CLIENTS: usize = 3;

/// How a client ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// By itself, with this code.
    Exited(u32),
    /// For a fault.
    Fault,
    /// By its parent.
    Killed,
}

/// What the server counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Messages of clients.
    pub requests: usize,
    /// Those of them that were refused.
    pub refused: usize,
    /// Faults after which the thread went on.
    pub resolved: usize,
    /// Faults that ended a client.
    pub unresolved: usize,
}

/// A client.
#[derive(Clone, Copy)]
struct Entry {
    client: ClientId,
    start: Option<Start>,
    end: Option<End>,
}

/// The server.
pub struct Server {
    endpoint: cap::Endpoint,
    service: Service<'static>,
    clients: [Option<Entry>; MOST_CLIENTS],
    told: Told,
    counts: Counts,
}

/// How much a server prints.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    /// What clients say, and how they end.
    All,
    /// Nothing but faults that end a client.
    Faults,
}

impl Server {
    /// A server without clients at this endpoint.
    ///
    /// # Errors
    /// What the manager refuses.
    pub fn new(vmm: &mut Manager, endpoint: CPtr) -> Outcome<Server> {
        Ok(Server {
            endpoint: cap::Endpoint::from_bits(endpoint.bits() as Word),
            service: Service::new(vmm, endpoint)?,
            clients: [None; MOST_CLIENTS],
            told: Told::All,
            counts: Counts::default(),
        })
    }

    /// The same, printing this much.
    pub fn telling(self, told: Told) -> Server {
        Server { told, ..self }
    }

    /// Makes a client.
    ///
    /// # Errors
    /// What the manager refuses; `BadBootInfo` when there are as many as there can be.
    pub fn create(
        &mut self,
        vmm: &mut Manager,
        name: &str,
        limits: Quota,
        parent: Option<ClientId>,
    ) -> Outcome<ClientId> {
        let client = self.service.create_client(vmm, name, limits, parent)?;
        let over = |entry: &Entry| entry.end.is_some();
        let free = self.clients.iter_mut().find(|entry| entry.as_ref().is_none_or(over));
        let free = free.ok_or(Failure::Manager(Error::BadBootInfo(MOST_CLIENTS)))?;
        *free = Some(Entry { client, start: None, end: None });
        Ok(client)
    }

    /// Loads its program.
    ///
    /// # Errors
    /// What the manager refuses; `BadBootInfo` for a file that cannot be loaded.
    pub fn load(&mut self, vmm: &mut Manager, client: ClientId, file: &[u8]) -> Outcome {
        let loaded = self.service.load(vmm, client, &Program { file, stack_pages: 4 });
        let start = loaded.map_err(|error| match error {
            ImageError::Manager(error) => Failure::Manager(error),
            other => {
                debug_println!("loading {client:?}: {other}");
                Failure::Manager(Error::BadBootInfo(file.as_ptr() as usize))
            }
        })?;
        if let Some(entry) = self.entry(client) {
            entry.start = Some(start);
        }
        Ok(())
    }

    /// Gives it a capability.
    ///
    /// # Errors
    /// What the manager refuses.
    pub fn give(
        &mut self,
        vmm: &mut Manager,
        client: ClientId,
        slot: u32,
        capability: CPtr,
        rights: Rights,
    ) -> Outcome {
        Ok(self.service.give_capability(vmm, client, slot, capability, rights, None)?)
    }

    /// Lets it run. Without a program nothing happens.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn start(&mut self, client: ClientId, argument: u32) -> Outcome {
        let start = self.entry(client).and_then(|entry| entry.start);
        start.map_or(Ok(()), |start| set_going(&start, argument))
    }

    /// Serves until every client has ended and all they had is given back.
    ///
    /// # Errors
    /// What the kernel refuses of giving back.
    pub fn run(&mut self, vmm: &mut Manager) -> Outcome {
        let mut answer: Option<MessageInfo> = None;
        let mut busy = false;
        while busy || self.clients.iter().flatten().any(|entry| entry.end.is_none()) {
            let (info, badge) = match (answer.take(), busy) {
                (Some(answer), false) => self.endpoint.reply_recv(answer, ()),
                (None, false) => self.endpoint.recv(()),
                (answer, true) => {
                    if let Some(answer) = answer {
                        sel4::with_ipc_buffer_mut(|buffer| sel4::reply(buffer, answer));
                    }
                    busy = self.service.work(vmm)?;
                    self.settle_due(vmm)?;
                    self.endpoint.nb_recv(())
                }
            };
            if badge != 0 {
                answer = self.answer(vmm, &info, badge as usize)?;
                busy |= answer.is_none();
            }
        }
        Ok(())
    }

    /// Answers one message; `None` when its sender is not to go on, or not yet.
    fn answer(
        &mut self,
        vmm: &mut Manager,
        info: &MessageInfo,
        badge: usize,
    ) -> Outcome<Option<MessageInfo>> {
        if badge & CLIENT_BADGE == 0 {
            let resolved = self.fault(vmm, info, badge)?;
            self.settle_due(vmm)?;
            return Ok(resolved.then(|| MessageInfoBuilder::default().build()));
        }
        let mut words = [0; MOST_WORDS + 1];
        // One word too many is enough to be refused.
        let length = info.length().min(words.len());
        sel4::with_ipc_buffer(|buffer| {
            words[..length].copy_from_slice(&buffer.msg_regs()[..length])
        });
        let message = Incoming {
            badge,
            label: info.label(),
            words: &words[..length],
            capabilities: info.extra_caps(),
        };
        let outcome = self.service.handle(vmm, &message);
        self.counts.requests += 1;
        if let Some(slot) = outcome.keep {
            keep_caller(vmm, slot)?;
        }
        match outcome.event {
            Some(Event::Said(client, line)) if self.told == Told::All => {
                let name = self.service.name(client).unwrap_or_default();
                debug_println!("{}: {line}", name.as_str());
            }
            Some(Event::Exited(client, code)) => self.ends(client, End::Exited(code)),
            Some(Event::Killed(client)) => self.ends(client, End::Killed),
            Some(Event::Thread { start, argument, .. }) => set_going(&start, argument)?,
            _ => {}
        }
        self.settle_due(vmm)?;
        Ok(outcome.answer.as_ref().map(|message| self.put(message)))
    }

    /// Does what is due for others than the one whose message came.
    fn settle_due(&mut self, vmm: &mut Manager) -> Outcome {
        while let Some(due) = self.service.next_due(vmm)? {
            match due {
                Due::Answer { slot, message } => {
                    let answer = match message {
                        Some(message) => self.put(&message),
                        // A thread that waited for its page.
                        None => {
                            self.counts.resolved += 1;
                            MessageInfoBuilder::default().build()
                        }
                    };
                    answer_kept(slot, answer);
                }
                Due::Unresolved { thread, fault, error } => {
                    self.unresolved(vmm, thread, ThreadFault::Page(fault), error, error.is_none())?
                }
            }
        }
        Ok(())
    }

    /// Puts an answer into the IPC buffer.
    fn put(&mut self, message: &Message) -> MessageInfo {
        let words = message.words();
        sel4::with_ipc_buffer_mut(|buffer| {
            buffer.msg_regs_mut()[..words.len()].copy_from_slice(words);
        });
        self.counts.refused += usize::from(message.is_refusal());
        MessageInfoBuilder::default().label(message.label()).length(words.len()).build()
    }

    /// Takes a fault; says whether its thread is to be answered at once. A client has a capability
    /// to its fault endpoint too, so this may be a message of its own making: then it is one about
    /// its own thread at the worst.
    fn fault(&mut self, vmm: &mut Manager, info: &MessageInfo, badge: usize) -> Outcome<bool> {
        let thread = ThreadId::from_badge(badge);
        let (fault, error) = match receive(vmm, info, badge) {
            Received::Resolved => {
                self.counts.resolved += 1;
                return Ok(true);
            }
            // Nobody waits for an answer.
            Received::Nothing => return Ok(false),
            Received::Unresolved { fault, error } => (fault, error),
            Received::AskPager { fault, token, page } => {
                let asked = self.service.ask_pager(vmm, thread, fault, token, page);
                match asked {
                    Ok(Some(slot)) => {
                        keep_caller(vmm, slot)?;
                        return Ok(false);
                    }
                    Ok(None) => (ThreadFault::Page(fault), None),
                    Err(error) => (ThreadFault::Page(fault), Some(error)),
                }
            }
        };
        self.unresolved(vmm, thread, fault, error, false)?;
        Ok(false)
    }

    /// Reports a fault that cannot be resolved, and ends the client whose it is.
    fn unresolved(
        &mut self,
        vmm: &mut Manager,
        thread: ThreadId,
        fault: ThreadFault,
        error: Option<Error>,
        refused_by_pager: bool,
    ) -> Outcome {
        let space = report(vmm, thread, (fault, error, refused_by_pager), |_, incident| {
            debug_print!("{incident}");
            incident.thread.space
        });
        self.counts.unresolved += 1;
        if let Some(client) = space.and_then(|space| self.service.client_in(space)) {
            self.service.kill(client)?;
            self.ends(client, End::Fault);
        }
        Ok(())
    }

    fn ends(&mut self, client: ClientId, end: End) {
        let name = self.service.name(client).unwrap_or_default();
        let name = name.as_str();
        match end {
            _ if self.told != Told::All => {}
            End::Exited(code) => debug_println!("server: {name} exits with {code}"),
            End::Fault => debug_println!("server: {name} is ended for its fault"),
            End::Killed => debug_println!("server: {name} is ended by its parent"),
        }
        if let Some(entry) = self.entry(client) {
            entry.end = Some(end);
        }
    }

    fn entry(&mut self, client: ClientId) -> Option<&mut Entry> {
        self.clients.iter_mut().flatten().find(|entry| entry.client == client)
    }

    /// How a client ended.
    pub fn end_of(&self, client: ClientId) -> Option<End> {
        let mut entries = self.clients.iter().flatten();
        entries.find(|entry| entry.client == client)?.end
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

/// Writes a new thread's registers, and lets it run.
fn set_going(start: &Start, argument: u32) -> Outcome {
    let tcb = cap::Tcb::from_bits(start.tcb.bits() as Word);
    let mut context = UserContext::default();
    *context.pc_mut() = start.entry as Word;
    // As after a call: 4 below a multiple of 16.
    *context.sp_mut() = (start.stack_top - 4) as Word;
    *context.fastcall_param_mut(0) = start.ipc_buffer as Word;
    *context.fastcall_param_mut(1) = argument;
    context.inner_mut().tls_base = start.thread_pointer as Word;
    tcb.tcb_set_sched_params(slot::TCB.cap(), PRIORITY, PRIORITY)?;
    Ok(tcb.tcb_write_all_registers(true, &mut context)?)
}
