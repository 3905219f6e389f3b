//! The client's side of the memory service.
//!
//! ```text
//!   protocol.rs  requests, answers and refusals as words: the layout that both sides use
//!   request.rs   what a client can ask for
//!   answer.rs    what the service answers
//!   items.rs     what both speak of
//!   refusal.rs   why a request was refused
//!   words.rs     words in and out of a message
//!
//!   with the feature `sel4`:
//!   client.rs    typed calls; long work is asked for in pieces until it is done
//!   runtime.rs   how a client program starts, panics and ends; `client_program!`, `client_thread!`
//! ```
//!
//! The crate has no dependency on the manager: a client knows messages, not address spaces.
#![no_std]
#![deny(unsafe_code)]

mod answer;
#[cfg(all(feature = "sel4", target_arch = "x86"))]
mod client;
mod items;
// What compiled code calls in place of a C library: the root task's own file, as there is one way
// to write it.
#[cfg(all(feature = "sel4", target_arch = "x86"))]
#[path = "../../../sel4/root-task/src/mem.rs"]
#[allow(unsafe_code)]
mod mem;
pub mod protocol;
mod refusal;
mod request;
#[cfg(all(feature = "sel4", target_arch = "x86"))]
#[allow(unsafe_code)]
pub mod runtime;
mod words;

#[cfg(all(feature = "sel4", target_arch = "x86"))]
pub use client::{Error, Memory, Result, Service, Thread};
