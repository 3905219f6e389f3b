//! Typed calls. Long work is asked for in pieces until it is done.

use core::fmt;

use sel4::{cap, MessageInfoBuilder, Word};

use crate::protocol::{
    Amounts, Answer, Info, Limits, Line, Malformed, Name, NewThread, Options, PagedFault, Refusal,
    RegionHandle, Request, Reserve, Rights, Statistics, MOST_WORDS, SERVICE_SLOT,
};

/// Why a call failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// The service refused.
    Refused(Refusal),
    /// The service's answer is none of this protocol, or none to this request.
    Answer,
}

/// What calls return.
pub type Result<T = ()> = core::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused(refusal) => refusal.fmt(f),
            Error::Answer => f.write_str("the service's answer makes no sense"),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        Error::Refused(refusal)
    }
}

impl From<Malformed> for Error {
    fn from(_: Malformed) -> Error {
        Error::Answer
    }
}

/// A region of memory that the service made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Memory {
    /// What the service knows it by.
    pub handle: RegionHandle,
    /// Its first page that can be used.
    pub first: usize,
    /// Its pages, without guards.
    pub pages: u32,
}

/// A further thread of this program: the address of its IPC buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Thread(pub u32);

/// The service, as this client reaches it: through the endpoint in [`SERVICE_SLOT`].
#[derive(Clone, Copy, Debug)]
pub struct Service(cap::Endpoint);

impl Default for Service {
    fn default() -> Self {
        Service(cap::Endpoint::from_bits(SERVICE_SLOT))
    }
}

impl Service {
    /// Sends any message and returns the answer: for tests of the service. Capabilities are the
    /// CPtrs of up to three to send with it.
    pub fn send_raw(
        &self,
        label: u32,
        words: &[u32],
        capabilities: &[u32],
    ) -> Result<core::result::Result<Answer, Refusal>> {
        let words = &words[..words.len().min(sel4::NUM_MESSAGE_REGISTERS)];
        let capabilities = &capabilities[..capabilities.len().min(3)];
        sel4::with_ipc_buffer_mut(|buffer| {
            buffer.msg_regs_mut()[..words.len()].copy_from_slice(words);
            buffer.caps_or_badges_mut()[..capabilities.len()].copy_from_slice(capabilities);
        });
        let info = MessageInfoBuilder::default()
            .label(label as Word)
            .length(words.len())
            .extra_caps(capabilities.len());
        let answer = self.0.call(info.build());
        let length = answer.length().min(MOST_WORDS);
        Ok(sel4::with_ipc_buffer(|buffer| {
            Answer::parse(answer.label(), &buffer.msg_regs()[..length])
        })?)
    }

    /// Asks for one thing, and returns the answer.
    ///
    /// # Errors
    /// [`Error`].
    pub fn call(&self, request: &Request) -> Result<Answer> {
        let message = request.encode();
        Ok(self.send_raw(message.label(), message.words(), &[])??)
    }

    fn done(&self, request: &Request) -> Result {
        match self.call(request)? {
            Answer::Done => Ok(()),
            _ => Err(Error::Answer),
        }
    }

    fn region(&self, request: &Request) -> Result<Memory> {
        match self.call(request)? {
            Answer::Region { handle, first, pages } => {
                Ok(Memory { handle, first: first as usize, pages })
            }
            _ => Err(Error::Answer),
        }
    }

    /// Asks for pages until all are done.
    fn in_pieces(&self, start: usize, pages: u32, request: impl Fn(u32, u32) -> Request) -> Result {
        let mut done = 0;
        loop {
            match self.call(&request(start as u32 + (done << 12), pages - done))? {
                Answer::Pages(some) if some <= pages - done && (some != 0 || pages == 0) => {
                    done += some;
                }
                _ => return Err(Error::Answer),
            }
            if done == pages {
                return Ok(());
            }
        }
    }

    /// Asks for a region, and for more of it until all its pages are done.
    fn region_in_pieces(
        &self,
        request: &Request,
        more: impl Fn(RegionHandle, u32) -> Request,
    ) -> Result<Memory> {
        let Answer::Part { handle, first, pages, mut done } = self.call(request)? else {
            return Err(Error::Answer);
        };
        while done < pages {
            let error = match self.call(&more(handle, done)) {
                Ok(Answer::Pages(some)) if (1..=pages - done).contains(&some) => {
                    done += some;
                    continue;
                }
                Ok(_) => Error::Answer,
                Err(error) => error,
            };
            self.release(handle)?;
            return Err(error);
        }
        Ok(Memory { handle, first: first as usize, pages })
    }

