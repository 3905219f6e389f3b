//! The service: memory for programs that do not trust each other.
//!
//! ```text
//!   client ──message──► Incoming ──► Service::handle ──► Outcome: an answer, and what happened
//!          (its badge,               │
//!           words)                   │  clients.rs   who they are; accounts that are split
//!                                    │  memory.rs    requests about the sender's own memory
//!                                    │  offers.rs    what one offers another: memory, to page
//!                                    │  paging.rs    pages that one supplies to another
//!                                    │  refusal.rs   the manager's errors as answers
//!                                    │
//!   a program starts ────────────────┤  image.rs     its ELF file, segment by segment
//!                                    │  program.rs   its CSpace, and what it begins with
//!                                    │  workers.rs   its threads, the first and further ones
//!   it ends: exit, kill, fault ──────┘  death.rs     all it had, given back in pieces
//! ```
//!
//! What keeps clients apart is what a message can say. It names the sender's own addresses and
//! numbers, which are looked up in the space that belongs to the badge, and nowhere else. The badge
//! is the kernel's word for who sends.
//!
//! No request takes long: at most [`protocol::MOST_PAGES`] pages are touched, and what is left is
//! asked for again. A client that ends is taken apart between other requests, by [`Service::work`].
//!
//! Nothing here makes a system call but through the manager's seam, so all of it runs on the model
//! kernel too. What a server adds is the loop, and starting threads.

mod clients;
mod death;
mod image;
mod memory;
mod offers;
mod paging;
mod program;
mod refusal;
mod workers;

use intrusive_collections::RBTree;
use untyped_alloc::{CPtr, Kernel, Memory, Pool};
pub use vmm_client::protocol;
use vmm_client::protocol::{Answer, Line, Malformed, Message, Refusal, Request};

use crate::PageRequest;
use crate::Vmm;
use crate::{Error, NodeKind, Result};

use clients::{ByNumber, Client};
pub use clients::{ClientId, CLIENT_BADGE};
pub use image::ImageError;
use offers::{ByTicket, Offer};
pub use paging::Due;
use paging::{ByToken, Paging};
pub use program::{Program, Start};

/// A message from a client, as the kernel delivered it.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// The badge.
    pub badge: usize,
    /// The label of its message info.
    pub label: u32,
    /// Its words.
    pub words: &'a [u32],
    /// Capabilities that came with it, unwrapped ones included.
    pub capabilities: usize,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// What to answer. Without it (and without `keep`) the sender is gone, or was never there: do
    /// not answer.
    pub answer: Option<Message>,
    /// What a server may want to know of.
    pub event: Option<Event>,
    /// The sender is answered later: put the right to answer it into this empty slot
    /// (`CNode_SaveCaller`). There is no answer then.
    pub keep: Option<CPtr>,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A client has a line for people.
    Said(ClientId, Line),
    /// A client has ended itself, with this code.
    Exited(ClientId, u32),
    /// A client was ended by its parent.
    Killed(ClientId),
    /// A further thread of a client's has ended itself.
    ThreadEnded(ClientId),
    /// A client has a further thread, which does not run yet: write its registers and set it going.
    Thread {
        /// The client.
        client: ClientId,
        /// What its registers are to be.
        start: Start,
        /// A word for it.
        argument: u32,
    },
}

/// Who its clients are and what they have offered each other.
///
/// One endpoint serves all of them. It is a companion of a [`Vmm`], and every method is to be given
/// the same one.
pub struct Service<'p> {
    endpoint: CPtr,
    clients: RBTree<ByNumber<'p>>,
    offers: RBTree<ByTicket<'p>>,
    free_clients: Pool<'p, Client<'p>>,
    free_offers: Pool<'p, Offer<'p>>,
    pagings: RBTree<ByToken<'p>>,
    free_pagings: Pool<'p, Paging<'p>>,
    last_token: u32,
    /// Clients that are being taken apart.
    dying: Option<&'p Client<'p>>,
    /// Pagers for which there may be something.
    poked: Option<&'p Client<'p>>,
    /// Whom `next_due` had answered.
    answered: Option<CPtr>,
    /// The right to answer a thread whose page is there.
    goes_on: Option<CPtr>,
    /// A fault that was not resolved when its pager answered.
    unresolved: Option<(PageRequest, Option<Error>)>,
}

