// SPDX-License-Identifier: BSD-2-Clause
//! Random sequences of kernel invocations, legal and illegal, that run alike on the model kernel
//! and on seL4: every result must be the same, call by call.
//!
//! ```text
//!   seed ──► Generator ──► Call ──► Call::run on a Kernel ──► result
//!                ▲                                              │
//!                └───────────────── note ───────────────────────┘
//! ```
//!
//! The generator guesses from results what each slot holds, so that most calls get past the first
//! checks; where two kernels answer alike, they are asked alike. It is `no_std` and allocates
//! nothing, so that a root task can carry it.
//!
//! What a sequence may touch is a [`Config`]: a window of 64 slots of the caller's CNode, some
//! untypeds, and addresses of the caller's VSpace that nothing else uses. No sequence invokes an
//! endpoint (the caller would block), names a slot that does not exist as a capability to invoke
//! (it would fault), or gets hold of the caller's own CNode or thread.
#![no_std]
#![forbid(unsafe_code)]

mod answer;
mod call;
mod config;
mod generate;
mod guess;
mod record;
mod rng;
mod scenario;

pub use answer::Answer;
pub use call::{Call, SlotPath, Target};
pub use config::{Config, PASSIVE, SOURCES, VADDRS, WINDOW};
pub use generate::Generator;
pub use record::{record, Source};
pub use rng::Rng;
pub use scenario::{scenarios_for, Scenario, SCENARIOS};