    /// Addresses for a region.
    pub fn reserve(&self, reserve: Reserve) -> Result<Memory> {
        self.region(&Request::Reserve(reserve))
    }

    /// Fresh memory, mapped: `pages` pages, readable and writable, with a guard on either side.
    pub fn allocate(&self, pages: u32, name: &str) -> Result<Memory> {
        let memory = self.reserve(Reserve { guards: (1, 1), ..plain(pages, name) })?;
        if let Err(error) = self.map(memory.first, memory.pages) {
            self.release(memory.handle)?;
            return Err(error);
        }
        Ok(memory)
    }

    /// Memory that is mapped as it is touched, `around` pages at a time.
    pub fn allocate_on_demand(&self, pages: u32, around: u32, name: &str) -> Result<Memory> {
        self.reserve(Reserve { guards: (1, 1), around, ..plain(pages, name) })
    }

    /// Maps fresh memory in pages of a region. After an error some of them may be mapped.
    pub fn map(&self, start: usize, pages: u32) -> Result {
        self.in_pieces(start, pages, |start, pages| Request::Map { start, pages })
    }

    /// Unmaps pages. After an error some of them may be unmapped.
    pub fn unmap(&self, start: usize, pages: u32) -> Result {
        self.in_pieces(start, pages, |start, pages| Request::Unmap { start, pages })
    }

    /// Gives pages new rights. After an error some of them may have them.
    pub fn protect(&self, start: usize, pages: u32, rights: Rights) -> Result {
        self.in_pieces(start, pages, |start, pages| Request::Protect { start, pages, rights })
    }

    /// Gives a region back, with what is mapped in it.
    pub fn release(&self, region: RegionHandle) -> Result {
        loop {
            match self.call(&Request::Release(region))? {
                Answer::Done => return Ok(()),
                Answer::Pages(_) => {}
                _ => return Err(Error::Answer),
            }
        }
    }

    /// What is at an address.
    pub fn query(&self, address: usize) -> Result<Option<Info>> {
        self.info(&Request::Query { address: address as u32, next: false })
    }

    /// The first region at an address or above.
    pub fn next_region(&self, address: usize) -> Result<Option<Info>> {
        self.info(&Request::Query { address: address as u32, next: true })
    }

    fn info(&self, request: &Request) -> Result<Option<Info>> {
        match self.call(request)? {
            Answer::Info(info) => Ok(Some(info)),
            Answer::Done => Ok(None),
            _ => Err(Error::Answer),
        }
    }

    /// Offers pages to another client; returns the ticket.
    pub fn offer(&self, to: u32, start: usize, pages: u32, rights: Rights) -> Result<u32> {
        match self.call(&Request::Offer { to, start: start as u32, pages, rights })? {
            Answer::Ticket(ticket) => Ok(ticket),
            _ => Err(Error::Answer),
        }
    }

    /// Takes back an offer that was not accepted.
    pub fn withdraw(&self, ticket: u32) -> Result {
        self.done(&Request::Withdraw { ticket })
    }

    /// Maps what another client offered: the offer with this ticket, or the oldest for 0.
    /// Nothing is mapped after an error.
    pub fn accept(&self, from: u32, ticket: u32, rights: Rights) -> Result<Memory> {
        self.region_in_pieces(&Request::Accept { from, ticket, address: 0, rights }, |region, _| {
            Request::AcceptMore { from, region }
        })
    }

    /// Offers another client to be the pager of a region of `pages` pages, which this client is told
    /// of as `key`; returns the ticket.
    pub fn offer_paging(&self, to: u32, key: u32, pages: u32, rights: Rights) -> Result<u32> {
        match self.call(&Request::OfferPaging { to, key, pages, rights })? {
            Answer::Ticket(ticket) => Ok(ticket),
            _ => Err(Error::Answer),
        }
    }

    /// Reserves a region whose pages another client supplies that offered it.
    pub fn accept_paging(&self, from: u32, ticket: u32, rights: Rights) -> Result<Memory> {
        self.region(&Request::AcceptPaging { from, ticket, address: 0, rights })
    }

    /// Waits for the oldest fault, younger than the one with the ticket `after` (0: of all), that
    /// this client is to supply the page for. `None` when there is nothing more to page.
    pub fn next_fault(&self, after: u32) -> Result<Option<PagedFault>> {
        match self.call(&Request::NextFault { after })? {
            Answer::Fault(fault) => Ok(Some(fault)),
            Answer::Done => Ok(None),
            _ => Err(Error::Answer),
        }
    }

