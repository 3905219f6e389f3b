// SPDX-License-Identifier: BSD-2-Clause
//! Typed handles of objects, and the runtime of a program that has them.
//!
//! ```ignore
//! #![no_std]
//! #![no_main]
//!
//! use vmm_client::handles::{Object, Program, Result};
//! use vmm_client::objects::Rights;
//!
//! vmm_client::program!(main);
//!
//! fn main(program: &Program, _argument: usize) -> Result {
//!     let memory = program.account().create_memory(16)?;
//!     let mapping = program.space().map(&memory, Rights::READ_WRITE, &program.account())?;
//!     vmm_client::tell!("16 pages at {:#x}", mapping.address());
//!     mapping.unmap()?;
//!     memory.destroy()
//! }
//! ```
//!
//! A handle is a slot of the program's CNode with a capability to an object. It is not `Copy`, and
//! its end is asked for: one that is dropped leaves the object, and the slot, as they are.
//!
//! | file | what is in it |
//! |---|---|
//! | `error` | why a call failed: the request, the slots, the reason |
//! | `slots` | slots of the program's CNode that are free |
//! | `call` | one request with its capabilities, one answer |
//! | `kinds` | the handles of all kinds of objects |
//! | `object` | what all handles can do: `info`, `restrict`, `revoke`, `destroy` |
//! | `account`, `memory`, `space`, `console` | what each kind can do beside that |
//! | `paged` | memory whose pages this program supplies |
//! | `program` | the program itself, with what it began with |
//! | `child` | programs that were asked for: started, told of, ended |
//! | `threads` | threads of this program: made, joined |
//! | `spawn` | threads that run a closure |
//! | `starting` | one that is being put together: loaded, given things, started |
//! | `heap` | with the feature `alloc`, a heap that grows and shrinks by memory objects |
//! | `runtime` | how a program starts, says lines, panics and ends |

mod account;
mod call;
mod child;
mod console;
mod error;
#[cfg(feature = "alloc")]
#[allow(unsafe_code)]
pub mod heap;
mod kinds;
mod memory;
mod object;
mod paged;
#[allow(unsafe_code)]
mod program;
#[allow(unsafe_code)]
pub mod runtime;
mod slots;
mod space;
#[allow(unsafe_code)]
mod spawn;
#[allow(unsafe_code)]
mod starting;
mod threads;

pub use account::AccountInfo;
pub use call::send_raw;
pub use child::{mint, mint_bit, ChildStatus};
pub use error::{Error, Result};
pub use kinds::{
    Account, Child, Console, Endpoint, Handle, Memory, Notification, PagedMemory, Space, Thread,
};
pub use memory::MemoryInfo;
pub use object::Object;
pub use paged::Wanted;
pub use program::Program;
pub use slots::{empty_slot, free_slot, take_slot};
pub use space::Mapping;
pub use spawn::JoinHandle;
pub use starting::Starting;
