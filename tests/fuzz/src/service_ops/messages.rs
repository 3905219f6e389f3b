// SPDX-License-Identifier: BSD-2-Clause
//! What the server does: it hands messages to the service, and does what is due for others.

use vmm_service::protocol::{Answer, Refusal};
use vmm_service::{ClientId, Deferred, Event, Incoming};

use super::world::{Known, World};

/// The number of `Request::Supply`, which charges who gets the page.
const SUPPLY: u32 = 22;

impl World<'_> {
    /// A message with this badge is received and answered.
    pub fn message(&mut self, badge: usize, label: u32, words: &[usize], capabilities: usize) {
        let sender = self.service.client_of_badge(badge);
        let before = self.usages();
        let message = Incoming { badge, label, words, capabilities };
        let outcome = self.service.handle(&mut self.host.vmm, &message);
        let mut charged: Vec<_> = sender.into_iter().map(ClientId::space).collect();
        if label & 0xfff == SUPPLY {
            charged.extend(self.clients.iter().map(|client| client.id.space()));
        }
        self.nobody_else_pays(&before, &charged);
        let Some(sender) = sender else {
            let nothing = outcome.answer.is_none() && outcome.event.is_none();
            assert!(nothing && outcome.keep.is_none(), "nobody's message is answered");
            return;
        };
        let silent = matches!(outcome.event, Some(Event::Exited(..) | Event::ThreadEnded(_)));
        let answered = outcome.answer.is_some();
        let answers = [answered, silent, outcome.keep.is_some()].map(usize::from);
        assert_eq!(answers.iter().sum::<usize>(), 1, "{outcome:?}");
        if let Some(Event::Exited(gone, _) | Event::Killed(gone)) = outcome.event {
            self.remove(gone);
        }
        let Some(known) = self.clients.iter_mut().find(|known| known.id == sender) else { return };
        if let Some(slot) = outcome.keep {
            let [low, high] = words else { panic!("{words:?} waits") };
            known.waits = Some((slot, *low as u64 | (*high as u64) << 32));
        }
        let Some(answer) = outcome.answer else { return };
        let answer = Answer::parse(answer.label(), answer.words()).expect("a sound answer");
        if self.trace {
            eprintln!("    => {answer:x?}");
        }
        match answer {
            Ok(answer) => known.learn(answer),
            Err(Refusal::Internal) => assert!(self.failing, "{label:#x} {words:x?}: internal"),
            Err(_) => {}
        }
    }

    /// Does what is due for others, as a server does.
    pub fn do_deferred(&mut self) {
        for _ in 0..500 {
            let has = self.service.has_deferred();
            match self.service.next_deferred(&mut self.host.vmm) {
                Ok(None) => return,
                Ok(Some(due)) => {
                    assert!(has, "a server would not have asked: {due:?}");
                    self.deferred(due);
                }
                Err(error) => panic!("no call is refused: {error:?}"),
            }
        }
        panic!("there is no end to what is due");
    }

    fn deferred(&mut self, due: Deferred) {
        match due {
            Deferred::Answer { slot, message: Some(message) } => {
                let answer = Answer::parse(message.label(), message.words());
                let answer = answer.expect("a sound answer").expect("no refusal");
                let is_it = |known: &&mut Known| known.waits.is_some_and(|(at, _)| at == slot);
                let known = self.clients.iter_mut().find(is_it).expect("somebody waits by it");
                known.waits = None;
                known.learn(answer);
            }
            Deferred::Answer { slot, message: None } => {
                let place = self.asleep.iter().position(|&(_, at)| at == slot);
                self.asleep.remove(place.expect("a thread waits by it"));
            }
            Deferred::Unresolved { thread, .. } => {
                self.asleep.retain(|(other, _)| *other != thread);
                let space = self.host.vmm.space_of_thread(thread);
                if let Some(client) = space.ok().and_then(|space| self.service.client_in(space)) {
                    self.kill(client);
                }
            }
        }
    }
}
