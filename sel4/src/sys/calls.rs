// SPDX-License-Identifier: BSD-2-Clause
//! The system calls as methods of the IPC buffer that their messages are in, by upstream's names.
//!
//! The first words of a message travel in registers. `…WithMRs` take four of them by value, as
//! upstream does, and leave those of the buffer alone, but where the architecture has registers for
//! fewer: the others go through the buffer. So upstream's functions for that without an IPC buffer
//! (`seL4_CallWithMRsWithoutIPCBuffer` and their kin) are there on x86_64 alone.

use super::syscall::{self, first_words, Answer, MessageRegisters, MESSAGE_REGISTERS, NO_WORDS};
use super::{seL4_CPtr, seL4_IPCBuffer, seL4_MessageInfo, seL4_Word};
use super::{SysCall, SysNBRecv, SysNBSend, SysRecv, SysReply, SysReplyRecv, SysSend, SysYield};

/// What receiving takes as the right to answer: nothing, without MCS scheduling.
pub type ReplyAuthority = ();
/// What waiting for a signal says beside the badge: nothing, without MCS scheduling.
pub type WaitMessageInfo = ();

/// The words that go by value.
const BY_VALUE: usize = 4;

impl seL4_IPCBuffer {
    /// Sends a message, and waits until it is received.
    #[inline]
    pub fn seL4_Send(&mut self, dest: seL4_CPtr, msg_info: seL4_MessageInfo) {
        let first = self.publish_message();
        // SAFETY: sending a message changes no memory of this thread. (So below.)
        unsafe { syscall::send::<SysSend>(dest, msg_info.words[0], first) }
    }

    /// The same, with the first words by value; a missing one is 0.
    #[inline]
    pub fn seL4_SendWithMRs(
        &mut self,
        dest: seL4_CPtr,
        msg_info: seL4_MessageInfo,
        msg0: Option<seL4_Word>,
        msg1: Option<seL4_Word>,
        msg2: Option<seL4_Word>,
        msg3: Option<seL4_Word>,
    ) {
        let first = self.publish_words(msg_info, [msg0, msg1, msg2, msg3]);
        // SAFETY: as in `seL4_Send`.
        unsafe { syscall::send::<SysSend>(dest, msg_info.words[0], first) }
    }

    /// Sends a message if somebody waits for it, and drops it otherwise.
    #[inline]
    pub fn seL4_NBSend(&mut self, dest: seL4_CPtr, msg_info: seL4_MessageInfo) {
        let first = self.publish_message();
        // SAFETY: as in `seL4_Send`.
        unsafe { syscall::send::<SysNBSend>(dest, msg_info.words[0], first) }
    }

    /// The same, with the first words by value; a missing one is 0.
    #[inline]
    pub fn seL4_NBSendWithMRs(
        &mut self,
        dest: seL4_CPtr,
        msg_info: seL4_MessageInfo,
        msg0: Option<seL4_Word>,
        msg1: Option<seL4_Word>,
        msg2: Option<seL4_Word>,
        msg3: Option<seL4_Word>,
    ) {
        let first = self.publish_words(msg_info, [msg0, msg1, msg2, msg3]);
        // SAFETY: as in `seL4_Send`.
        unsafe { syscall::send::<SysNBSend>(dest, msg_info.words[0], first) }
    }

    /// Answers the call received last. Does nothing when there is none.
    #[inline]
    pub fn seL4_Reply(&mut self, msg_info: seL4_MessageInfo) {
        let first = self.publish_message();
        // SAFETY: as in `seL4_Send`.
        unsafe { syscall::send::<SysReply>(0, msg_info.words[0], first) }
    }

    /// The same, with the first words by value; a missing one is 0.
    #[inline]
    pub fn seL4_ReplyWithMRs(
        &mut self,
        msg_info: seL4_MessageInfo,
        msg0: Option<seL4_Word>,
        msg1: Option<seL4_Word>,
        msg2: Option<seL4_Word>,
        msg3: Option<seL4_Word>,
    ) {
        let first = self.publish_words(msg_info, [msg0, msg1, msg2, msg3]);
        // SAFETY: as in `seL4_Send`.
        unsafe { syscall::send::<SysReply>(0, msg_info.words[0], first) }
    }

    /// Signals a notification.
    #[inline]
    pub fn seL4_Signal(&mut self, dest: seL4_CPtr) {
        // SAFETY: as in `seL4_Send`.
        unsafe { syscall::send::<SysSend>(dest, 0, NO_WORDS) }
    }

    /// Waits for a message; its badge is the second.
    #[inline]
    pub fn seL4_Recv(
        &mut self,
        src: seL4_CPtr,
        _reply_authority: ReplyAuthority,
    ) -> (seL4_MessageInfo, seL4_Word) {
        syscall::publish(self);
        // SAFETY: receiving writes to the IPC buffer only, which is borrowed here. (So below.)
        let answer = unsafe { syscall::recv::<SysRecv>(src) };
        self.received(answer)
    }

