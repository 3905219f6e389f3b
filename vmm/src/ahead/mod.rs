// SPDX-License-Identifier: BSD-2-Clause
//! Work ahead: memory is made ready before anybody asks for it, and nobody waits for it then.
//!
//! The kernel clears memory within the call that makes objects of it, and nobody else runs
//! meanwhile. So how much it clears for a request has a limit, and all else is cleared at a time
//! of the root task's own choice.
//!
//! - `clear.rs`: the limit, and clearing in words.
//! - `jobs.rs`: what can be done ahead, as jobs with a bound.

mod clear;
mod jobs;
