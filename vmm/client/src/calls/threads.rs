// SPDX-License-Identifier: BSD-2-Clause
//! Calls on threads and their IPC buffers.

use super::error::Result;
use super::service::{Service, Thread};
use crate::bindings::ThreadEntry;
use crate::protocol::{NewThread, Request};

impl Service {
    /// Allocates an IPC buffer for a new thread and returns its address. The capability to its
    /// frame goes to `slot`, or nowhere for 0.
    pub fn ipc_buffer(&self, slot: u32) -> Result<usize> {
        self.address(&Request::IpcBuffer { slot })
    }

    /// Frees such a buffer.
    pub fn release_ipc_buffer(&self, address: usize) -> Result {
        self.done(&Request::ReleaseIpcBuffer { address })
    }

    /// Starts a further thread of this program, with a stack of `stack_pages` pages, an IPC buffer
    /// and thread-local storage of its own. It begins at `entry`, which
    /// [`client_thread!`](crate::client_thread) makes, with `argument`. `slot` is an empty slot of
    /// the program's CNode: the service puts the endpoint there that receives the thread's faults.
    pub fn spawn(
        &self,
        entry: ThreadEntry,
        argument: usize,
        stack_pages: u32,
        slot: u32,
    ) -> Result<Thread> {
        let thread = NewThread { entry: entry as usize, argument, stack_pages, slot };
        Ok(Thread(self.address(&Request::Thread(thread))?))
    }

    /// Ends a thread that was started so, wherever it is, and frees all that it had.
    pub fn end_thread(&self, thread: Thread) -> Result {
        self.done(&Request::EndThread { thread: thread.0, own: false })
    }
}
