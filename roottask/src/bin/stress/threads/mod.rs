// SPDX-License-Identifier: BSD-2-Clause
//! Threads that touch memory, and the server that answers their faults.
//!
//! ```text
//!   program.rs       what they execute, in any space
//!   worker.rs        a thread: its list of touches, its progress
//!   priorities.rs    who runs, which no timer decides
//!   message.rs       messages and answers, taken out of the IPC buffer
//!   fault_server.rs  the endpoint of faults and the manager's handler
//!   touch_areas.rs   the memory that they touch, and what must be in it
//! ```

mod fault_server;
mod message;
mod priorities;
mod program;
pub mod touch_areas;
mod worker;

pub use fault_server::{FaultServer, Note};
pub use message::{Answer, Message};
pub use priorities::{restore_own_priority, set_own_priority};
pub use program::{end_of, Ended, Program};
pub use worker::{Touch, Worker};
