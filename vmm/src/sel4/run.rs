// SPDX-License-Identifier: BSD-2-Clause
//! The last step of making a thread: its priority and its registers, which are the bindings' own.

use sel4::init_thread::slot;
use sel4::{cap_type, UserContext, Word};
use untyped_alloc::CPtr;

use super::bindings;

/// The registers of a thread that begins with `entry`, the address of a `sel4::thread_entry!`; with
/// the feature `kernel-16`, of an `extern "C"` function of two words.
/// `stack_top` (bytes) is rounded down as the ABI wants it; `thread_pointer` is that of its
/// thread-local storage, 0 if it has none.
pub fn first_registers(
    entry: usize,
    stack_top: usize,
    arguments: [usize; 2],
    thread_pointer: usize,
) -> UserContext {
    let arguments = arguments.map(|argument| argument as Word);
    bindings::first_registers(entry, stack_top, arguments, thread_pointer)
}

/// Lets a thread run with these registers and this priority, 0 to 255, at most that of the root
/// task's first thread. Two kernel calls.
///
/// # Errors
/// What the kernel refuses.
pub fn let_run(tcb: CPtr, priority: Word, registers: &mut UserContext) -> sel4::Result<()> {
    let tcb = tcb.cap::<cap_type::Tcb>();
    tcb.tcb_set_sched_params(slot::TCB.cap(), priority, priority)?;
    tcb.tcb_write_all_registers(true, registers)
}
