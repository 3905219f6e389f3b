// SPDX-License-Identifier: BSD-2-Clause
//! Errors that are there on the target alone, as people read them. For each variant stands here
//! what its text must have, and the sources are read for variants that are missing.

use alloc::format;
use core::fmt::{Debug, Display};

use roottask::{check, Outcome};
use sel4::{sys, Fault, MessageInfoBuilder, Word};
use sel4_root_task::debug_println;
use vmm::sel4::faults::HandlerError;
use vmm::sel4::pacer::PacerError;
use vmm::sel4::{Error, JoinError};
use vmm_service::server::ServerError;

use crate::context::Context;

crate::table::tests!("texts":
    errors_of_the_pacer,
    errors_of_starting_and_joining_threads,
    errors_where_manager_and_kernel_are_asked,
    errors_of_a_server,
);

const REFUSED: sel4::Error = sel4::Error::RevokeFirst;
const NOT_MANAGED: vmm::Error = vmm::Error::NotManaged { address: 0xab_c000 };

/// Holds texts to what they must have, and the list to having all variants of the enum `name` in
/// `source`, as rustfmt leaves them.
fn hold<E: Debug + Display>(source: &str, name: &str, said: &[(E, &[&str])]) -> Outcome {
    for (error, parts) in said {
        let text = format!("{error}");
        for part in *parts {
            if !text.contains(part) {
                debug_println!("  {part:?} is not in {text:?}");
            }
            check!(text.contains(part));
        }
        check!(text.contains(' ') && !text.contains(['{', '\n']));
    }
    let body = source.split_once(format!("pub enum {name} {{\n").as_str());
    let body = body.and_then(|(_, behind)| behind.split_once("\n}\n"));
    check!(body.is_some());
    let lines = body.map_or("", |(body, _)| body).lines();
    let indented = lines.filter_map(|line| line.strip_prefix("    "));
    for line in indented.filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase())) {
        let end = line.find(|c: char| !c.is_alphanumeric()).unwrap_or(line.len());
        let found = said.iter().any(|(error, _)| {
            let debug = format!("{error:?}");
            debug
                .strip_prefix(&line[..end])
                .is_some_and(|behind| !behind.starts_with(|next: char| next.is_alphanumeric()))
        });
        if !found {
            debug_println!("  nothing says what {} must have in it", &line[..end]);
        }
        check!(found);
    }
    Ok(())
}

/// A113.
fn errors_of_the_pacer(_: &mut Context) -> Outcome {
    let source = include_str!("../../../../vmm/src/sel4/pacer/error.rs");
    let said: &[(PacerError, &[&str])] = &[
        (PacerError::BadPeriod(717), &["717 microseconds", "100 to 54925"]),
        (PacerError::PartsInUse, &["parts", "a pacer already"]),
        (PacerError::NoKnownTimer, &["architecture", "Pacer::start_with"]),
        (PacerError::NoTimer(REFUSED), &["timer", "revoke first"]),
        (PacerError::Busy, &["cleared already"]),
        (PacerError::TooLong(717), &["717 microseconds", "clock"]),
        (PacerError::TooManySleepers { most: 717 }, &["717 threads", "sleep"]),
        (PacerError::TimerLost, &["timer", "not answer"]),
        (PacerError::ThreadFaulted, &["thread", "pacer", "faulted"]),
        (PacerError::Kernel(REFUSED), &["kernel", "revoke first"]),
        (PacerError::Manager(NOT_MANAGED), &["0xabc000"]),
    ];
    hold(source, "PacerError", said)
}

/// A fault of this kind, whose words are 717, 718 and so on.
fn fault(label: Word) -> Fault {
    let length =
        if label == sys::seL4_Fault_VMFault { sys::seL4_VMFault_Length as usize } else { 0 };
    sel4::with_ipc_buffer_mut(|buffer| {
        for (index, word) in buffer.msg_regs_mut().iter_mut().enumerate() {
            *word = 717 + index as Word;
        }
        let info = MessageInfoBuilder::default().label(label).length(length).build();
        Fault::new(buffer, &info)
    })
}

/// A113.
fn errors_of_starting_and_joining_threads(_: &mut Context) -> Outcome {
    let source = include_str!("../../../../vmm/src/sel4/faults/handler_error.rs");
    let said: &[(HandlerError, &[&str])] = &[
        (HandlerError::Manager(NOT_MANAGED), &["0xabc000"]),
        (HandlerError::Kernel(REFUSED), &["kernel", "revoke first"]),
    ];
    hold(source, "HandlerError", said)?;
    let source = include_str!("../../../../vmm/src/sel4/threads.rs");
    let said: &[(JoinError, &[&str])] = &[
        (JoinError::Faulted(fault(sys::seL4_Fault_VMFault)), &["at 0x2cd", "touching 0x2ce"]),
        (JoinError::Faulted(fault(sys::seL4_Fault_CapFault)), &["at 0x2cd", "capability 0x2ce"]),
        (JoinError::Faulted(fault(sys::seL4_Fault_UserException)), &["at 0x2cd", "exception 720"]),
        (JoinError::Faulted(fault(sys::seL4_Fault_UnknownSyscall)), &["system call", "at 0x"]),
        (JoinError::Manager(NOT_MANAGED), &["manager", "0xabc000"]),
    ];
    hold(source, "JoinError", said)
}

/// A113.
fn errors_where_manager_and_kernel_are_asked(_: &mut Context) -> Outcome {
    let source = include_str!("../../../../vmm/src/sel4/error.rs");
    let said: &[(Error, &[&str])] = &[
        (Error::Manager(NOT_MANAGED), &["manager", "0xabc000"]),
        (Error::Kernel(REFUSED), &["kernel", "revoke first"]),
    ];
    // Its `Debug` is its `Display`, so both are told apart by what they begin with.
    for (error, parts) in said {
        let text = format!("{error}");
        check!(parts.iter().all(|part| text.contains(part)));
        check!(format!("{error:?}") == text);
    }
    check!(source.matches("(crate::Error),").count() == 1);
    check!(source.matches("(sel4::Error),").count() == 1);
    Ok(())
}

/// A113.
fn errors_of_a_server(_: &mut Context) -> Outcome {
    let source = include_str!("../../../../vmm/service/src/server/report.rs");
    let said: &[(ServerError, &[&str])] = &[
        (ServerError::Service(NOT_MANAGED.into()), &["0xabc000"]),
        (ServerError::Kernel(REFUSED), &["kernel", "revoke first"]),
        (ServerError::TooManyClients { most: 717 }, &["717 clients"]),
        (ServerError::Pacer(PacerError::TimerLost), &["timer", "not answer"]),
    ];
    hold(source, "ServerError", said)
}
