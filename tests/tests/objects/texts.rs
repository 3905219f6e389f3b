// SPDX-License-Identifier: BSD-2-Clause
//! Refusals of the service and errors of its clients' handles, as people read them: for each
//! variant stands here what its text must have, and the sources are read for variants that are
//! missing.

use std::collections::BTreeSet;

use vmm_client::handles::Error;
use vmm_service::objects::protocol::{
    ImageFault, Kind, Malformed, Refusal, Resource, Rights, State,
};
use vmm_tests::support::texts::{hold, variants};

const ADDRESS: usize = 0xab_c000;
const IN_HEX: &str = "0xabc000";

/// The refusals in the layout of the protocol, each a number and a name.
fn refusals() -> BTreeSet<String> {
    let source = include_str!("../../../vmm/client/src/objects/layout.rs");
    let (_, behind) = source.split_once("\n    Refusal {\n").expect("there are some");
    let (body, _) = behind.split_once("\n    }\n}\n").expect("they end");
    let numbered = body.lines().filter_map(|line| line.strip_prefix("        0x"));
    let name = |line: &str| line.split(' ').nth(1).expect("a name behind its number").to_string();
    numbered.map(name).collect()
}

#[test]
fn refusals_are_found() {
    let found = refusals();
    // Numbers 0x201 to 0x21a, 0x220 to 0x22b, and 0x230 to 0x235 are given out.
    assert_eq!(found.len(), 44, "{found:?}");
    assert!(found.contains("Malformed") && found.contains("NoRoom"), "{found:?}");
}

#[test]
fn refusals_of_the_service() {
    let (place, address, resource) = (2, ADDRESS, Resource::Pages);
    let said: &[(Refusal, &[&str])] = &[
        (Refusal::Malformed { what: Malformed::Length }, &["Length", "protocol"]),
        (Refusal::NoCapability { place }, &["capability 2", "missing"]),
        (Refusal::ForeignCapability { place }, &["capability 2", "not the service's"]),
        (Refusal::TooManyCapabilities { wanted: 717 }, &["717", "more than"]),
        (
            Refusal::WrongKind { place, found: Kind::Endpoint },
            &["capability 2", "Endpoint", "another kind"],
        ),
        (
            Refusal::NoRight { place, missing: Rights::DESTROY },
            &["capability 2", "DESTROY", "lacks"],
        ),
        (Refusal::Gone { place }, &["capability 2", "gone"]),
        (Refusal::BeyondRights { asked: Rights::DESTROY }, &["DESTROY", "holder"]),
        (Refusal::BadSlot { slot: 717 }, &["slot 717", "no"]),
        (Refusal::SlotOccupied { slot: 717 }, &["slot 717", "occupied"]),
        (
            Refusal::OutOfAccount { resource, wanted: 717, left: 53 },
            &["717 Pages", "wanted", "53 left"],
        ),
        (Refusal::Overcommitted { resource }, &["Pages", "above the account", "guarantee"]),
        (Refusal::BadLength { pages: 717 }, &["717 pages", "length"]),
        (Refusal::BeyondEnd { pages: 717 }, &["717 pages", "memory object"]),
        (Refusal::InUse { times: 717 }, &["717 times", "in use"]),
        (Refusal::Shared { page: 717 }, &["page 717", "other users"]),
        (Refusal::NoMapping { address }, &[IN_HEX, "mapping"]),
        (Refusal::BadAddress { address }, &[IN_HEX, "cannot be used"]),
        (Refusal::Overlap { address }, &[IN_HEX, "other memory"]),
        (Refusal::NoRoom {}, &["address space"]),
        (Refusal::NoSuchPhysical { address }, &[IN_HEX, "physical memory"]),
        (Refusal::NotRelated {}, &["parent"]),
        (Refusal::NotPayer {}, &["account", "pays"]),
        (Refusal::NotReadable {}, &["written", "read"]),
        (Refusal::StillMapped { pages: 717 }, &["717 pages", "mapped"]),
        (Refusal::TooDeep { most: 717 }, &["717 accounts"]),
        (Refusal::WrongState { state: State::Loading }, &["program", "Loading"]),
        (
            Refusal::BadImage { what: ImageFault::Overlap, at: address },
            &["Overlap", IN_HEX, "program"],
        ),
        (Refusal::PriorityTooHigh { most: 717 }, &["717", "priority", "sender"]),
        (Refusal::OwnCapability { place }, &["capability 2", "the service's"]),
        (Refusal::Paged { place }, &["capability 2", "pager"]),
        (Refusal::NotThere { page: 717 }, &["page 717", "supplied"]),
        (Refusal::IsThere { page: 717 }, &["page 717", "already"]),
        (Refusal::Full { most: 717 }, &["717 pages", "as many as can be"]),
        (Refusal::BadCapability { place }, &["capability 2", "kernel"]),
        (Refusal::TooManyThreads { most: 717 }, &["717 threads", "first"]),
        (Refusal::NoClock {}, &["no clock"]),
        (Refusal::TooManyWaiting { most: 5 }, &["5 requests wait", "each thread"]),
        (Refusal::Pinned { place }, &["capability 2", "physical address", "told"]),
        (Refusal::Large { place }, &["capability 2", "large pages", "cut"]),
        (Refusal::Bound {}, &["notification", "bound", "already"]),
        (Refusal::NotBound {}, &["no notification", "bound"]),
        (Refusal::OutOfMemory {}, &["memory", "service"]),
        (Refusal::Internal {}, &["service", "error of its own"]),
    ];
    hold(said, refusals());
}

#[test]
fn errors_of_a_programs_handles() {
    let request = "CreateMemory";
    let refusal = Refusal::SlotOccupied { slot: 53 };
    let said: &[(Error, &[&str])] = &[
        (
            Error::Refused { request, slots: [717, 4, 0], refusal },
            &["CreateMemory", "717", "slot 53", "occupied"],
        ),
        (Error::Kernel { request, error: 6 }, &["CreateMemory", "kernel", "6"]),
        (Error::Answer { request }, &["CreateMemory", "answer"]),
        (Error::OutOfSlots, &["slots", "CNode"]),
        (Error::JoinsItself, &["thread", "own end"]),
        (Error::NoRoom { what: "arguments" }, &["arguments", "room", "page"]),
    ];
    hold(said, variants(include_str!("../../../vmm/client/src/handles/error.rs"), "Error"));
}
