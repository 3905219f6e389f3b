// SPDX-License-Identifier: BSD-2-Clause
//! The service: made at the first use, and stretched in the warm-up.

use roottask::Outcome;
use vmm::{Blueprint, Quota, RegionOptions};
use vmm_service::Service;

use super::client::OBJECTS;
use crate::engine::{Host, Stress};
use crate::measure::Kind;

/// More clients than there ever are at a time, with those that are being taken apart.
const STRETCH: usize = 12;

/// Takes the service out of the run; makes it at the first time, in the warm-up. The caller puts it
/// back.
pub fn take(stress: &mut Stress) -> Outcome<Host> {
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
    let mut host = take(stress)?;
    let limits = Quota { objects: OBJECTS, ..Quota::UNLIMITED };
    for _ in 0..STRETCH {
        let service = &mut host.service;
        let made = stress.attempt(Kind::CreateClient, |vmm| {
            service.create_client(vmm, "warm-up", limits, None).map_err(beneath)
        })?;
        if let Some(client) = made {
            stress.attempt(Kind::Map, |vmm| vmm.map(client.space(), &RegionOptions::new(1)))?;
            host.service.kill(client)?;
        }
    }
    while stress.must(Kind::ClientEnd, |vmm| host.service.reap_step(vmm))? {}
    stress.host = Some(host);
    Ok(())
}

/// The manager's error beneath one of the service's: what else the service can refuse here would be
/// a mistake of this program's, or a file that is no program.
pub fn beneath(error: vmm_service::Error) -> vmm::Error {
    match error {
        vmm_service::Error::Manager(error) => error,
        other => panic!("the service refuses: {other:?}"),
    }
}
