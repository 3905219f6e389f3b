// SPDX-License-Identifier: BSD-2-Clause
//! Sending and receiving messages and signals (manual, "System Calls").
//!
//! The calls are the methods of [`seL4_IPCBuffer`](crate::sys::seL4_IPCBuffer): a caller sees one
//! message of up to 120 words in the IPC buffer, of which the first ones travel in registers.

use crate::sys::syscall::{self, NO_WORDS};
use crate::sys::{seL4_MessageInfo, seL4_MsgMaxLength, seL4_Yield, SysNBRecv, SysRecv, SysSend};
use crate::{
    cap, Badge, CPtr, Cap, CapType, ConveysReplyAuthority, InvocationContext, IpcBuffer,
    MessageInfo,
};

/// The message words an IPC buffer has.
pub const NUM_MESSAGE_REGISTERS: usize = seL4_MsgMaxLength as usize;

pub use crate::sys::WaitMessageInfo;

impl<T: CapType, C: InvocationContext> Cap<T, C> {
    /// Calls `f` with the capability pointer and the IPC buffer; `f` must not use the context.
    #[inline(always)]
    pub(crate) fn invoke<R>(self, f: impl FnOnce(CPtr, &mut IpcBuffer) -> R) -> R {
        let cptr = self.cptr();
        self.into_invocation_context().with_context_leaf(|ipc_buffer| f(cptr, ipc_buffer))
    }

    /// Sends a message and waits until it is received (`seL4_Send`). On an object that is no
    /// endpoint or notification this invokes it, without an answer.
    #[inline]
    pub fn send(self, info: MessageInfo) {
        self.invoke(|cptr, ipc_buffer| {
            ipc_buffer.inner_mut().seL4_Send(cptr.bits(), info.into_inner())
        })
    }

    /// Sends a message if somebody waits for it, and drops it otherwise (`seL4_NBSend`).
    #[inline]
    pub fn nb_send(self, info: MessageInfo) {
        self.invoke(|cptr, ipc_buffer| {
            ipc_buffer.inner_mut().seL4_NBSend(cptr.bits(), info.into_inner())
        })
    }

    /// Waits for a message (`seL4_Recv`). A signal of the thread's bound notification ends the wait
    /// too, with the notification's word as the badge.
    #[inline]
    pub fn recv(self, reply_authority: impl ConveysReplyAuthority) -> (MessageInfo, Badge) {
        let _ = reply_authority.into_reply_authority();
        self.invoke(|cptr, ipc_buffer| received(ipc_buffer.inner_mut().seL4_Recv(cptr.bits(), ())))
    }

    /// Takes a message if there is one (`seL4_NBRecv`); a badge of 0 and an empty message
    /// otherwise.
    #[inline]
    pub fn nb_recv(self, reply_authority: impl ConveysReplyAuthority) -> (MessageInfo, Badge) {
        let _ = reply_authority.into_reply_authority();
        self.invoke(|cptr, ipc_buffer| {
            received(ipc_buffer.inner_mut().seL4_NBRecv(cptr.bits(), ()))
        })
    }

    /// Sends a message and waits for the answer (`seL4_Call`).
    #[inline]
    pub fn call(self, info: MessageInfo) -> MessageInfo {
        self.invoke(|cptr, ipc_buffer| {
            let ipc_buffer = ipc_buffer.inner_mut();
            MessageInfo::from_inner(ipc_buffer.seL4_Call(cptr.bits(), info.into_inner()))
        })
    }

    /// Answers the call received last and waits for the next message (`seL4_ReplyRecv`).
    #[inline]
    pub fn reply_recv(
        self,
        info: MessageInfo,
        reply_authority: impl ConveysReplyAuthority,
    ) -> (MessageInfo, Badge) {
        let _ = reply_authority.into_reply_authority();
        self.invoke(|cptr, ipc_buffer| {
            let ipc_buffer = ipc_buffer.inner_mut();
            received(ipc_buffer.seL4_ReplyRecv(cptr.bits(), info.into_inner(), ()))
        })
    }
}

#[inline(always)]
fn received((info, badge): (seL4_MessageInfo, Badge)) -> (MessageInfo, Badge) {
    (MessageInfo::from_inner(info), badge)
}

impl<C: InvocationContext> cap::Notification<C> {
    /// Signals: the capability's badge is or-ed into the notification's word (`seL4_Signal`).
    /// Never blocks, and does not touch the IPC buffer.
    #[inline]
    pub fn signal(self) {
        // SAFETY: signalling changes no memory of this thread.
        unsafe { syscall::send::<SysSend>(self.bits(), 0, NO_WORDS) }
    }

    /// Waits for a signal and takes the word (`seL4_Wait`).
    #[inline]
    pub fn wait(self) -> (WaitMessageInfo, Badge) {
        // SAFETY: a signal carries no message: nothing is written to the IPC buffer.
        let answer = unsafe { syscall::recv::<SysRecv>(self.bits()) };
        ((), answer.badge)
    }

    /// Takes the word if there was a signal, and 0 otherwise (`seL4_Poll`).
    #[inline]
    pub fn poll(self) -> (MessageInfo, Badge) {
        // SAFETY: as in `wait`.
        let answer = unsafe { syscall::recv::<SysNBRecv>(self.bits()) };
        (MessageInfo::from_word(answer.info), answer.badge)
    }
}

/// Answers the call received last, with the message in `ipc_buffer` (`seL4_Reply`). Does nothing
/// when there is no call to answer.
#[inline]
pub fn reply(ipc_buffer: &mut IpcBuffer, info: MessageInfo) {
    ipc_buffer.inner_mut().seL4_Reply(info.into_inner());
}

/// Lets another thread of the same priority run (`seL4_Yield`).
#[inline]
pub fn r#yield() {
    seL4_Yield();
}
