// SPDX-License-Identifier: BSD-2-Clause
//! The one manager, its lock, and how an answer becomes a code.
//!
//! The lock is [`SharedManager`]'s, which ends the program where a thread takes it twice. The one
//! thread that has it while code of the caller's runs is the fault handler, in a policy: it is
//! noted here, and uses the manager that it has.

use core::cell::UnsafeCell;
use core::ffi::c_char;
use core::fmt::{self, Write};
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicUsize, Ordering};

use vmm::sel4::faults::{Manager, SharedManager};
use vmm::{Error, Name};

use crate::types::vmm_code_t::{self, *};
use crate::types::Refusal;

pub static MANAGER: SharedManager = SharedManager::new();

const NEVER_STARTED: u8 = 0;
const STARTING: u8 = 1;
const STARTED: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(NEVER_STARTED);

/// The IPC buffer of the thread that is in a fault policy, and the manager that it has; 0 and null
/// while none is.
static IN_POLICY: AtomicUsize = AtomicUsize::new(0);
static OF_POLICY: AtomicPtr<Manager> = AtomicPtr::new(ptr::null_mut());

/// How many threads' last errors are known in full.
const DETAILS: usize = 16;

/// The last errors of threads, by their IPC buffers, and which entry is overwritten next.
struct Details {
    entries: [Option<(usize, Error)>; DETAILS],
    next: usize,
}

/// Reached by who has the manager locked.
struct Locked<T>(UnsafeCell<T>);

// SAFETY: `locked` alone reaches it, and only while it has the manager's lock.
unsafe impl<T: Send> Sync for Locked<T> {}

static ERRORS: Locked<Details> =
    Locked(UnsafeCell::new(Details { entries: [None; DETAILS], next: 0 }));

/// Starts the manager by `start`, once.
pub fn begin(start: impl FnOnce() -> Result<(), Refusal>) -> Result<(), Refusal> {
    let first =
        STATE.compare_exchange(NEVER_STARTED, STARTING, Ordering::Acquire, Ordering::Relaxed);
    first.map_err(|_| VMM_ALREADY_STARTED)?;
    start()?;
    STATE.store(STARTED, Ordering::Release);
    Ok(())
}

/// The calling thread, by the address of its IPC buffer, if it may make a request.
fn caller() -> Result<usize, vmm_code_t> {
    if STATE.load(Ordering::Acquire) != STARTED {
        return Err(VMM_NOT_STARTED);
    }
    match sel4::ipc_buffer_address() as usize {
        0 => Err(VMM_NO_IPC_BUFFER),
        me => Ok(me),
    }
}

/// Whether the calling thread may make a request, and is in no fault policy.
pub fn check_caller() -> Result<(), vmm_code_t> {
    match caller()? == IN_POLICY.load(Ordering::Relaxed) {
        true => Err(VMM_IN_POLICY),
        false => Ok(()),
    }
}

/// Calls `f` with the manager locked, and what is kept under the same lock.
fn locked<T>(me: usize, f: impl FnOnce(&mut Manager, &mut Details) -> T) -> T {
    let mut guard;
    let manager = match me == IN_POLICY.load(Ordering::Relaxed) {
        // SAFETY: `in_policy` of this thread was given it, and waits with it until the policy ends.
        true => unsafe { &mut *OF_POLICY.load(Ordering::Relaxed) },
        false => {
            guard = MANAGER.lock();
            &mut *guard
        }
    };
    // SAFETY: the manager is locked by this thread, which is not in `f` already: nothing that is
    // called there calls this.
    let details = unsafe { &mut *ERRORS.0.get() };
    f(manager, details)
}

/// Makes a request with the manager locked.
pub fn with<T, E: Into<Refusal>>(
    request: impl FnOnce(&mut Manager) -> Result<T, E>,
) -> Result<T, Refusal> {
    let me = caller()?;
    locked(me, |manager, details| {
        let answer = request(manager).map_err(Into::into);
        if let Err(refusal) = &answer {
            details.note(me, refusal);
        }
        answer
    })
}

