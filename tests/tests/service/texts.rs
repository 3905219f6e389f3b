// SPDX-License-Identifier: BSD-2-Clause
//! Errors of the service and of its clients' calls, as people read them: for each variant stands
//! here what its text must have, and the sources are read for variants that are missing.

use std::collections::BTreeSet;

use vmm_client::protocol::{Malformed, Refusal, Resource};
use vmm_service::{ClientId, Error, ImageError, NodeKind, NumberKind};
use vmm_tests::support::texts::{hold, variants};

const ADDRESS: usize = 0xab_c000;
const IN_HEX: &str = "0xabc000";

#[test]
fn errors_of_the_service() {
    let client = ClientId::from_parts(717, 1);
    let (kind, most) = (NumberKind::Ticket, 53);
    let image = ImageError::Malformed("the class");
    let refusal = vmm_client::objects::Refusal::Overlap { address: ADDRESS };
    let said: &[(Error, &[&str])] = &[
        (Error::NoSuchClient(client), &["717", "client"]),
        (Error::NoProgram(client), &["client 717", "no program"]),
        (Error::HasProgram(client), &["client 717", "already"]),
        (Error::BadSlot { slot: 717 }, &["slot 717", "not the program's"]),
        (Error::SlotOccupied { slot: 717 }, &["slot 717", "occupied"]),
        (Error::TooManyThreads { most }, &["53 threads", "at most"]),
        (Error::OutOfNumbers { kind, most }, &["53", "Ticket", "in use"]),
        (Error::OutOfNodes(NodeKind::Offer), &["Offer", "book-keeping"]),
        (Error::Image(image), &["the class", "ELF"]),
        (Error::Refused(refusal), &[IN_HEX]),
        (Error::Manager(vmm::Error::NoSuchIpcBuffer { address: ADDRESS }), &[IN_HEX, "IPC buffer"]),
    ];
    hold(said, variants(include_str!("../../../vmm/service/src/types/error.rs"), "Error"));
}

#[test]
fn errors_of_programs_files() {
    let address = ADDRESS as u64;
    let said: &[(ImageError, &[&str])] = &[
        (ImageError::NotElf { magic: *b"#!/b" }, &["[23, 21, 2f, 62]", "ELF"]),
        (ImageError::CutOff { start: 717, end: 1053 }, &["717", "1053", "cut off"]),
        (ImageError::Malformed("the class"), &["the class", "ELF"]),
        (ImageError::Unsupported("for another machine"), &["for another machine", "cannot run"]),
        (ImageError::BadSegment { address, bytes: 717 }, &[IN_HEX, "717 bytes"]),
        (ImageError::NoRights { address }, &[IN_HEX, "neither read, written nor run"]),
        (
            ImageError::WritableCode { address },
            &[IN_HEX, "written and run", "Program::writable_code"],
        ),
        (ImageError::Overlap { address }, &[IN_HEX, "before the one below it ends"]),
        (ImageError::BadEntry { address }, &[IN_HEX, "entry"]),
        (ImageError::TooMuchTls { bytes: 717 }, &["717 bytes", "thread-local storage"]),
    ];
    hold(said, variants(include_str!("../../../vmm/service/src/types/error.rs"), "ImageError"));
}

#[test]
fn refusals_of_the_service() {
    let (address, resource) = (ADDRESS, Resource::Tables);
    let said: &[(Refusal, &[&str])] = &[
        (Refusal::Malformed(Malformed::Length), &["Length", "protocol"]),
        (Refusal::NoSuchRegion, &["region"]),
        (Refusal::NoSuchClient, &["client"]),
        (Refusal::NoSuchOffer, &["offer"]),
        (Refusal::NoSuchFault, &["ticket"]),
        (Refusal::NoSuchThread, &["thread", "IPC buffer"]),
        (Refusal::NotTaken, &["page", "not taken"]),
        (Refusal::Shared { address }, &[IN_HEX, "shared"]),
        (Refusal::OutOfQuota { resource, limit: 717, used: 53 }, &["Tables", "717", "53"]),
        (Refusal::OutOfMemory, &["memory", "service"]),
        (Refusal::NoRoom, &["address space"]),
        (Refusal::BadAddress { address }, &[IN_HEX]),
        (Refusal::Overlap { address }, &[IN_HEX, "another region"]),
        (Refusal::NotMapped { address }, &[IN_HEX, "nothing is mapped"]),
        (Refusal::AlreadyMapped { address }, &[IN_HEX, "mapped already"]),
        (Refusal::BeyondRights, &["rights", "region"]),
        (Refusal::WrongKind, &["kind", "region"]),
        (Refusal::TooMuch { most: 717 }, &["717", "at the most"]),
        (Refusal::BadSlot, &["slot", "occupied", "reserved"]),
        (Refusal::Internal, &["service", "error of its own"]),
    ];
    hold(said, variants(include_str!("../../../vmm/client/src/types/refusal.rs"), "Refusal"));
}

#[test]
fn errors_of_a_clients_calls() {
    let refusal = Refusal::Overlap { address: ADDRESS };
    let said: &[(vmm_client::Error, &[&str])] = &[
        (vmm_client::Error::Refused(refusal), &[IN_HEX, "another region"]),
        (vmm_client::Error::Answer, &["answer", "service"]),
    ];
    hold(said, variants(include_str!("../../../vmm/client/src/calls/error.rs"), "Error"));
}

#[test]
fn what_is_wrong_with_a_message_has_a_name() {
    let source = include_str!("../../../vmm/client/src/types/malformed.rs");
    let names = ["Version", "Number", "Length", "Bits", "Value", "Capability"];
    assert_eq!(variants(source, "Malformed"), BTreeSet::from(names.map(String::from)));
}
