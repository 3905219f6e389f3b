//! Client programs: started, killed in the midst of a request, and started again.
//!
//! ```text
//!   client ──request or fault──► our loop ──► Service::handle, Vmm::handle_fault
//!                                   │
//!                                   ├─ killed before that, with the answer outstanding
//!                                   ├─ killed after that, never answered
//!                                   ├─ answered, and killed before it asks for the rest
//!                                   └─ another one takes its place, while it is taken apart
//! ```
//!
//! The programs hold the service to what it gave them, share memory, page for each other with a second
//! thread each, and exhaust their quotas. Who is not killed must come to its end and find all as it
//! was; who writes where nothing is its own must be ended for that, and who waits for a page of one
//! that ends, with it.

use alloc::vec::Vec;

use roottask::{check, check_eq, Outcome};
use sel4::init_thread::slot;
use sel4::{cap, sys, UserContext, Word};
use sel4_root_task::debug_println;
use vmm::sel4_faults::keep_caller;
use vmm::service::protocol::Refusal;
use vmm::service::{
    ClientId, Due, Event, ImageError, Incoming, Program, Service, Start, CLIENT_BADGE,
};
use vmm::{Blueprint, Error, FaultClass, PageFault, Quota, RegionOptions, Resolution, ThreadId};

use crate::engine::{Host, Stress};
use crate::measure::Kind;
use crate::threads::{restore_own_priority, set_own_priority};
use crate::threads::{Answer, Message};

/// The program.
static BUSY: &[u8] = include_bytes!(concat!(env!("VMM_CLIENTS"), "/busy"));
/// What of its argument says that it is to end by a crime.
const WILD: u32 = 0x100;
/// The most clients that are started in a session; as many live at a time.
const MOST_CLIENTS: usize = 4;
/// The most that are started in the place of others.
const MOST_AGAIN: usize = 4;
/// The most threads of a client, and what else it has: a CNode.
const THREADS: usize = 2;
const OBJECTS: usize = THREADS + 1;
/// More clients than there ever are at a time, with those that are being taken apart.
const STRETCH: usize = 12;

/// When a client is killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kill {
    /// Its message was received and nothing else.
    Unheard,
    /// It was done, and not answered.
    Unanswered,
    /// It was answered.
    Answered,
}

/// How a client came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
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
struct Client {
    id: ClientId,
    argument: u32,
    /// With which of its messages it is killed, and how.
    kill: Option<(usize, Kill)>,
    messages: usize,
    /// Whether it had anything to say: it speaks when something is not as it must be.
    spoke: bool,
    end: Option<End>,
}

/// A session: the clients of it, and how many more may be started.
struct Session<'h> {
    host: &'h mut Host,
    clients: Vec<Client>,
    priorities: Vec<Word>,
    /// How many more clients may be started.
    more: usize,
    /// Whether there is something left of those that ended.
    busy: bool,
}

/// A session or two.
pub fn run(stress: &mut Stress) -> Outcome {
    for _ in 0..stress.random.within(1, 2) {
        if stress.is_over() {
            break;
        }
        let mut host = host(stress)?;
        session(stress, &mut host)?;
        stress.host = Some(host);
    }
    Ok(())
}

/// The service; made at the first time, in the warm-up.
fn host(stress: &mut Stress) -> Outcome<Host> {
    if let Some(host) = stress.host.take() {
        return Ok(host);
    }
    // By itself: those that are made with others keep the memory of the others from being free.
    let endpoints = stress.must(Kind::Allocate, |vmm| vmm.allocate_many(Blueprint::Endpoint, 1))?;
    let endpoint = endpoints.first_slot();
    let service = stress.must(Kind::Map, |vmm| Service::new(vmm, endpoint))?;
    Ok(Host { service, endpoint })
}

/// Has more clients at a time than there ever are.
pub fn stretch(stress: &mut Stress) -> Outcome {
    let mut host = host(stress)?;
    let limits = Quota { objects: OBJECTS, ..Quota::UNLIMITED };
    for _ in 0..STRETCH {
        let service = &mut host.service;
        let made = stress.attempt(Kind::CreateClient, |vmm| {
            service.create_client(vmm, "warm-up", limits, None)
        })?;
        if let Some(client) = made {
            stress.attempt(Kind::Map, |vmm| vmm.map(client.space(), &RegionOptions::new(1)))?;
            host.service.kill(client)?;
        }
    }
    while stress.must(Kind::ClientEnd, |vmm| host.service.work(vmm))? {}
    stress.host = Some(host);
    Ok(())
}

