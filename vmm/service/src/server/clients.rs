// SPDX-License-Identifier: BSD-2-Clause
//! A server and its clients: made, loaded, started.

use sel4::{cap, Word};
use vmm::sel4::faults::Manager;
use vmm::{CPtr, Quota, Rights};

use crate::server::exchange;
use crate::server::report::{Counts, End, Notice, ServerError};
use crate::service::Service;
use crate::types::ids::ClientId;
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
    /// Where it begins, once its program is loaded.
    start: Option<Start>,
    /// Whether it was let run.
    started: bool,
    end: Option<End>,
}

/// A server of client programs: the service, and the loop that answers at its endpoint.
pub struct Server {
    pub(super) endpoint: cap::Endpoint,
    pub(super) service: Service<'static>,
    clients: [Option<Entry>; MAX_CLIENTS],
    pub(super) options: Options,
    pub(super) counts: Counts,
}

impl Server {
    /// A server without clients at this endpoint.
    ///
    /// # Errors
    /// What the manager refuses.
    pub fn new(vmm: &mut Manager, endpoint: CPtr, options: Options) -> Result<Server, ServerError> {
        Ok(Server {
            endpoint: endpoint.cap(),
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
        *free = Some(Entry { client, start: None, started: false, end: None });
        Ok(client)
    }

    /// Loads its program. A client whose program is refused ends, and [`Server::run`] gives back
    /// what it has.
    ///
    /// # Errors
    /// Those of [`Service::load`]. A client that has a program goes on with that.
    pub fn load(
        &mut self,
        vmm: &mut Manager,
        client: ClientId,
        file: &[u8],
    ) -> Result<(), ServerError> {
        let stack_pages = self.options.stack_pages;
        let program = Program { file, stack_pages, writable_code: false };
        let loaded = self.service.load(vmm, client, &program);
        let Some(entry) = self.entry(client) else { return Ok(loaded.map(|_| ())?) };
        match loaded {
            Ok(start) => entry.start = Some(start),
            // Half of it may be there, so there is no second try.
            Err(error) => {
                if entry.start.is_none() && entry.end.is_none() {
                    self.service.kill(client)?;
                    self.note_end(client, End::NotLoaded);
                }
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Ends a client, whether it runs or was never started. [`Server::run`] gives back what it has.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchClient`] when there is no such client, or it has ended before.
    pub fn kill(&mut self, client: ClientId) -> Result<(), ServerError> {
        self.service.kill(client)?;
        self.note_end(client, End::Killed);
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
    pub fn start(&mut self, client: ClientId, argument: usize) -> Result<(), ServerError> {
        let start = self.entry(client).and_then(|entry| entry.start);
        let start = start.ok_or(crate::Error::NoProgram(client))?;
        self.set_going(&start, argument)?;
        if let Some(entry) = self.entry(client) {
            entry.started = true;
        }
        Ok(())
    }

    /// Notes how a client ended, and tells of it.
    pub(super) fn note_end(&mut self, client: ClientId, end: End) {
        let name = self.service.name(client).unwrap_or_default();
        (self.options.report)(&Notice::Ended { name: name.as_str(), end });
        if let Some(entry) = self.entry(client) {
            entry.end = Some(end);
        }
    }

    /// Whether a client of this server runs. One that was not started cannot end by itself.
    pub(super) fn has_running(&self) -> bool {
        self.clients.iter().flatten().any(|entry| entry.started && entry.end.is_none())
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
    pub(super) fn set_going(&self, start: &Start, argument: usize) -> Result<(), ServerError> {
        Ok(exchange::set_going(start, argument, self.options.priority)?)
    }
}
