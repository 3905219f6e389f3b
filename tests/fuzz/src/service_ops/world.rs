// SPDX-License-Identifier: BSD-2-Clause
//! The service with its server, and what its clients know.

use vmm::{CPtr, RegionId, ThreadId};
use vmm_service::protocol::{Answer, RegionHandle};
use vmm_service::{ClientId, Error, Service};
use vmm_tests::support::Fixture;

use crate::bytes::Bytes;

/// Who sent a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sender {
    /// A client, by its capability to the service.
    Client(ClientId),
    /// Some thread of its client's, by this thread's capability to its fault endpoint.
    Thread(ThreadId),
}

/// What a client knows.
pub struct Known {
    pub id: ClientId,
    /// Handle, first page, pages.
    pub regions: Vec<(RegionHandle, usize, u32)>,
    /// Addresses of IPC buffers, of its threads' too.
    pub buffers: Vec<usize>,
    /// Tickets of faults that it was told of.
    pub faults: Vec<u64>,
    /// Where the right to answer its wait for a fault is kept, and after which.
    pub waits: Option<(CPtr, u64)>,
}

/// A service with clients, and the server that it has.
pub struct World<'a> {
    pub host: Fixture<'a>,
    pub service: Service<'a>,
    pub endpoint: CPtr,
    pub clients: Vec<Known>,
    /// Clients that were.
    pub former: Vec<ClientId>,
    /// Threads that wait for a page, and where the right to answer each is kept.
    pub asleep: Vec<(ThreadId, CPtr)>,
    /// Who sent what waits in the queue, or did.
    pub sent: Vec<Sender>,
    pub regions: Vec<RegionId>,
    pub slots: Vec<(CPtr, usize)>,
    pub steps: usize,
    pub trace: bool,
    /// Whether a kernel call was refused in this step.
    pub failing: bool,
}

impl<'a> World<'a> {
    /// A service without clients, with numbers up to `numbers`; `None` where memory is too short.
    pub fn new(mut host: Fixture<'a>, numbers: u32, trace: bool) -> Option<World<'a>> {
        host.vmm.narrow_numbers(numbers);
        let endpoint = host.vmm.allocate(vmm::Blueprint::Endpoint).ok()?.slot();
        let mut service = Service::new(&mut host.vmm, endpoint).ok()?;
        service.narrow_numbers(numbers);
        Some(World {
            host,
            service,
            endpoint,
            clients: Vec::new(),
            former: Vec::new(),
            asleep: Vec::new(),
            sent: Vec::new(),
            regions: Vec::new(),
            slots: Vec::new(),
            steps: 0,
            trace,
            failing: false,
        })
    }

    /// A client that lives, if one does.
    pub fn some_client(&self, bytes: &mut Bytes<'_>) -> Option<ClientId> {
        let place = bytes.below(self.clients.len());
        self.clients.get(place).map(|client| client.id)
    }

    /// One of a client's threads.
    pub fn some_thread(&self, client: ClientId, bytes: &mut Bytes<'_>) -> Option<ThreadId> {
        let vmm = &self.host.vmm;
        let (mut at, mut threads) = (0, Vec::new());
        while let Some(thread) = vmm.next_thread(at) {
            at = thread.badge();
            if vmm.space_of_thread(thread) == Ok(client.space()) {
                threads.push(thread);
            }
        }
        threads.get(bytes.below(threads.len())).copied()
    }

    /// The server ends a client.
    pub fn kill(&mut self, client: ClientId) {
        self.service.kill(client).expect("it lives");
        self.remove(client);
        let again = self.service.kill(client);
        assert_eq!(again, Err(Error::NoSuchClient(client)), "it has ended");
    }

    /// A client has ended.
    pub fn remove(&mut self, client: ClientId) {
        self.clients.retain(|known| known.id != client);
        assert_ne!(self.service.client_of_badge(client.badge()), Some(client));
        self.former.push(client);
    }
}

impl Known {
    /// Remembers what an answer tells.
    pub fn learn(&mut self, answer: Answer) {
        match answer {
            Answer::Region { handle, first, pages } | Answer::Part { handle, first, pages, .. } => {
                self.regions.push((handle, first, pages));
            }
            Answer::Address(address) => self.buffers.push(address),
            Answer::Fault(fault) => self.faults.push(fault.ticket),
            _ => {}
        }
    }
}
