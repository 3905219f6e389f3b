// SPDX-License-Identifier: BSD-2-Clause
//! The service whose objects are named by capabilities, on the model kernel.
//!
//! | module | what it shows |
//! |---|---|
//! | `layout` | messages: what is encoded is what is parsed, and nothing else is accepted |
//! | `given` | pages of paged memory that are given while somebody waits for them |
//! | `private` | paged memory mapped privately |
//! | `private_failures` | the same, where calls fail and where something is short |
//! | `promised` | what a service promises when it is made: no more than there is |
//! | `requests` | what each request does |
//! | `moving` | mappings that get another place, and other rights |
//! | `parts` | parts of mappings given other rights, unmapped, moved |
//! | `reservations` | parts of spaces in which who has a capability to one maps |
//! | `clones` | clones of more pages than one request does |
//! | `pieces` | bytes of memory objects read and written |
//! | `large` | memory of large pages that were set aside |
//! | `large_sizes` | such memory made smaller, larger and cloned |
//! | `large_failures` | the same, where calls fail and where something is short |
//! | `physical` | memory at physical addresses: of any length, in any number of places |
//! | `resizing` | memory made smaller and larger |
//! | `refusals` | what each request is refused for, with nothing changed |
//! | `end_failures` | each call fails by which programs, threads and accounts end |
//! | `foreseen` | random histories, each answer of which a reference model foresees |
//! | `failures` | each kernel call of each request fails: nothing is lost |
//! | `changing`, `changing_programs`, `changing_failures` | the same of requests that change what is there |
//! | `not_cleared` | what takes memory that is free and not cleared, of scenes in no table |
//! | `touch_failures` | the same of touches of pages |
//! | `starved` | n pages, slots or nodes are left for each request: nothing is lost |
//! | `hostile` | random messages, with capabilities right and wrong: nothing and nobody is harmed |
//! | `held` | programs that had their turn are held until others had theirs; none is lost |
//! | `kept` | rights to answer that are kept for who waits |
//! | `neighbours` | what others' programs and threads cost: nothing looks through them |
//! | `console` | lines for people, said by a capability |
//! | `time` | who sleeps, and who waits for a page for too long |
//! | `waiting` | requests that wait until memory comes back |
//! | `thresholds` | who is told when little is left of an account |
//! | `memory_waits` | threads that touch memory for which there is none, and wait |
//! | `badges` | badges that serve again, and what is sent by the old ones |
//! | `few_slots` | programs whose CNodes have few slots |
//! | `first_page` | the page that tells a program what it was given |
//! | `children` | programs that programs ask for: made, loaded, started, ended and told of |
//! | `controls` | threads that are bound, looked at, changed, suspended and resumed |
//! | `first_thread` | a program's first thread as an object |
//! | `faults` | faults by which programs and threads are suspended |
//! | `suspension` | programs suspended and resumed, with all their threads |
//! | `loading` | files of which no program can be made |
//! | `accounts` | guarantees, overcommit, and the end of an account with all that is charged to it |

#[allow(dead_code, unused_imports, unused_macros)] // what other suites need of it
#[path = "../core/support/mod.rs"]
mod support;

// What makes histories of bytes: the fuzz target's.
#[path = "../../fuzz/src/bytes.rs"]
mod bytes;
#[path = "../../fuzz/src/machine.rs"]
#[allow(dead_code)] // what other targets need of it
mod machine;
#[path = "../../fuzz/src/objects_ops/mod.rs"]
mod objects_ops;

mod accounts;
mod badges;
mod changing;
mod changing_failures;
mod changing_programs;
mod children;
mod clones;
mod cnodes;
mod console;
mod controls;
mod elf;
mod end_failures;
mod ends_told;
mod failures;
mod faults;
mod few_slots;
mod first_page;
mod first_thread;
mod foreseen;
mod given;
mod held;
mod hostile;
mod kept;
mod large;
mod large_failures;
mod large_sizes;
mod layout;
mod loading;
mod locating;
mod memory_waits;
mod moving;
mod neighbours;
mod not_cleared;
mod paging;
mod parts;
mod physical;
mod pieces;
mod private;
mod private_failures;
mod promised;
mod refusals;
mod requests;
mod reservations;
mod resizing;
mod starved;
mod suspension;
mod texts;
mod threads;
mod thresholds;
mod time;
mod told;
mod touch_failures;
mod waiting;
mod world;
