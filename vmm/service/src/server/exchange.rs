// SPDX-License-Identifier: BSD-2-Clause
//! What both servers do: with the calling thread's IPC buffer, with a thread that is to begin, and
//! with one whose fault cannot be resolved.

use sel4::{MessageInfo, MessageInfoBuilder, Word};
use vmm::sel4::faults::{report, Manager, ThreadFault};
use vmm::sel4::{first_registers, let_run};
use vmm::{SpaceId, ThreadId};

use crate::server::report::Notice;
use crate::types::program::Start;

/// The words of the message that came, as many as fit.
#[inline(always)]
pub(crate) fn take_words<'w>(info: &MessageInfo, words: &'w mut [usize]) -> &'w [usize] {
    let length = info.length().min(words.len());
    let words = &mut words[..length];
    sel4::with_ipc_buffer(|buffer| {
        for (word, &place) in words.iter_mut().zip(buffer.msg_regs()) {
            *word = place as usize;
        }
    });
    words
}

/// Puts an answer into the IPC buffer.
#[inline(always)]
pub(crate) fn put_words(label: u32, words: &[usize]) -> MessageInfo {
    sel4::with_ipc_buffer_mut(|buffer| {
        for (place, &word) in buffer.msg_regs_mut().iter_mut().zip(words) {
            *place = word as Word;
        }
    });
    MessageInfoBuilder::default().label(label.into()).length(words.len()).build()
}

/// Tells of a fault that cannot be resolved: what it is, why not, and whether a pager refused the
/// page. Returns the space of the thread, if it is registered still.
pub(crate) fn tell_fault(
    tell: fn(&Notice<'_>),
    vmm: &mut Manager,
    thread: ThreadId,
    fault: (ThreadFault, Option<vmm::Error>, bool),
) -> Option<SpaceId> {
    report(vmm, thread, fault, |_, incident| {
        tell(&Notice::Fault(incident));
        incident.thread.space
    })
}

/// Writes a new thread's registers, and lets it run.
pub(crate) fn set_going(start: &Start, argument: usize, priority: Word) -> sel4::Result<()> {
    let Start { tcb, entry, stack_top, ipc_buffer, thread_pointer } = *start;
    let arguments = [ipc_buffer, argument];
    let mut registers = first_registers(entry, stack_top, arguments, thread_pointer);
    let_run(tcb, priority, &mut registers)
}
