// SPDX-License-Identifier: BSD-2-Clause
//! Tests of what the manager remembers, against plain models that need no kernel.
//!
//! A *history* turns bytes into operations on a structure and on its model, and compares after each
//! all that can be seen. Property tests and a fuzz target play the same histories, the one with
//! random bytes, the other with bytes that reach new code.
//!
//! | file | what is in it |
//! |---|---|
//! | `choices` | bytes as a source of decisions; orders of look-ups |
//! | `region_model`, `region_looks` | regions: the model, and all questions that both are asked |
//! | `region_places`, `region_history` | places that are asked for, and the other operations |
//! | `extent_model`, `extent_looks`, `extent_walk` | extents: the same, and a cursor over them |
//! | `extent_changes`, `extent_windows`, `extent_history` | each change of extents and of windows, and histories of them |
//! | `properties` | these histories with random bytes |
//! | `regions`, `extents`, `cursors` | single cases, at the edges |
//! | `extent_scope` | every look-up before and after every change, on a few small maps |
//! | `append_cursor` | where appending goes and ends, and what ends it |
//! | `refcounts`, `page_requests`, `threads`, `asids`, `temp_slots`, `direct_map`, `reserve`, `spaces` | the others |

mod choices;
mod direct_map;
mod extent_changes;
mod extent_history;
mod extent_looks;
mod extent_model;
mod extent_walk;
mod extent_windows;
mod region_history;
mod region_looks;
mod region_model;
mod region_places;

#[cfg(test)]
mod append_cursor;
#[cfg(test)]
mod asids;
#[cfg(test)]
mod cursors;
#[cfg(test)]
mod extent_scope;
#[cfg(test)]
mod extents;
#[cfg(test)]
mod page_requests;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod refcounts;
#[cfg(test)]
mod regions;
#[cfg(test)]
mod reserve;
#[cfg(test)]
mod single_copies;
#[cfg(test)]
mod spaces;
#[cfg(test)]
mod temp_slots;
#[cfg(test)]
mod threads;
#[cfg(test)]
mod window;

/// Plays the history that `data` says: its first byte says which structure.
///
/// # Panics
/// When the structure and its model differ.
pub fn run(data: &[u8]) {
    match data.split_first() {
        Some((which, data)) if which % 2 == 0 => region_history::run(data),
        Some((_, data)) => extent_history::run(data),
        None => {}
    }
}
