// SPDX-License-Identifier: BSD-2-Clause
//! The host of client programs: the service, its clients, and answers to what they send.
//!
//! ```text
//!   service.rs    the service, made once
//!   session.rs    clients started, served, killed, and started again
//!   answers.rs    what is answered to requests and faults
//!   client.rs     one client: when it is killed, how it came to its end
//! ```

mod answers;
mod client;
pub mod service;
pub mod session;
