// SPDX-License-Identifier: BSD-2-Clause
//! Answering faults by message: the side of [`crate::FaultClass`] that talks to the kernel.
//!
//! ```text
//!   message.rs        what a message says: a page fault, another fault, nothing we know
//!   handler.rs        a message in, an answer out: to be fed from any loop
//!   backtrace.rs      who had called whom in a thread that faulted
//!   policy.rs         what is told of a fault that cannot be resolved, and what becomes of who did it
//!   pager_table.rs    who the pagers of a handler are, and the messages between
//!   root_pagers.rs    pagers of the root task: asked without waiting for them, and answered for
//!   shared.rs         a manager that two threads of the root task use
//!   handler_thread.rs a thread that does nothing but answer faults
//!   handler_error.rs  why no such thread was started
//!   watcher.rs        a thread that waits for a fault of that thread's
//! ```
//!
//! In a loop of one's own:
//!
//! ```ignore
//! let mut handler = FaultHandler::new(endpoint, |vmm, incident| Verdict::Suspend);
//! let (mut info, mut badge) = endpoint.recv(());
//! loop {
//!     (info, badge) = match handler.handle(&mut vmm, &info, badge) {
//!         Some(answer) => endpoint.reply_recv(answer, ()), // one system call for a fault
//!         None => endpoint.recv(()),
//!     };
//! }
//! ```
//!
//! In a thread of its own: [`start`]. In a loop with a policy and pagers of its own (the server of
//! the crate `vmm-service` is one): [`receive`], [`report`].
//!
//! The handler runs in the manager's VSpace; the threads whose faults it answers run in any. They
//! are registered with [`crate::Vmm::register_thread`], whose capability is their fault endpoint.

mod backtrace;
mod handler;
mod handler_error;
mod handler_thread;
mod message;
mod pager_table;
mod policy;
mod root_pagers;
mod shared;
mod watcher;

pub use handler::{answer_kept, keep_caller, receive, report, FaultHandler, Received};
pub use handler_error::HandlerError;
pub use handler_thread::{start, HandlerOptions, HandlerThread};
pub use message::{decode, ThreadFault};
pub use pager_table::{PagerCall, MAX_PAGERS, PAGER_BADGE};
pub use policy::{Incident, Verdict};
pub use shared::{ManagerGuard, SharedManager};

/// The manager of a root task on seL4.
pub type Manager = crate::manager::vmm::Vmm<'static, crate::sel4::kernel::Sel4>;
