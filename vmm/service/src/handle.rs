// SPDX-License-Identifier: BSD-2-Clause
//! Messages of clients, taken apart and answered.

use vmm::{Kernel, Memory, Vmm};
use vmm_client::protocol::{Answer, Malformed, Refusal, Request};

use crate::memory;
use crate::service::Service;
use crate::state::client::Client;
use crate::types::ids::ClientId;
use crate::types::message::{Event, Incoming, Outcome};

impl<'p> Service<'p> {
    /// Answers a message of a client. A message of nobody's, or of a client that has ended, is not
    /// answered. At most [`crate::protocol::MAX_PAGES`] pages are touched for it.
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
        match request {
            Ok(request) => self.serve(vmm, client, request),
            Err(malformed) => Outcome::answer(Err(Refusal::Malformed(malformed))),
        }
    }

    /// Serves a request. The first ones come to more than an answer.
    fn serve<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        client: &'p Client<'p>,
        request: Request,
    ) -> Outcome {
        let id = client.id();
        let answer = match request {
            Request::Say(line) => {
                return Outcome::answer(Ok(Answer::Done)).with(Event::Said(id, line));
            }
            Request::Exit { code } => {
                self.begin_teardown(client);
                return Outcome::default().with(Event::Exited(id, code));
            }
            Request::NextFault { after } => return self.next_fault(vmm, client, after),
            Request::Thread(thread) => return self.new_thread(vmm, client, &thread),
            Request::Kill { child } => match self.kill_child(client, child) {
                Ok(child) => return Outcome::answer(Ok(Answer::Done)).with(Event::Killed(child)),
                Err(refusal) => Err(refusal),
            },
            Request::EndThread { thread, own } => match self.end_thread(vmm, client, thread) {
                Ok(()) if own => return Outcome::default().with(Event::ThreadEnded(id)),
                ended => ended.map(|()| Answer::Done),
            },

            Request::Reserve(reserve) => memory::reserve(vmm, client, &reserve),
            Request::Map { start, pages } => memory::map(vmm, client, start, pages),
            Request::Unmap { start, pages } => memory::unmap(vmm, client, start, pages),
            Request::Protect { start, pages, rights } => {
                memory::protect(vmm, client, start, pages, rights)
            }
            Request::Release(region) => match memory::release(vmm, client, region) {
                Ok((answer, token)) => {
                    token.into_iter().for_each(|token| self.remove_paging(client, token));
                    Ok(answer)
                }
                Err(refusal) => Err(refusal),
            },
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
        };
        Outcome::answer(answer)
    }

    fn kill_child(&mut self, client: &Client<'p>, child: u32) -> Result<ClientId, Refusal> {
        let child = self.child_of(client, child)?;
        self.begin_teardown(child);
        Ok(child.id())
    }
}
