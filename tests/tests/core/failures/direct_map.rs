// SPDX-License-Identifier: BSD-2-Clause
//! The same with a direct map: frames are taken into it and out of it by calls that are refused,
//! too.

use super::calls::{errors, refuse_each};
use crate::support::{Machine, Target, on_both};

on_both!(a_refused_call_leaves_nothing_behind);

/// A98; I23.
fn a_refused_call_leaves_nothing_behind(target: Target) {
    refuse_each(&Machine::failing(target).direct_map(), &errors()[..1]);
}
