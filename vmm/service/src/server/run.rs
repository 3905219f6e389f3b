//! The server.

use sel4::init_thread::slot;
use sel4::{cap, MessageInfo, MessageInfoBuilder, UserContext, Word};
use vmm::sel4_faults::{answer_kept, keep_caller, receive, report, Manager, Received, ThreadFault};
use vmm::{CPtr, Quota, Rights, ThreadId};
use vmm_client::protocol::{Message, MOST_WORDS};

use crate::server::report::{Counts, End, Notice, ServerError};
use crate::service::Service;
use crate::types::ids::{ClientId, CLIENT_BADGE};
use crate::types::message::{Deferred, Event, Incoming};
use crate::types::program::{Program, Start};

/// The most clients that a server has at a time.
pub const MAX_CLIENTS: usize = 8;

/// How a server works.
#[derive(Clone, Copy)]
pub struct Options {
    /// Tells people something; called between a message and its answer.
    pub report: fn(&Notice<'_>),
    /// The priority of the clients' threads: below the server's, so that it answers before anybody
    /// goes on.
    pub priority: Word,
    /// Pages of the stack of a client's first thread.
    pub stack_pages: usize,
}

impl Default for Options {
    /// Tells nobody anything; priority 100, four pages of stack.
    fn default() -> Options {
        Options { report: |_| {}, priority: 100, stack_pages: 4 }
    }
}

/// A client.
#[derive(Clone, Copy)]
struct Entry {
    client: ClientId,
    start: Option<Start>,
    end: Option<End>,
}

/// A server of client programs: the service, and the loop that answers at its endpoint.
pub struct Server {
    endpoint: cap::Endpoint,
    service: Service<'static>,
    clients: [Option<Entry>; MAX_CLIENTS],
    options: Options,
    counts: Counts,
}

impl Server {
    /// A server without clients at this endpoint.
    ///
    /// # Errors
    /// What the manager refuses.
    pub fn new(vmm: &mut Manager, endpoint: CPtr, options: Options) -> Result<Server, ServerError> {
        Ok(Server {
            endpoint: cap::Endpoint::from_bits(endpoint.bits() as Word),
            service: Service::new(vmm, endpoint)?,
            clients: [None; MAX_CLIENTS],
            options,
            counts: Counts::default(),
        })
    }

    /// Makes a client.
    ///
    /// # Errors
    /// Those of [`Service::create_client`]; [`ServerError::TooManyClients`].
    pub fn create(
        &mut self,
        vmm: &mut Manager,
        name: &str,
        limits: Quota,
        parent: Option<ClientId>,
    ) -> Result<ClientId, ServerError> {
        let over = |entry: &Option<Entry>| entry.as_ref().is_none_or(|entry| entry.end.is_some());
        let free = self.clients.iter_mut().find(|entry| over(entry));
        let free = free.ok_or(ServerError::TooManyClients { most: MAX_CLIENTS })?;
        let client = self.service.create_client(vmm, name, limits, parent)?;
        *free = Some(Entry { client, start: None, end: None });
        Ok(client)
    }

    /// Loads its program.
    ///
    /// # Errors
    /// Those of [`Service::load`].
    pub fn load(
        &mut self,
        vmm: &mut Manager,
        client: ClientId,
        file: &[u8],
    ) -> Result<(), ServerError> {
        let program = Program { file, stack_pages: self.options.stack_pages };
        let start = self.service.load(vmm, client, &program)?;
        if let Some(entry) = self.entry(client) {
            entry.start = Some(start);
        }
        Ok(())
    }

    /// Gives it a capability.
    ///
    /// # Errors
    /// Those of [`Service::give_capability`].
    pub fn give(
        &mut self,
        vmm: &mut Manager,
        client: ClientId,
        slot: u32,
        capability: CPtr,
        rights: Rights,
    ) -> Result<(), ServerError> {
        Ok(self.service.give_capability(vmm, client, slot, capability, rights, None)?)
    }

