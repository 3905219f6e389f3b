// SPDX-License-Identifier: BSD-2-Clause
//! Each operation as a program really uses it: one page in a call, in orders that are not the
//! kindest, in several regions and spaces by turns.
//!
//! ```text
//!   steps.rs     the orders, and a row of single operations beside the same by hand
//!   populate.rs  pages that are mapped           give_back.rs  unmapped, protected, mapped again
//!   touch.rs     page faults                     share.rs      frames with several users
//!   objects.rs   threads, spaces, large pages, addresses
//!   promote.rs   small pages that become large in the background
//! ```
//!
//! The floor of each row is the least known sequence of kernel calls with the same result, which
//! need not be the one that the manager makes.

mod give_back;
mod objects;
mod populate;
mod promote;
mod share;
mod steps;
mod touch;

use roottask::Manager;
use vmm::Result;

use crate::faults;

/// Runs all of it. The order matters: a program is young only once, and what maps fresh memory
/// comes before what gives it back; nothing is given back that
/// a later row could get, but where it says so.
pub fn run(vmm: &mut Manager) -> Result {
    populate::young(vmm)?;
    populate::run(vmm)?;
    touch::fresh(vmm)?;
    objects::threads(vmm)?;
    share::run(vmm)?;
    give_back::run(vmm)?;
    objects::run(vmm)?;
    give_back::recycled(vmm, "recycled_single", 1)?;
    touch::recycled(vmm, "fault_recycled", 1)?;
    // So many slots are taken here that later ones do not lie in the initial CNode.
    objects::many_regions(vmm)
}

/// The rows of single pages that are given back, by themselves.
pub fn give_back(vmm: &mut Manager) -> Result {
    give_back::run(vmm)?;
    give_back::recycled(vmm, "recycled_single", 1)
}

/// Small pages that become large, in a boot of its own.
pub fn promote(vmm: &mut Manager) -> Result {
    promote::run(vmm)
}

/// What a direct map is for, once each frame has been there: in a boot of its own. Where more
/// frames are ready than are used, it takes some rounds until all have.
pub fn direct(vmm: &mut Manager) -> Result {
    vmm.make_direct_map()?;
    faults::cow_break_again(vmm)?;
    give_back::recycled(vmm, "recycled_single_direct", 2)?;
    touch::recycled(vmm, "fault_recycled_direct", 5)
}
