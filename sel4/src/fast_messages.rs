// SPDX-License-Identifier: BSD-2-Clause
//! Short messages by value.
//!
//! Upstream's four fast message words are four here too, for source's sake. Where the architecture
//! has registers for fewer (IA32: two), the others go through the IPC buffer.

use crate::sys::syscall::{self, Answer, MessageRegisters, MESSAGE_REGISTERS, NO_WORDS};
use crate::sys::{SysCall, SysRecv, SysSend};
use crate::{Badge, Cap, CapType, ConveysReplyAuthority, InvocationContext, IpcBuffer};
use crate::{MessageInfo, Word};

/// How many message words go by value.
pub const NUM_FAST_MESSAGE_REGISTERS: usize = 4;

const _: () = assert!(MESSAGE_REGISTERS <= NUM_FAST_MESSAGE_REGISTERS);

/// What [`Cap::recv_with_mrs`] received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecvWithMRs {
    /// What the message is.
    pub info: MessageInfo,
    /// The badge of the capability it was sent through.
    pub badge: Badge,
    /// Its first words; those beyond its length mean nothing.
    pub msg: [Word; NUM_FAST_MESSAGE_REGISTERS],
}

/// What [`Cap::call_with_mrs`] got as an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallWithMRs {
    /// What the answer is.
    pub info: MessageInfo,
    /// Its first words; those beyond its length mean nothing.
    pub msg: [Word; NUM_FAST_MESSAGE_REGISTERS],
}

mod sealing {
    use crate::Word;

    pub trait Sealed {}
    impl Sealed for [Word; 0] {}
    impl Sealed for [Word; 1] {}
    impl Sealed for [Word; 2] {}
    impl Sealed for [Word; 3] {}
    impl Sealed for [Word; 4] {}
    impl Sealed for &[Word] {}
}

/// Up to four message words: an array, or a slice (which panics when it is longer).
pub trait FastMessages: sealing::Sealed {
    /// The words, `None` beyond the last: the IPC buffer's own word is sent there.
    fn prepare_in(self) -> [Option<Word>; NUM_FAST_MESSAGE_REGISTERS];

    /// The words, 0 beyond the last.
    fn prepare_in_out(self) -> [Word; NUM_FAST_MESSAGE_REGISTERS];
}

impl<const N: usize> FastMessages for [Word; N]
where
    [Word; N]: sealing::Sealed,
{
    #[inline(always)]
    fn prepare_in(self) -> [Option<Word>; NUM_FAST_MESSAGE_REGISTERS] {
        core::array::from_fn(|i| self.get(i).copied())
    }

    #[inline(always)]
    fn prepare_in_out(self) -> [Word; NUM_FAST_MESSAGE_REGISTERS] {
        core::array::from_fn(|i| self.get(i).copied().unwrap_or(0))
    }
}

impl FastMessages for &[Word] {
    fn prepare_in(self) -> [Option<Word>; NUM_FAST_MESSAGE_REGISTERS] {
        assert!(self.len() <= NUM_FAST_MESSAGE_REGISTERS, "too many fast message words");
        core::array::from_fn(|i| self.get(i).copied())
    }

    fn prepare_in_out(self) -> [Word; NUM_FAST_MESSAGE_REGISTERS] {
        assert!(self.len() <= NUM_FAST_MESSAGE_REGISTERS, "too many fast message words");
        core::array::from_fn(|i| self.get(i).copied().unwrap_or(0))
    }
}

impl<T: CapType, C: InvocationContext> Cap<T, C> {
    /// Sends a message, its first words by value (`seL4_SendWithMRs`).
    pub fn send_with_mrs<M: FastMessages>(self, info: MessageInfo, messages: M) {
        let words = messages.prepare_in();
        self.invoke(|cptr, ipc_buffer| {
            let msg = ipc_buffer.msg_regs_mut();
            let mut first = NO_WORDS;
            for (i, word) in words.into_iter().enumerate() {
                match first.get_mut(i) {
                    Some(register) => *register = word.unwrap_or(msg[i]),
                    None => msg[i] = word.unwrap_or(msg[i]),
                }
            }
            syscall::publish(ipc_buffer.inner_mut());
            // SAFETY: sending a message changes no memory of this thread.
            unsafe { syscall::send::<SysSend>(cptr.bits(), info.word(), first) }
        })
    }

    /// Receives a message, its first words by value (`seL4_RecvWithMRs`). The IPC buffer's words
    /// for those that came in registers are left as they were.
    pub fn recv_with_mrs(self, reply_authority: impl ConveysReplyAuthority) -> RecvWithMRs {
        let _ = reply_authority.into_reply_authority();
        self.invoke(|cptr, ipc_buffer| {
            syscall::publish(ipc_buffer.inner_mut());
            // SAFETY: receiving writes to the IPC buffer only, which is borrowed here.
            let answer = unsafe { syscall::recv::<SysRecv>(cptr.bits()) };
            RecvWithMRs {
                info: MessageInfo::from_word(answer.info),
                badge: answer.badge,
                msg: first_words(&answer, ipc_buffer),
            }
        })
    }

    /// Sends a message and waits for the answer, the first words of both by value
    /// (`seL4_CallWithMRs`). The IPC buffer's words for those that came in registers are left as
    /// they were.
    pub fn call_with_mrs<M: FastMessages>(self, info: MessageInfo, messages: M) -> CallWithMRs {
        let words = messages.prepare_in_out();
        self.invoke(|cptr, ipc_buffer| {
            let first: MessageRegisters = core::array::from_fn(|i| words[i]);
            ipc_buffer.msg_regs_mut()[MESSAGE_REGISTERS..NUM_FAST_MESSAGE_REGISTERS]
                .copy_from_slice(&words[MESSAGE_REGISTERS..]);
            syscall::publish(ipc_buffer.inner_mut());
            // SAFETY: the answer goes to the IPC buffer only, which is borrowed here.
            let answer = unsafe { syscall::send_recv::<SysCall>(cptr.bits(), info.word(), first) };
            CallWithMRs {
                info: MessageInfo::from_word(answer.info),
                msg: first_words(&answer, ipc_buffer),
            }
        })
    }
}

/// A received message's first words: of the registers, and where those end of the IPC buffer.
fn first_words(answer: &Answer, ipc_buffer: &IpcBuffer) -> [Word; NUM_FAST_MESSAGE_REGISTERS] {
    core::array::from_fn(|i| answer.words.get(i).copied().unwrap_or(ipc_buffer.msg_regs()[i]))
}
