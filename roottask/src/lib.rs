// SPDX-License-Identifier: BSD-2-Clause
//! The programs that boot, and what they have in common.
//!
//! ```text
//!   bin/bench/                      what the manager's operations cost
//!   bin/bench-large/                the same with a large program, and beside the most of everything
//!   bin/bare.rs                     what hello prints, without the manager
//!   bin/hello.rs                    the least there is: start the manager, map, use, give back
//!   bin/ipc-demo/                   the two threads of the IPC demo
//!   bin/dump-demo.rs                what the manager shows of itself, for people and debuggers
//!   bin/endings/                    mistakes after which a program cannot go on
//!   bin/fault-demo/                 what happens when memory is touched that is not there
//!   bin/gaps/                       how long others wait while memory is cleared
//!   bin/guest-tests/                tests that run on the real kernel
//!   bin/objects-demo/               programs that have objects by capabilities, and lend memory
//!   bin/recipes/                    the programs of RECIPES.md
//!   bin/serve.rs                    the least server of objects there is
//!   bin/serve-files.rs              one for programs that the command line names
//!   bin/service-demo/               client programs and the service they have their memory from
//!   bin/stress/                     random requests, held to what they must do
//!   bin/system-demo/                a program that starts programs
//!   bin/upstream-spawn/             a root task as upstream's users write it
//!
//!   arch/         what differs between the architectures
//!   arguments.rs  what the command line of run.sh says
//!   clients.rs    the client programs that it names
//!   clock.rs      a server's clock
//!   devices.rs    the devices that it names, for `init`; device_words.rs reads the names
//!   firmware.rs   the device by which all of these reach the guest
//!   failure.rs    what can go wrong in a program, and check!, check_eq!
//!   manager.rs    the manager's type
//!   measure.rs    what an operation costs, and a row of the benchmark for it
//!   pci.rs        where the IDE controller is
//!   thread.rs     a second thread with a stack and an IPC buffer from the manager
//! ```
#![no_std]

pub mod arch;
mod arguments;
mod clients;
mod clock;
mod device_words;
mod devices;
mod failure;
mod firmware;
mod manager;
pub mod measure;
mod pci;
mod thread;

pub use arguments::{Arguments, ArgumentsError};
pub use clients::{client, ClientFile, MAX_CLIENTS};
pub use clock::keep_time;
pub use device_words::{DeviceError, MAX_DEVICES};
pub use devices::Devices;
pub use failure::{Failure, Outcome};
pub use manager::Manager;
pub use thread::{Entry, Thread, ThreadOptions};