    /// The same, with the first words by value.
    #[inline]
    pub fn seL4_RecvWithMRs(
        &mut self,
        src: seL4_CPtr,
        msg0: Option<&mut seL4_Word>,
        msg1: Option<&mut seL4_Word>,
        msg2: Option<&mut seL4_Word>,
        msg3: Option<&mut seL4_Word>,
        _reply_authority: ReplyAuthority,
    ) -> (seL4_MessageInfo, seL4_Word) {
        syscall::publish(self);
        // SAFETY: as in `seL4_Recv`.
        let answer = unsafe { syscall::recv::<SysRecv>(src) };
        self.give_words(&answer, [msg0, msg1, msg2, msg3]);
        (seL4_MessageInfo { words: [answer.info] }, answer.badge)
    }

    /// Takes a message if there is one; a badge of 0 and an empty message otherwise.
    #[inline]
    pub fn seL4_NBRecv(
        &mut self,
        src: seL4_CPtr,
        _reply_authority: ReplyAuthority,
    ) -> (seL4_MessageInfo, seL4_Word) {
        syscall::publish(self);
        // SAFETY: as in `seL4_Recv`.
        let answer = unsafe { syscall::recv::<SysNBRecv>(src) };
        self.received(answer)
    }

    /// Sends a message and waits for the answer.
    #[inline]
    pub fn seL4_Call(&mut self, dest: seL4_CPtr, msg_info: seL4_MessageInfo) -> seL4_MessageInfo {
        let first = self.publish_message();
        // SAFETY: as in `seL4_Recv`.
        let answer = unsafe { syscall::send_recv::<SysCall>(dest, msg_info.words[0], first) };
        self.received(answer).0
    }

    /// The same, with the first words by value, those of the answer in their place; a missing one
    /// is 0.
    #[inline]
    pub fn seL4_CallWithMRs(
        &mut self,
        dest: seL4_CPtr,
        msg_info: seL4_MessageInfo,
        msg0: Option<&mut seL4_Word>,
        msg1: Option<&mut seL4_Word>,
        msg2: Option<&mut seL4_Word>,
        msg3: Option<&mut seL4_Word>,
    ) -> seL4_MessageInfo {
        let words = [msg0, msg1, msg2, msg3];
        let first =
            self.publish_words(msg_info, words.each_ref().map(|word| word.as_deref().copied()));
        // SAFETY: as in `seL4_Recv`.
        let answer = unsafe { syscall::send_recv::<SysCall>(dest, msg_info.words[0], first) };
        self.give_words(&answer, words);
        seL4_MessageInfo { words: [answer.info] }
    }

    /// Answers the call received last and waits for the next message.
    #[inline]
    pub fn seL4_ReplyRecv(
        &mut self,
        src: seL4_CPtr,
        msg_info: seL4_MessageInfo,
        _reply_authority: ReplyAuthority,
    ) -> (seL4_MessageInfo, seL4_Word) {
        let first = self.publish_message();
        // SAFETY: as in `seL4_Recv`.
        let answer = unsafe { syscall::send_recv::<SysReplyRecv>(src, msg_info.words[0], first) };
        self.received(answer)
    }

    /// Waits for a signal and takes the word.
    #[inline]
    pub fn seL4_Wait(&mut self, src: seL4_CPtr) -> (WaitMessageInfo, seL4_Word) {
        ((), self.seL4_Recv(src, ()).1)
    }

    /// Takes the word if there was a signal, and 0 otherwise.
    #[inline]
    pub fn seL4_Poll(&mut self, src: seL4_CPtr) -> (seL4_MessageInfo, seL4_Word) {
        self.seL4_NBRecv(src, ())
    }

    /// The words for the registers; what else was written is in memory from here on.
    #[inline(always)]
    fn publish_message(&mut self) -> MessageRegisters {
        let first = first_words(&self.msg);
        syscall::publish(self);
        first
    }

    /// The same for words by value.
    #[inline(always)]
    fn publish_words(
        &mut self,
        msg_info: seL4_MessageInfo,
        words: [Option<seL4_Word>; BY_VALUE],
    ) -> MessageRegisters {
        let words = words.map(Option::unwrap_or_default);
        let length = (msg_info.get_length() as usize).min(BY_VALUE);
        if length > MESSAGE_REGISTERS {
            self.msg[MESSAGE_REGISTERS..length].copy_from_slice(&words[MESSAGE_REGISTERS..length]);
        }
        syscall::publish(self);
        first_words(&words)
    }

    /// Puts the words that came in registers where the others are.
    #[inline(always)]
    fn received(&mut self, answer: Answer) -> (seL4_MessageInfo, seL4_Word) {
        self.msg[..MESSAGE_REGISTERS].copy_from_slice(&answer.words);
        (seL4_MessageInfo { words: [answer.info] }, answer.badge)
    }

    /// Puts the first words where the caller wants them.
    #[inline(always)]
    fn give_words(&self, answer: &Answer, words: [Option<&mut seL4_Word>; BY_VALUE]) {
        for (index, word) in words.into_iter().enumerate() {
            if let Some(word) = word {
                *word = answer.words.get(index).copied().unwrap_or(self.msg[index]);
            }
        }
    }
}

/// Lets another thread of the same priority run.
#[inline]
pub fn seL4_Yield() {
    // SAFETY: changes no memory of this thread.
    unsafe { syscall::send::<SysYield>(0, 0, NO_WORDS) }
}
