// SPDX-License-Identifier: BSD-2-Clause
//! What must hold after each step, and at the end.

use vmm::{Quota, Resource, SpaceId};
use vmm_service::CLIENT_BADGE;

use super::world::World;
use crate::machine::{CHECKED, CHECKED_EACH, give_back};

/// What each client has, before something is done.
pub type Usages = Vec<(SpaceId, Quota)>;

impl World<'_> {
    /// What all clients have that live.
    pub fn usages(&self) -> Usages {
        let spaces = self.clients.iter().map(|client| client.id.space());
        spaces.filter_map(|space| Some((space, self.host.vmm.usage(space).ok()?))).collect()
    }

    /// Nobody but these is charged with more than before.
    pub fn nobody_else_pays(&self, before: &Usages, charged: &[SpaceId]) {
        for (space, used) in before.iter().filter(|(space, _)| !charged.contains(space)) {
            let Ok(now) = self.host.vmm.usage(*space) else { continue };
            for resource in Resource::ALL {
                let (was, is) = (used.of(resource), now.of(resource));
                assert!(is <= was, "{space:?} pays for {resource:?} of others: {was}, then {is}");
            }
        }
    }

    /// All that must hold between two steps.
    pub fn check(&mut self) {
        if !CHECKED {
            return;
        }
        self.steps += 1;
        assert_eq!(self.host.vmm.validate(), Ok(()));
        if self.trace || self.steps.is_multiple_of(CHECKED_EACH) {
            self.host.kernel().check_manager();
        }
        for client in &self.clients {
            let (limits, used) = self.service.account(&self.host.vmm, client.id).expect("it lives");
            for resource in Resource::ALL {
                let (used, limit) = (used.of(resource), limits.of(resource));
                assert!(used <= limit, "{:?} has {used} of {limit} {resource:?}", client.id);
            }
            if let Some((_, after)) = client.waits {
                let queue = CLIENT_BADGE as u32 | client.id.number();
                let missed = self.host.vmm.next_request(queue, after);
                assert_eq!(missed, None, "a pager waits and is not told");
            }
        }
        for (thread, slot) in &self.asleep {
            let Ok(request) = self.host.vmm.request_of(*thread) else { continue };
            assert!(
                request.is_some(),
                "{thread:?} waits, and is forgotten; its right is in {slot:?}"
            );
        }
    }

    /// Everybody ends, and all comes back.
    pub fn end(mut self) {
        self.host.kernel().disarm();
        for client in std::mem::take(&mut self.clients) {
            self.service.kill(client.id).expect("it lives");
        }
        let mut pieces = 0;
        while self.service.reap_step(&mut self.host.vmm).expect("no call is refused") {
            self.do_deferred();
            pieces += 1;
            assert!(pieces < 10_000, "what ended is never gone");
        }
        self.do_deferred();
        give_back(&mut self.host, &mut self.regions, &mut self.slots);
        let vmm = &self.host.vmm;
        let stats = vmm.stats();
        assert_eq!(stats.allocator.quarantined, 0, "nothing is in quarantine");
        if vmm.allocator().grown_root().is_none() {
            let kernel = self.host.kernel();
            let is_empty = |&slot: &usize| kernel.is_empty_slot(vmm::CPtr::new(slot));
            let empty = kernel.facts().free.clone().filter(is_empty).count();
            assert_eq!(empty, stats.allocator.free_slots, "slots that are empty are free");
        }
        self.host.kernel().check_manager();
    }
}