fn session(stress: &mut Stress, host: &mut Host) -> Outcome {
    let count = stress.random.within(1, MOST_CLIENTS);
    let more = count + MOST_AGAIN;
    let priorities = stress.priorities(THREADS * more);
    let spaces = stress.vmm.stats().spaces;
    let mut session = Session { host, clients: Vec::new(), priorities, more, busy: false };
    set_own_priority(stress.own_priority(THREADS * more))?;
    for _ in 0..count {
        session.start(stress)?;
    }
    session.serve(stress)?;
    restore_own_priority()?;
    session.clients.iter().try_for_each(check_end)?;
    check_eq!(stress.vmm.stats().spaces, spaces);
    Ok(())
}

/// Who was not killed came to the end that its argument says, unless something was short.
fn check_end(client: &Client) -> Outcome {
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

impl Session<'_> {
    /// Starts a client, if memory and priorities allow one more.
    fn start(&mut self, stress: &mut Stress) -> Outcome {
        let Some(more) = self.more.checked_sub(1) else { return Ok(()) };
        self.more = more;
        let frames = stress.random.within(64, 512);
        let limits = Quota { frames, tables: 16, slots: 128, objects: OBJECTS };
        let service = &mut self.host.service;
        let made = stress
            .attempt(Kind::CreateClient, |vmm| service.create_client(vmm, "busy", limits, None))?;
        let Some(id) = made else { return Ok(()) };
        let loaded = stress.attempt(Kind::LoadClient, |vmm| {
            let program = Program { file: BUSY, stack_pages: 2 };
            service.load(vmm, id, &program).map_err(|error| match error {
                ImageError::Manager(error) => error,
                _ => Error::BadBootInfo(BUSY.as_ptr() as usize),
            })
        })?;
        let Some(start) = loaded else {
            self.busy = true;
            return Ok(self.host.service.kill(id)?);
        };
        let argument = self.argument(stress);
        let kill = stress.random.once_in(2).then(|| plan(stress));
        self.clients.push(Client { id, argument, kill, messages: 0, spoke: false, end: None });
        self.let_run(&start, argument)
    }

    /// Lets a client's thread run, at a priority that no other has.
    fn let_run(&mut self, start: &Start, argument: u32) -> Outcome {
        check!(!self.priorities.is_empty());
        let priority = self.priorities.pop().unwrap_or_default();
        let_run(start, argument, priority)
    }

    /// How much it does, by which numbers, and how it ends.
    fn argument(&self, stress: &mut Stress) -> u32 {
        let wild = if stress.random.once_in(8) { WILD } else { 0 };
        let rounds = stress.random.size(64) as u32;
        stress.random.stamp() << 9 | wild | rounds
    }

    /// Serves until all have ended and nothing is left of them.
    fn serve(&mut self, stress: &mut Stress) -> Outcome {
        let endpoint = cap::Endpoint::from_bits(self.host.endpoint.bits() as Word);
        let mut answer: Option<Answer> = None;
        while self.busy || self.clients.iter().any(|client| client.end.is_none()) {
            let message = match self.busy {
                false => Some(Message::receive(endpoint, answer.take())),
                true => {
                    let message = Message::poll(endpoint, answer.take());
                    let service = &mut self.host.service;
                    self.busy = stress.must(Kind::ClientEnd, |vmm| service.work(vmm))?;
                    message
                }
            };
            if let Some(message) = message {
                answer = self.take(stress, &message)?;
            }
            self.settle_due(stress)?;
        }
        Ok(())
    }

    /// A message: whose it is, and whether that one is to be killed now.
    fn take(&mut self, stress: &mut Stress, message: &Message) -> Outcome<Option<Answer>> {
        let Some(index) = self.sender(stress, message.badge) else { return Ok(None) };
        let client = &mut self.clients[index];
        client.messages += 1;
        let kill = client.kill.filter(|&(at, _)| at == client.messages).map(|(_, kill)| kill);
        let answer = match kill {
            Some(Kill::Unheard) => None,
            _ => self.answer(stress, index, message)?,
        };
        if kill.is_some() && self.clients[index].end.is_none() {
            self.host.service.kill(self.clients[index].id)?;
            self.ends(stress, index, End::Killed)?;
        }
        Ok(answer.filter(|_| !matches!(kill, Some(Kill::Unheard | Kill::Unanswered))))
    }

    /// The client that a message is from, if it has not ended.
    fn sender(&self, stress: &Stress, badge: usize) -> Option<usize> {
        let id = match badge & CLIENT_BADGE != 0 {
            true => self.host.service.client_of_badge(badge),
            false => {
                let space = stress.vmm.space_of_thread(ThreadId::from_badge(badge)).ok()?;
                self.host.service.client_in(space)
            }
        };
        self.clients.iter().position(|client| Some(client.id) == id)
    }

    fn answer(
        &mut self,
        stress: &mut Stress,
        index: usize,
        message: &Message,
    ) -> Outcome<Option<Answer>> {
        match message.badge & CLIENT_BADGE != 0 {
            true => self.request(stress, index, message),
            false => self.fault(stress, index, message),
        }
    }

    fn request(
        &mut self,
        stress: &mut Stress,
        index: usize,
        message: &Message,
    ) -> Outcome<Option<Answer>> {
        let incoming = Incoming {
            badge: message.badge,
            label: message.info.label(),
            words: message.words(),
            capabilities: message.info.extra_caps(),
        };
        let service = &mut self.host.service;
        let outcome = stress.must(Kind::ClientRequest, |vmm| Ok(service.handle(vmm, &incoming)))?;
        if let Some(slot) = outcome.keep {
            keep_caller(&stress.vmm, slot)?;
        }
        match outcome.event {
            Some(Event::Exited(_, code)) => self.ends(stress, index, End::Exited(code))?,
            Some(Event::Said(_, line)) => {
                self.clients[index].spoke = true;
                debug_println!("busy: {line}");
            }
            Some(Event::Thread { start, argument, .. }) => self.let_run(&start, argument)?,
            _ => {}
        }
        let Some(answer) = outcome.answer else { return Ok(None) };
        check!(answer != Refusal::Internal.encode());
        Ok(Some(Answer::new(&answer)))
    }

    fn fault(
        &mut self,
        stress: &mut Stress,
        index: usize,
        message: &Message,
    ) -> Outcome<Option<Answer>> {
        check_eq!(message.info.label(), sys::seL4_Fault_VMFault);
        check_eq!(message.words().len(), sys::seL4_VMFault_Length as usize);
        let word = |index: usize| message.words()[index] as usize;
        let fault = PageFault::from_x86_words(word(0), word(1), word(2), word(3));
        let badge = message.badge;
        let handled = stress.attempt(Kind::ClientFault, |vmm| vmm.handle_fault(badge, &fault))?;
        let end = match handled.map(|handled| handled.resolution) {
            Some(Resolution::Resolved(_)) => return Ok(Some(Answer::empty())),
            Some(Resolution::AskPager { token, page }) => {
                let (service, thread) = (&mut self.host.service, ThreadId::from_badge(badge));
                let asked = stress.attempt(Kind::PagerCall, |vmm| {
                    service.ask_pager(vmm, thread, fault, token, page)
                })?;
                match asked {
                    Some(Some(slot)) => {
                        keep_caller(&stress.vmm, slot)?;
                        return Ok(None);
                    }
                    Some(None) => End::Abandoned,
                    None => End::Short,
                }
            }
            None => End::Short,
            Some(resolution) => {
                check_eq!(resolution, Resolution::Unresolved(FaultClass::NoRegion));
                check!(self.clients[index].argument & WILD != 0);
                End::Wild
            }
        };
        self.host.service.kill(self.clients[index].id)?;
        self.ends(stress, index, end)?;
        Ok(None)
    }

    /// Does what is due for others than whose message came: pages have come, or never will.
    fn settle_due(&mut self, stress: &mut Stress) -> Outcome {
        while let Some(due) = self.host.service.next_due(&mut stress.vmm)? {
            match due {
                Due::Answer { slot, message } => {
                    let answer = message.map_or(Answer::empty(), |message| Answer::new(&message));
                    answer.send_kept(slot);
                }
                Due::Unresolved { thread, error, .. } => {
                    let end = if error.is_none() { End::Abandoned } else { End::Short };
                    let Some(index) = self.sender(stress, thread.badge()) else { continue };
                    self.host.service.kill(self.clients[index].id)?;
                    self.ends(stress, index, end)?;
                }
            }
        }
        Ok(())
    }

    /// A client has ended: what it had is taken back, and another may come.
    fn ends(&mut self, stress: &mut Stress, index: usize, end: End) -> Outcome {
        self.clients[index].end = Some(end);
        self.busy = true;
        match stress.random.once_in(3) {
            true => Ok(()),
            false => self.start(stress),
        }
    }
}

/// With which message a client is killed, and how.
fn plan(stress: &mut Stress) -> (usize, Kill) {
    let kills = [Kill::Unheard, Kill::Unanswered, Kill::Answered];
    (stress.random.size(128), kills[stress.random.below(kills.len())])
}

/// Lets a client's thread run.
fn let_run(start: &Start, argument: u32, priority: Word) -> Outcome {
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
