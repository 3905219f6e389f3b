// SPDX-License-Identifier: BSD-2-Clause
//! A server's clock, where the machine's timer can be had.

use sel4_root_task::debug_println;
use vmm::sel4::pacer::{Pacer, PacerOptions, PacerParts};
use vmm_service::objects::Server;

use crate::{Manager, Outcome};

static PARTS: PacerParts = PacerParts::new();

/// Has a server tell the time, which this thread runs, for as long as there is the server. Where
/// there is no timer, such as where `init` was given its interrupt or ports, that is printed, and
/// who sleeps is refused.
///
/// # Errors
/// Those of [`Server::keep_time`].
pub fn keep_time(vmm: &mut Manager, server: &mut Server) -> Outcome<Option<Pacer>> {
    match Pacer::start(vmm, &PARTS, PacerOptions::new()) {
        Ok(pacer) => {
            server.keep_time(vmm, &pacer, sel4::init_thread::slot::TCB.cap())?;
            Ok(Some(pacer))
        }
        Err(error) => {
            debug_println!("server: there is no clock: {error}");
            Ok(None)
        }
    }
}