impl<'p> Service<'p> {
    /// A service without clients, whose messages and faults come to `endpoint`.
    ///
    /// # Errors
    /// Those of [`Vmm::map`]: it takes three pages for its own book-keeping, for good.
    pub fn new<K: Kernel + Memory<'p>>(vmm: &mut Vmm<'p, K>, endpoint: CPtr) -> Result<Self> {
        let mut service = Service {
            endpoint,
            clients: RBTree::new(ByNumber::new()),
            offers: RBTree::new(ByTicket::new()),
            free_clients: Pool::new(|node| &node.next_free),
            free_offers: Pool::new(|node| &node.next_free),
            pagings: RBTree::new(ByToken::new()),
            free_pagings: Pool::new(|node| &node.next_free),
            last_token: 0,
            dying: None,
            poked: None,
            answered: None,
            goes_on: None,
            unresolved: None,
        };
        service.refill(vmm)?;
        Ok(service)
    }

    /// Brings the pools above their reserve.
    fn refill<K: Kernel + Memory<'p>>(&mut self, vmm: &mut Vmm<'p, K>) -> Result {
        if self.free_clients.free() == 0 {
            let page = bookkeeping_page(vmm)?;
            self.free_clients.adopt(&mut vmm.kernel, page);
        }
        if self.free_offers.free() == 0 {
            let page = bookkeeping_page(vmm)?;
            self.free_offers.adopt(&mut vmm.kernel, page);
        }
        if self.free_pagings.free() == 0 {
            let page = bookkeeping_page(vmm)?;
            self.free_pagings.adopt(&mut vmm.kernel, page);
        }
        Ok(())
    }

    /// Answers a message of a client. A message of nobody's, or of a client that has ended, is not
    /// answered.
    pub fn handle<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        message: &Incoming<'_>,
    ) -> Outcome {
        let Some(client) = self.alive_by_badge(message.badge) else { return Outcome::default() };
        let request = match message.capabilities {
            0 => Request::parse(message.label, message.words),
            _ => Err(Malformed::Capability),
        };
        let request = match request {
            Ok(request) => request,
            Err(what) => return Outcome::answer(Err(Refusal::Malformed(what))),
        };
        let id = client.id();
        match request {
            Request::Say(line) => {
                Outcome { event: Some(Event::Said(id, line)), ..Outcome::answer(Ok(Answer::Done)) }
            }
            Request::Exit { code } => {
                self.begin_to_die(client);
                Outcome { event: Some(Event::Exited(id, code)), ..Outcome::default() }
            }
            Request::NextFault { after } => self.next_fault(vmm, client, after),
            Request::Thread(thread) => self.new_thread(vmm, client, &thread),
            Request::Kill { child } => match self.child_of(client, child) {
                Ok(child) => {
                    self.begin_to_die(child);
                    let event = Some(Event::Killed(child.id()));
                    Outcome { event, ..Outcome::answer(Ok(Answer::Done)) }
                }
                Err(refusal) => Outcome::answer(Err(refusal)),
            },
            Request::EndThread { thread, own } => match self.end_thread(vmm, client, thread) {
                Ok(()) if own => {
                    Outcome { event: Some(Event::ThreadEnded(id)), ..Outcome::default() }
                }
                ended => Outcome::answer(ended.map(|()| Answer::Done)),
            },
            request => Outcome::answer(self.serve(vmm, client, request)),
        }
    }

    /// Serves a request that is answered and nothing else.
    fn serve<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        request: Request,
    ) -> Result<Answer, Refusal> {
        match request {
            Request::Reserve(reserve) => memory::reserve(vmm, client, &reserve),
            Request::Map { start, pages } => memory::map(vmm, client, start, pages),
            Request::Unmap { start, pages } => memory::unmap(vmm, client, start, pages),
            Request::Protect { start, pages, rights } => {
                memory::protect(vmm, client, start, pages, rights)
            }
            Request::Release(region) => {
                let (answer, token) = memory::release(vmm, client, region)?;
                token.into_iter().for_each(|token| self.drop_paging(client, token));
                Ok(answer)
            }
            Request::Query { address, next } => memory::query(vmm, client, address, next),
            Request::Clone { region, address } => {
                memory::clone_region(vmm, client, region, address)
            }
            Request::CloneMore { region, into, page } => {
                memory::clone_more(vmm, client, (region, into), page)
            }
            Request::IpcBuffer { slot } => memory::ipc_buffer(vmm, client, slot),
            Request::ReleaseIpcBuffer { address } => {
                memory::release_ipc_buffer(vmm, client, address)
            }
            Request::Statistics => memory::statistics(vmm, client),
            Request::Offer { to, start, pages, rights } => {
                self.offer(vmm, client, to, (start, pages), rights)
            }
            Request::Withdraw { ticket } => self.withdraw(client, ticket),
            Request::Accept { from, ticket, address, rights } => {
                self.accept(vmm, client, (from, ticket), address, rights)
            }
            Request::AcceptMore { from, region } => self.accept_more(vmm, client, from, region),
            Request::OfferPaging { to, key, pages, rights } => {
                self.offer_paging(vmm, client, to, key, (pages, rights))
            }
            Request::AcceptPaging { from, ticket, address, rights } => {
                self.accept_paging(vmm, client, (from, ticket), address, rights)
            }
            Request::Supply { ticket, page, give } => self.supply(vmm, client, ticket, page, give),
            Request::Refuse { ticket } => self.refuse_page(vmm, client, ticket),
            Request::Limits => self.limits_of(vmm, client),
            Request::Split { child, back, amounts } => {
                self.split(vmm, client, child, back, amounts)
            }
            // Answered by `handle`.
            Request::Say(_)
            | Request::Exit { .. }
            | Request::Kill { .. }
            | Request::Thread(_)
            | Request::EndThread { .. }
            | Request::NextFault { .. } => Ok(Answer::Done),
        }
    }
}

impl Outcome {
    fn answer(answer: Result<Answer, Refusal>) -> Outcome {
        let message = match answer {
            Ok(answer) => answer.encode(),
            Err(refusal) => refusal.encode(),
        };
        Outcome { answer: Some(message), ..Outcome::default() }
    }
}

/// Maps a page of our own that stays; returns its address.
fn bookkeeping_page<'p, K: Kernel + Memory<'p>>(vmm: &mut Vmm<'p, K>) -> Result<usize> {
    Ok(vmm.map_bookkeeping_page()?.start().bits())
}

/// What a pool that was just refilled has not run out of.
fn no_node() -> Error {
    Error::OutOfNodes(NodeKind::Space)
}