    /// Lets it run.
    ///
    /// # Errors
    /// [`crate::Error::NoProgram`] when none was loaded; what the kernel refuses.
    pub fn start(&mut self, client: ClientId, argument: u32) -> Result<(), ServerError> {
        let start = self.entry(client).and_then(|entry| entry.start);
        let start = start.ok_or(crate::Error::NoProgram(client))?;
        self.set_going(&start, argument)
    }

    /// Serves until every client has ended and all they had is given back.
    ///
    /// # Errors
    /// [`ServerError`]: what the kernel refuses of giving back, or of starting a thread.
    pub fn run(&mut self, vmm: &mut Manager) -> Result<(), ServerError> {
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
                    busy = self.service.reap_step(vmm)?;
                    self.settle_deferred(vmm)?;
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
    ) -> Result<Option<MessageInfo>, ServerError> {
        if badge & CLIENT_BADGE == 0 {
            let resolved = self.fault(vmm, info, badge)?;
            self.settle_deferred(vmm)?;
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
            Some(Event::Said(client, line)) => {
                let name = self.service.name(client).unwrap_or_default();
                (self.options.report)(&Notice::Said { name: name.as_str(), line: &line });
            }
            Some(Event::Exited(client, code)) => self.note_end(client, End::Exited(code)),
            Some(Event::Killed(client)) => self.note_end(client, End::Killed),
            Some(Event::Thread { start, argument, .. }) => self.set_going(&start, argument)?,
            Some(Event::ThreadEnded(_)) | None => {}
        }
        self.settle_deferred(vmm)?;
        Ok(outcome.answer.as_ref().map(|message| self.put(message)))
    }

    /// Does what was deferred, for others than the one whose message came.
    fn settle_deferred(&mut self, vmm: &mut Manager) -> Result<(), ServerError> {
        while let Some(deferred) = self.service.next_deferred(vmm)? {
            match deferred {
                Deferred::Answer { slot, message } => {
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
                Deferred::Unresolved { thread, fault, error } => {
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
    fn fault(
        &mut self,
        vmm: &mut Manager,
        info: &MessageInfo,
        badge: usize,
    ) -> Result<bool, ServerError> {
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
        error: Option<vmm::Error>,
        refused_by_pager: bool,
    ) -> Result<(), ServerError> {
        let tell = self.options.report;
        let space = report(vmm, thread, (fault, error, refused_by_pager), |_, incident| {
            tell(&Notice::Fault(incident));
            incident.thread.space
        });
        self.counts.unresolved += 1;
        if let Some(client) = space.and_then(|space| self.service.client_in(space)) {
            self.service.kill(client)?;
            self.note_end(client, End::Fault);
        }
        Ok(())
    }

    fn note_end(&mut self, client: ClientId, end: End) {
        let name = self.service.name(client).unwrap_or_default();
        (self.options.report)(&Notice::Ended { name: name.as_str(), end });
        if let Some(entry) = self.entry(client) {
            entry.end = Some(end);
        }
    }

    fn entry(&mut self, client: ClientId) -> Option<&mut Entry> {
        self.clients.iter_mut().flatten().find(|entry| entry.client == client)
    }

    /// How a client ended; `None` while it runs, and of one that this server does not know (any
    /// more: an entry is used again when its client has ended).
    pub fn end_of(&self, client: ClientId) -> Option<End> {
        let mut entries = self.clients.iter().flatten();
        entries.find(|entry| entry.client == client)?.end
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Writes a new thread's registers, and lets it run.
    fn set_going(&self, start: &Start, argument: u32) -> Result<(), ServerError> {
        let tcb = cap::Tcb::from_bits(start.tcb.bits() as Word);
        let mut context = UserContext::default();
        *context.pc_mut() = start.entry as Word;
        // As after a call: 4 below a multiple of 16.
        *context.sp_mut() = (start.stack_top - 4) as Word;
        *context.fastcall_param_mut(0) = start.ipc_buffer as Word;
        *context.fastcall_param_mut(1) = argument;
        context.inner_mut().tls_base = start.thread_pointer as Word;
        let priority = self.options.priority;
        tcb.tcb_set_sched_params(slot::TCB.cap(), priority, priority)?;
        Ok(tcb.tcb_write_all_registers(true, &mut context)?)
    }
}
