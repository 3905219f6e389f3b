// SPDX-License-Identifier: BSD-2-Clause
//! Client programs: started, killed in the midst of a request, and started again.
//!
//! ```text
//!   client ──request or fault──► our loop ──► Service::handle, Vmm::handle_fault
//!                                   │
//!                                   ├─ killed before that, with the answer outstanding
//!                                   ├─ killed after that, never answered
//!                                   ├─ answered, and killed before it asks for the rest
//!                                   └─ another one takes its place, while it is taken apart
//! ```
//!
//! The programs hold the service to what it gave them, share memory, page for each other with a
//! second thread each, and exhaust their quotas. Who is not killed must come to its end and find
//! all as it was; who writes where nothing is its own must be ended for that, and who waits for a
//! page of one that ends, with it.

use roottask::Outcome;

use crate::engine::Stress;
use crate::host::{service, session};

/// A session or two.
pub fn run(stress: &mut Stress) -> Outcome {
    for _ in 0..stress.random.within(1, 2) {
        if stress.is_over() {
            break;
        }
        let mut host = service::take(stress)?;
        session::session(stress, &mut host)?;
        stress.host = Some(host);
    }
    Ok(())
}
