// SPDX-License-Identifier: BSD-2-Clause
//! Capabilities revoked, and objects destroyed, by request: as far as one request does.

use vmm::{Kernel, Memory, Vmm};
use vmm_client::objects::{Answer, Refusal};

use super::answers::{refuse, Answered};
use super::capabilities::Place;
use super::service::Objects;
use super::state::capability::Capability;
use super::state::object::Object;
use super::state::program::Program;
use super::teardown::{MAX_GIVEN_BACK, MAX_STEPS};

impl<'p> Objects<'p> {
    /// Serves [`vmm_client::objects::Request::Revoke`].
    pub(super) fn revoke<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        program: &'p Program<'p>,
        node: &'p Capability<'p>,
        slot: u32,
    ) -> Answered {
        let (Some(object), Some(payer)) = (node.object.get(), node.payer.get()) else {
            return Err(Refusal::Internal {});
        };
        // First: what is in the way of it is found before anything ends. One that was begun has it.
        let new = match slot {
            _ if node.unwanted.get() && node.revoked.get() != Some(slot) => {
                return Err(Refusal::Gone { place: 0 });
            }
            _ if node.unwanted.get() => None,
            0 => None,
            _ => {
                let place = Place { program, payer, slot };
                let (rights, parent) = (node.rights.get(), node.parent.get());
                Some(self.hand_out(vmm, object, rights, parent, place)?)
            }
        };
        let mut done = Ok(false);
        self.given_back = 0;
        for _ in 0..MAX_STEPS {
            done = self.end_capability_step(vmm, node);
            if done != Ok(false) || self.given_back > MAX_GIVEN_BACK {
                break;
            }
        }
        if done == Ok(true) {
            return Ok(Answer::Done {});
        }
        let hangs = self.tables.first_derived(node).is_some()
            || self.tables.first_through(node.badge.get()).is_some();
        if done.is_err() && !hangs {
            // Its copies may be gone, and with them whoever could ask again. It names nothing from
            // now on, and the rest of its end is work that is left: for a sender that asks again,
            // or else for the service by itself.
            node.revoked.set(Some(slot));
            self.leave(node);
            return Ok(Answer::More {});
        }
        // The old one is still there, and is asked by again.
        if let Some(new) = new {
            self.take_back(vmm, new).map_err(refuse)?;
        }
        done.map(|_| Answer::More {}).map_err(refuse)
    }

    /// Serves [`vmm_client::objects::Request::Destroy`].
    pub(super) fn destroy<K: Kernel + Memory<'p>>(
        &mut self,
        vmm: &mut Vmm<'p, K>,
        object: &'p Object<'p>,
    ) -> Answered {
        let times = match object.account() {
            // All that is charged to it ends with it, programs too.
            Some(_) => 0,
            None => object.mappings.get() + object.programs.get() + object.inside.get(),
        };
        // One that was begun is gone on with.
        if times != 0 && !object.dying.get() {
            return Err(Refusal::InUse { times });
        }
        // A number is not another object's at once.
        let number = object.number.get();
        self.dismantle(vmm, object);
        match self.tables.objects.find(&number).is_null() {
            true => Ok(Answer::Done {}),
            false => Ok(Answer::More {}),
        }
    }
}
