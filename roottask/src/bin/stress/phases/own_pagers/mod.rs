// SPDX-License-Identifier: BSD-2-Clause
//! Pagers outside: they supply pages, refuse some, never answer for others, answer nonsense, and
//! die.
//!
//! ```text
//!   worker ──fault──► our loop ──signal──► pager, a thread of our own space
//!                        ◄── what is there to do? ──┤
//!                        ── ticket, page ──►        │  actions[page]
//!      goes on ◄──       ◄── ticket, a page ────────┘
//! ```
//!
//! We have the lowest priority. So when we run and there is no message, nobody can go on: who has
//! not ended then waits for a page that its pager does not answer for. Workers that need no pager,
//! or none of its bad pages, must have come to their ends.

mod pager;
mod session;

use roottask::Outcome;

use crate::engine::Stress;
use crate::measure::Kind;
use crate::threads::{FaultServer, Program};

/// A session or two.
pub fn run(stress: &mut Stress) -> Outcome {
    for _ in 0..stress.random.within(1, 3) {
        if stress.is_over() {
            break;
        }
        let own = stress.expected.own();
        let space = stress.own_or_new_space()?;
        let Some(space) = space else { continue };
        if let Some(program) = Program::load(stress, space)? {
            if let Some(fault_server) = FaultServer::open(stress)? {
                session::in_space(stress, fault_server, space, program.address())?;
            }
            program.release(stress)?;
        }
        if space != own {
            stress.must(Kind::DestroySpace, |vmm| vmm.destroy_space(space))?;
        }
    }
    Ok(())
}
