// SPDX-License-Identifier: BSD-2-Clause
//! Threads that run a closure, whose result who joins them gets.
//!
//! ```text
//!   spawn ── a page: closure, slot of the thread's capability, room for the result ──► the thread
//!   join  ◄── the same page, once the thread has ended and nobody else has it ────────────┘
//! ```
//!
//! The page is a memory object, so that a program without a heap can have such threads too.

use core::mem::{align_of, size_of};
use core::sync::atomic::{AtomicUsize, Ordering};

use super::error::{Error, Result};
use super::kinds::{Handle, Memory, Thread};
use super::object::Object;
use super::program::Program;
use super::slots::{free_slot, take_slot};
use super::space::Mapping;
use crate::bindings::{self, ThreadEntry};
use crate::objects::{FaultPolicy, Request, Rights, ACCOUNT_SLOT, PAGE_BYTES};

/// What a packet begins with, whatever the types are.
#[repr(C)]
struct Head {
    /// Runs the packet's closure.
    run: fn(*mut ()) -> u32,
    /// The address of the thread's IPC buffer, which is no other thread's, once it runs.
    ipc_buffer: AtomicUsize,
}

/// What a thread begins with, and what it leaves.
#[repr(C)]
struct Packet<F, T> {
    head: Head,
    main: Option<F>,
    slot: u32,
    result: Option<T>,
}

/// A thread that runs a closure. One that is not joined runs on, and what it has stays.
#[derive(Debug)]
#[must_use = "what is not joined stays"]
pub struct JoinHandle<T> {
    thread: Thread,
    page: Memory,
    shown: Mapping,
    /// Takes what the closure has left out of the packet.
    take: fn(*mut ()) -> Option<T>,
}

impl Program {
    /// A thread that runs `main`, with so many pages of stack and one below it that is never there,
    /// and this priority, which is not above that of the program's first. The program's account
    /// pays, for a page besides. Closure and result together are smaller than that page.
    ///
    /// # Errors
    /// [`super::Error::Refused`], [`super::Error::OutOfSlots`]; then `main` is dropped.
    pub fn spawn<F, T>(&self, stack: u32, priority: u8, main: F) -> Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.spawn_with(stack, priority, FaultPolicy::Program, main)
    }

    /// The same, of a thread whose faults have these consequences.
    ///
    /// # Errors
    /// Those of [`Program::spawn`].
    pub fn spawn_with<F, T>(
        &self,
        stack: u32,
        priority: u8,
        policy: FaultPolicy,
        main: F,
    ) -> Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        const { assert!(size_of::<Packet<F, T>>() <= PAGE_BYTES) };
        const { assert!(align_of::<Packet<F, T>>() <= PAGE_BYTES) };
        let account = self.account();
        let page = account.create_memory(1)?;
        let shown = match self.space().map(&page, Rights::READ_WRITE, &account) {
            Ok(shown) => shown,
            Err(error) => {
                page.destroy()?;
                return Err(error);
            }
        };
        let packet = shown.address() as *mut Packet<F, T>;
        let started = take_slot().and_then(|slot| {
            let head = Head { run: run::<F, T>, ipc_buffer: AtomicUsize::new(0) };
            // SAFETY: the page is there when it is touched, large enough and aligned, and nobody
            // else has it.
            unsafe { packet.write(Packet { head, main: Some(main), slot, result: None }) };
            let (entry, argument) = (begin_thread as ThreadEntry as usize, packet as usize);
            let (priority, guard) = (priority.into(), 1);
            let request =
                Request::CreateThread { entry, argument, stack, guard, priority, policy, slot };
            match super::call::finish(&request, &[ACCOUNT_SLOT]) {
                Ok(()) => Ok(slot),
                Err(error) => {
                    free_slot(slot);
                    // SAFETY: it was written above, and no thread has it.
                    unsafe { packet.drop_in_place() };
                    Err(error)
                }
            }
        });
        match started {
            Ok(slot) => {
                let (thread, take) = (Thread::from_slot(slot), take::<F, T>);
                Ok(JoinHandle { thread, page, shown, take })
            }
            Err(error) => {
                shown.unmap()?;
                page.destroy()?;
                Err(error)
            }
        }
    }
}

impl<T> JoinHandle<T> {
    /// The thread.
    pub fn thread(&self) -> &Thread {
        &self.thread
    }

    /// Waits until the thread has ended, and returns what its closure returned; `None` where it was
    /// ended before that, or is suspended, and so ended.
    ///
    /// # Errors
    /// [`Error::JoinsItself`] where it is the thread that calls this; those of [`Thread::join`].
    /// Then what the closure has left stays where it is.
    pub fn join(self) -> Result<Option<T>> {
        // SAFETY: the packet is there until the handle is gone, and this part of it is only read and
        // written whole.
        let head = unsafe { &*(self.shown.address() as *const Head) };
        if bindings::own_ipc_buffer() == Some(head.ipc_buffer.load(Ordering::Relaxed)) {
            return Err(Error::JoinsItself);
        }
        self.thread.join()?;
        let result = (self.take)(self.shown.address() as *mut ());
        self.shown.unmap()?;
        self.page.destroy()?;
        Ok(result)
    }
}

bindings::thread_entry! {
    fn begin_thread(ipc_buffer: usize, argument: usize) -> ! {
        // SAFETY: the service passes a new thread the address of its IPC buffer, which nobody else
        // uses; the argument is that of `spawn`: a packet, which begins so.
        let head = unsafe {
            bindings::set_ipc_buffer(ipc_buffer);
            &*(argument as *const Head)
        };
        head.ipc_buffer.store(ipc_buffer, Ordering::Relaxed);
        let slot = (head.run)(argument as *mut ());
        Thread::end_own(slot, 0)
    }
}

/// Runs the closure of a packet and leaves its result there. Returns the slot of its thread.
fn run<F: FnOnce() -> T, T>(packet: *mut ()) -> u32 {
    let packet = packet.cast::<Packet<F, T>>();
    // SAFETY: `spawn` has made it of these types, and nobody else has it while the thread runs, but
    // for its head, which who joins reads: so there is no reference to the whole.
    let (main, result, slot) =
        unsafe { (&mut (*packet).main, &mut (*packet).result, (*packet).slot) };
    *result = main.take().map(|main| main());
    slot
}

/// Takes the result out of a packet, of which nothing is left then.
fn take<F, T>(packet: *mut ()) -> Option<T> {
    // SAFETY: `spawn` has made it of these types, and its thread has ended; it is read once.
    unsafe { packet.cast::<Packet<F, T>>().read() }.result
}