    /// Supplies the page that a thread waits for: the page at the address `page` of this client's,
    /// which both have then.
    pub fn share_page(&self, ticket: u32, page: usize) -> Result {
        self.done(&Request::Supply { ticket, page: page as u32, give: false })
    }

    /// The same, giving the page away: it is unmapped here.
    pub fn give_page(&self, ticket: u32, page: usize) -> Result {
        self.done(&Request::Supply { ticket, page: page as u32, give: true })
    }

    /// Refuses the page that a thread waits for.
    pub fn refuse_page(&self, ticket: u32) -> Result {
        self.done(&Request::Refuse { ticket })
    }

    /// Clones a region, copy-on-write. There is no clone after an error. What other threads of this
    /// program write meanwhile may be in it or not.
    pub fn clone_region(&self, region: RegionHandle) -> Result<Memory> {
        self.region_in_pieces(&Request::Clone { region, address: 0 }, |into, page| {
            Request::CloneMore { region, into, page }
        })
    }

    /// An IPC buffer for a new thread, the capability to its frame in `slot`.
    pub fn ipc_buffer(&self, slot: u32) -> Result<usize> {
        match self.call(&Request::IpcBuffer { slot })? {
            Answer::Address(address) => Ok(address as usize),
            _ => Err(Error::Answer),
        }
    }

    /// Gives such a buffer back.
    pub fn release_ipc_buffer(&self, address: usize) -> Result {
        self.done(&Request::ReleaseIpcBuffer { address: address as u32 })
    }

    /// Starts a further thread of this program, with a stack of `stack_pages` pages, an IPC buffer
    /// and thread-local storage of its own; returns what it is known by. It begins at `entry`, which
    /// [`client_thread!`](crate::client_thread) makes, and is told `argument`. `slot` is an empty one
    /// of the program's CNode: the service puts the endpoint there that the thread's faults go to.
    pub fn spawn(
        &self,
        entry: extern "fastcall" fn(usize, usize) -> !,
        argument: usize,
        stack_pages: u32,
        slot: u32,
    ) -> Result<Thread> {
        let (entry, argument) = (entry as usize as u32, argument as u32);
        let thread = NewThread { entry, argument, stack_pages, slot };
        match self.call(&Request::Thread(thread))? {
            Answer::Address(address) => Ok(Thread(address)),
            _ => Err(Error::Answer),
        }
    }

    /// Ends a thread that was started so, wherever it is, and gives back all it had.
    pub fn end_thread(&self, thread: Thread) -> Result {
        self.done(&Request::EndThread { thread: thread.0, own: false })
    }

    /// What this client has.
    pub fn statistics(&self) -> Result<Statistics> {
        match self.call(&Request::Statistics)? {
            Answer::Statistics(statistics) => Ok(statistics),
            _ => Err(Error::Answer),
        }
    }

    /// Who this client is, and what it may have.
    pub fn limits(&self) -> Result<Limits> {
        match self.call(&Request::Limits)? {
            Answer::Limits(limits) => Ok(limits),
            _ => Err(Error::Answer),
        }
    }

    /// Moves part of what this client may have to a child.
    pub fn give_quota(&self, child: u32, amounts: Amounts) -> Result {
        self.done(&Request::Split { child, back: false, amounts })
    }

    /// Moves part of what a child may have, and does not use, back.
    pub fn take_quota(&self, child: u32, amounts: Amounts) -> Result {
        self.done(&Request::Split { child, back: true, amounts })
    }

    /// Ends a child.
    pub fn kill(&self, child: u32) -> Result {
        self.done(&Request::Kill { child })
    }

    /// A line for people to read.
    pub fn say(&self, line: Line) -> Result {
        self.done(&Request::Say(line))
    }

    /// Ends this client, 0 for success.
    pub fn exit(&self, code: u32) -> ! {
        loop {
            // Not answered; whatever comes back all the same is no reason to go on.
            let _ = self.call(&Request::Exit { code });
        }
    }
}

/// A region anywhere, readable and writable, mapped by request.
fn plain(pages: u32, name: &str) -> Reserve {
    Reserve {
        pages,
        address: 0,
        rights: Rights::READ_WRITE,
        ceiling: Rights::READ_WRITE,
        around: 0,
        guards: (0, 0),
        options: Options::empty(),
        name: Name::new(name),
    }
}
