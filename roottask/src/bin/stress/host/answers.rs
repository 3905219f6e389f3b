// SPDX-License-Identifier: BSD-2-Clause
//! Answers to the requests and to the faults of clients.

use roottask::{check, check_eq, Outcome};
use sel4::sys;
use sel4_root_task::debug_println;
use vmm::sel4::faults::keep_caller;
use vmm::{FaultClass, PageFault, Resolution};
use vmm_service::protocol::Refusal;
use vmm_service::{Event, Incoming, CLIENT_BADGE};

use super::client::{End, WILD};
use super::session::Session;
use crate::engine::Stress;
use crate::measure::Kind;
use crate::threads::{Answer, Message};

impl Session<'_> {
    /// Answers a message of a client that has not ended.
    pub(super) fn answer(
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
            // It has 20 bits.
            label: message.info.label() as u32,
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
        self.clients[index].short |= answer == Refusal::OutOfMemory.encode();
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
        let word = |index: usize| message.words()[index];
        let fault = PageFault::from_x86_words(word(0), word(1), word(2), word(3));
        let badge = message.badge;
        let handled = stress.attempt(Kind::ClientFault, |vmm| vmm.handle_fault(badge, &fault))?;
        let end = match handled.map(|handled| (handled.resolution, handled.thread.id)) {
            Some((Resolution::Resolved(_), _)) => return Ok(Some(Answer::empty())),
            Some((Resolution::AskPager { token, page }, thread)) => {
                let service = &mut self.host.service;
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
            Some((resolution, _)) => {
                check_eq!(resolution, Resolution::Unresolved(FaultClass::NoRegion));
                check!(self.clients[index].argument & WILD != 0);
                End::Wild
            }
        };
        self.host.service.kill(self.clients[index].id)?;
        self.ends(stress, index, end)?;
        Ok(None)
    }
}