/// Keeps what was refused to the calling thread, by something that locks the manager itself.
pub fn noted(refusal: Refusal) -> Refusal {
    if let Ok(me) = caller() {
        locked(me, |_, details| details.note(me, &refusal));
    }
    refusal
}

/// Calls a fault policy, in the thread that has the manager.
pub fn in_policy<T>(manager: &mut Manager, policy: impl FnOnce() -> T) -> T {
    OF_POLICY.store(manager, Ordering::Relaxed);
    IN_POLICY.store(sel4::ipc_buffer_address() as usize, Ordering::Relaxed);
    let answer = policy();
    IN_POLICY.store(0, Ordering::Relaxed);
    answer
}

/// The calling thread's last error with this code, in full, if it is still known.
pub fn last_error(code: vmm_code_t) -> Option<Error> {
    let me = caller().ok()?;
    let last = locked(me, |_, details| details.of(me));
    last.filter(|error| vmm_code_t::from(error) == code)
}

impl Details {
    fn of(&self, thread: usize) -> Option<Error> {
        let mine = self.entries.iter().flatten().find(|&&(of, _)| of == thread);
        mine.map(|&(_, error)| error)
    }

    /// Of what this crate refuses there is no more to be said than its code.
    fn note(&mut self, thread: usize, refusal: &Refusal) {
        let known = |entry: &Option<(usize, Error)>| entry.is_some_and(|(of, _)| of == thread);
        let known = self.entries.iter().position(known);
        match (*refusal, known) {
            (Refusal::Manager(error), Some(at)) => self.entries[at] = Some((thread, error)),
            (Refusal::Manager(error), None) => {
                self.entries[self.next] = Some((thread, error));
                self.next = (self.next + 1) % DETAILS;
            }
            (Refusal::Code(_), Some(at)) => self.entries[at] = None,
            (Refusal::Code(_), None) => {}
        }
    }
}

/// What C is answered.
pub fn answer(done: Result<(), Refusal>) -> vmm_code_t {
    match done {
        Ok(()) => VMM_OK,
        Err(refusal) => refusal.code(),
    }
}

/// The bytes of a string, without the zero byte; none of NULL.
pub fn bytes_of(text: *const c_char) -> impl Iterator<Item = u8> {
    let mut index = 0;
    core::iter::from_fn(move || {
        if text.is_null() {
            return None;
        }
        // SAFETY: by the header's word a string that ends with a zero byte; it did not before.
        let byte = unsafe { text.add(index).read() } as u8;
        index += 1;
        (byte != 0).then_some(byte)
    })
}

/// A name: as many bytes as count, up to what is no UTF-8.
pub fn short_name(text: *const c_char) -> Name {
    let (mut bytes, mut len) = ([0; 15], 0);
    for (place, byte) in bytes.iter_mut().zip(bytes_of(text)) {
        *place = byte;
        len += 1;
    }
    Name::new(bytes[..len].utf8_chunks().next().map_or("", |chunk| chunk.valid()))
}

/// Writes text for C: as much as there is room for, and a zero byte. Counts all of it.
pub struct Buffer {
    at: *mut c_char,
    bytes: usize,
    written: usize,
}

impl Buffer {
    /// The `bytes` bytes at `at`; none where that is NULL.
    ///
    /// # Safety
    /// They must be writable, and nobody else's.
    pub unsafe fn new(at: *mut c_char, bytes: usize) -> Buffer {
        Buffer { at, bytes: if at.is_null() { 0 } else { bytes }, written: 0 }
    }

    /// Ends the text; returns how many bytes all of it has, without the zero byte.
    pub fn finish(self) -> usize {
        if self.bytes != 0 {
            // SAFETY: inside, by the promise of `new`.
            unsafe { self.at.add(self.written.min(self.bytes - 1)).write(0) };
        }
        self.written
    }
}

impl Write for Buffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if self.written + 1 < self.bytes {
                // SAFETY: inside, by the promise of `new`.
                unsafe { self.at.add(self.written).write(byte as c_char) };
            }
            self.written += 1;
        }
        Ok(())
    }
}
