// SPDX-License-Identifier: BSD-2-Clause
//! The invocations, one file for each kind of object, and the way they all go into the kernel.
//!
//! An invocation is a call on the object's capability: a label, words, capabilities. Its answer's
//! label is 0 or the number of an error.

mod asid;
mod cnode;
mod frame;
mod io_port;
mod irq;
pub(crate) mod sys;
mod table;
mod tcb;
mod untyped;

use crate::sys::syscall::{self, first_words, Answer, MessageRegisters, MESSAGE_REGISTERS};
use crate::sys::{seL4_NumErrors, X86PageUnmap};
use crate::{CPtrBits, Cap, CapType, Error, InvocationContext, MessageInfo, Result, Word};

impl<T: CapType, C: InvocationContext> Cap<T, C> {
    /// Invokes the capability with these words and capabilities; the answer's first two words.
    ///
    /// All is known at compile time but the values, so this comes down to the stores into the IPC
    /// buffer, the system call and one branch. Without words beyond those that travel in registers
    /// and without capabilities the IPC buffer is not even looked for.
    ///
    /// Safe as the kernel is: it protects itself. That an invocation changes memory which safe code
    /// relies on (unmapping a stack) is not expressible here, as upstream.
    #[inline(always)]
    pub(crate) fn invoke_with<const WORDS: usize, const CAPS: usize>(
        self,
        label: Word,
        words: [Word; WORDS],
        caps: [CPtrBits; CAPS],
    ) -> Result<(Word, Word)> {
        let cptr = self.bits();
        let info = MessageInfo::new(label, 0, CAPS, WORDS).word();
        let first = first_words(&words);
        let answer = if WORDS <= MESSAGE_REGISTERS && CAPS == 0 {
            // SAFETY: an invocation; see above.
            unsafe { syscall::invoke(cptr, info, first) }
        } else {
            return self.into_invocation_context().with_context_leaf(|ipc_buffer| {
                let ipc_buffer = ipc_buffer.inner_mut();
                if WORDS > MESSAGE_REGISTERS {
                    ipc_buffer.msg[MESSAGE_REGISTERS..WORDS]
                        .copy_from_slice(&words[MESSAGE_REGISTERS..]);
                }
                ipc_buffer.caps_or_badges[..CAPS].copy_from_slice(&caps);
                syscall::publish(ipc_buffer);
                // SAFETY: an invocation; see above.
                let answer = unsafe { syscall::invoke(cptr, info, first) };
                match check(&answer, label) {
                    Ok(()) => Ok((answer.words[0], answer.words[1])),
                    Err(error) => {
                        ipc_buffer.msg[..MESSAGE_REGISTERS].copy_from_slice(&answer.words);
                        Err(error)
                    }
                }
            });
        };
        match check(&answer, label) {
            Ok(()) => Ok((answer.words[0], answer.words[1])),
            Err(error) => Err(keep_details(self, answer, error)),
        }
    }

    /// As [`invoke_with`](Self::invoke_with), for few words and no capabilities, and an answer of
    /// which all words count: those that came in registers are returned, the others are in the IPC
    /// buffer.
    #[inline(always)]
    fn invoke_for_words<const WORDS: usize>(
        self,
        label: Word,
        words: [Word; WORDS],
    ) -> Result<MessageRegisters> {
        const { assert!(WORDS <= MESSAGE_REGISTERS) };
        let info = MessageInfo::new(label, 0, 0, WORDS).word();
        // SAFETY: an invocation; see `invoke_with`.
        let answer = unsafe { syscall::invoke(self.bits(), info, first_words(&words)) };
        match check(&answer, label) {
            Ok(()) => Ok(answer.words),
            Err(error) => Err(keep_details(self, answer, error)),
        }
    }
}

#[inline(always)]
fn check(answer: &Answer, sent: Word) -> Result<()> {
    let label = MessageInfo::from_word(answer.info).label();
    if label == 0 {
        Ok(())
    } else {
        refused(label, sent)
    }
}

/// What an answer's label that is not 0 means.
///
/// `Page_Unmap` of a frame that is not mapped does nothing, and forgets to answer
/// (decodeX86FrameInvocation): registers come back as they were sent. Its label is no error's.
#[cold]
fn refused(label: Word, sent: Word) -> Result<()> {
    if label == sent && label == X86PageUnmap {
        return Ok(());
    }
    Err(Error::from_sys(label).expect("the kernel answers with its own error numbers"))
}

const _: () = assert!(X86PageUnmap >= seL4_NumErrors);

/// Puts the details of an error where [`Error`] says they are, unless the IPC buffer is borrowed:
/// the invocation itself did without it, and must not panic for want of it.
#[cold]
fn keep_details<T: CapType, C: InvocationContext>(
    cap: Cap<T, C>,
    answer: Answer,
    error: Error,
) -> Error {
    cap.into_invocation_context().try_with_context_leaf(|ipc_buffer| {
        ipc_buffer.msg_regs_mut()[..MESSAGE_REGISTERS].copy_from_slice(&answer.words);
    });
    error
}
