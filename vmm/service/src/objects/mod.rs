// SPDX-License-Identifier: BSD-2-Clause
//! The service whose objects are named by capabilities.
//!
//! ```text
//!   program ── its capability, words, capabilities to objects ──► Incoming ──► Objects::handle
//!                                                                                   │
//!   an answer, or a refusal that says what is wrong ◄── Outcome ◄───────────────────┘
//! ```
//!
//! A badge is an index into a table of capabilities; each leads to an object, with rights. The
//! sender's own badge says who asks. What a request is about comes as further capabilities, which
//! the kernel delivers as their badges: nobody can name what he has no capability to.
//!
//! | file | what is in it |
//! |---|---|
//! | `types` | what a server and the service tell each other |
//! | `state` | records of objects, capabilities, mappings, programs, and the amounts of accounts |
//! | `answers` | the protocol's words for the manager's; what things cost |
//! | `reserved` | large pages that are set aside; what is promised, cleared |
//! | `service` | [`Objects`] itself: its parts, its look-ups, the check of its records |
//! | `large` | memory objects of large pages |
//! | `memory` | memory objects: made, their pages there and gone |
//! | `clones` | memory objects cloned, in pieces |
//! | `pieces` | bytes of memory objects read and written |
//! | `mappings` | memory objects mapped in spaces, touched, unmapped |
//! | `parts` | parts of mappings given other rights, unmapped, moved |
//! | `reservations` | parts of spaces, in which who has a capability to one maps |
//! | `capabilities` | capabilities put into slots, and ended with all that hangs on them |
//! | `accounts` | accounts: made, given amounts |
//! | `thresholds` | who is told when little is left of an account |
//! | `kernel_objects` | spaces, endpoints, notifications |
//! | `teardown` | the end of objects, in pieces |
//! | `programs` | programs: made, with what they begin with, and ended |
//! | `cnodes` | CNodes of programs that end: kept where they are empty |
//! | `children` | programs that programs ask for: made, given capabilities, started, told of |
//! | `notices` | who is told of ends, of faults, of pages that are waited for |
//! | `files` | files and arguments that a server gives a program |
//! | `loading` | images of such, from memory objects, in pieces |
//! | `pagers` | paged memory, as its pager has it: pages supplied, and taken back |
//! | `page_waits` | threads that touch its pages, and wait for those that are not there |
//! | `pager_waits` | pagers that wait to be told of such a thread |
//! | `memory_waits` | threads that touch memory for which there is none, and wait for it |
//! | `private` | paged memory mapped privately: pages that are written are copies |
//! | `threads` | threads: a program's first, and those that it asks for |
//! | `controls` | threads that are bound, looked at when they fault, suspended, resumed |
//! | `suspension` | programs that are suspended and resumed, with all their threads |
//! | `first_thread` | a program's first thread as an object |
//! | `time` | who sleeps, and how long threads wait for pages |
//! | `waiting` | requests that wait until memory comes back |
//! | `slots` | slots that keep rights to answer, and who finds an empty one |
//! | `held` | programs that had their turn, held until others had theirs |
//! | `resize` | memory objects made smaller and larger |
//! | `revoke` | capabilities revoked and objects destroyed by request |
//! | `handle` | messages taken apart and answered |
//! | `turnstiles` | threads that tell when others had their turn; with `sel4`, as what follows |
//! | `alarm` | a server's clock, by a pacer |
//! | `server` | `Server` itself: programs made, started and ended |
//! | `faults` | faults, as the kernel tells them |
//! | `run` | the loop that receives and answers |

mod accounts;
#[cfg(feature = "sel4")]
mod alarm;
mod answers;
mod capabilities;
mod children;
mod clones;
mod cnodes;
mod controls;
#[cfg(feature = "sel4")]
mod faults;
mod files;
mod first_thread;
mod handle;
mod held;
mod kernel_objects;
mod large;
mod loading;
mod mappings;
mod memory;
mod memory_waits;
mod notices;
mod page_waits;
mod pager_waits;
mod pagers;
mod parts;
mod pieces;
mod private;
mod programs;
mod reservations;
mod reserved;
mod resize;
mod revoke;
#[cfg(feature = "sel4")]
mod run;
#[cfg(feature = "sel4")]
mod server;
mod service;
mod slots;
mod state;
mod suspension;
mod teardown;
mod threads;
mod thresholds;
mod time;
#[cfg(feature = "sel4")]
mod turnstiles;
mod types;
mod waiting;

#[cfg(feature = "sel4")]
pub use server::{Options, Served, Server};
pub use service::Objects;
#[cfg(feature = "sel4")]
pub use turnstiles::MAX_TURNSTILES;
pub use types::{
    Act, Arrived, Event, Fault, Incoming, NewProgram, Outcome, ProgramId, Stopped, Touched,
    Turnstile, OBJECT_BADGE,
};
pub use vmm_client::objects as protocol;
