// SPDX-License-Identifier: BSD-2-Clause
//! System calls whose message is in registers as a whole, by upstream's names: up to four words,
//! and no capability. Of what is received, further words and capabilities go to the thread's IPC
//! buffer, as always.
//!
//! IA32 has registers for two words and so none of these.
#![allow(non_snake_case)]

use super::syscall::{recv, send, send_recv};
use crate::sys::syscall::{Answer, MessageRegisters};
use crate::sys::{seL4_CPtr, seL4_MessageInfo, seL4_Word, ReplyAuthority};
use crate::sys::{SysCall, SysNBSend, SysRecv, SysReply, SysSend};

/// The words that the message has; 0 for those that are missing and those beyond its length.
#[inline(always)]
fn words(msg_info: seL4_MessageInfo, words: [Option<seL4_Word>; 4]) -> MessageRegisters {
    let length = msg_info.get_length() as usize;
    core::array::from_fn(|index| words[index].filter(|_| index < length).unwrap_or(0))
}

/// Puts the words of an answer where the caller wants them.
#[inline(always)]
fn give(answer: &Answer, words: [Option<&mut seL4_Word>; 4]) {
    for (word, value) in words.into_iter().zip(answer.words) {
        if let Some(word) = word {
            *word = value;
        }
    }
}

/// Sends a message, and waits until it is received. Words beyond the length of `msg_info` are not
/// sent, missing ones are 0.
#[inline]
pub fn seL4_SendWithMRsWithoutIPCBuffer(
    dest: seL4_CPtr,
    msg_info: seL4_MessageInfo,
    msg0: Option<seL4_Word>,
    msg1: Option<seL4_Word>,
    msg2: Option<seL4_Word>,
    msg3: Option<seL4_Word>,
) {
    let first = words(msg_info, [msg0, msg1, msg2, msg3]);
    // SAFETY: sending a message changes no memory of this thread. (So below.)
    unsafe { send::<SysSend>(dest, msg_info.words[0], first) }
}

/// Sends a message if somebody waits for it, and drops it otherwise.
#[inline]
pub fn seL4_NBSendWithMRsWithoutIPCBuffer(
    dest: seL4_CPtr,
    msg_info: seL4_MessageInfo,
    msg0: Option<seL4_Word>,
    msg1: Option<seL4_Word>,
    msg2: Option<seL4_Word>,
    msg3: Option<seL4_Word>,
) {
    let first = words(msg_info, [msg0, msg1, msg2, msg3]);
    // SAFETY: as in `seL4_SendWithMRsWithoutIPCBuffer`.
    unsafe { send::<SysNBSend>(dest, msg_info.words[0], first) }
}

/// Answers the call received last. Does nothing when there is none.
#[inline]
pub fn seL4_ReplyWithMRsWithoutIPCBuffer(
    msg_info: seL4_MessageInfo,
    msg0: Option<seL4_Word>,
    msg1: Option<seL4_Word>,
    msg2: Option<seL4_Word>,
    msg3: Option<seL4_Word>,
) {
    let first = words(msg_info, [msg0, msg1, msg2, msg3]);
    // SAFETY: as in `seL4_SendWithMRsWithoutIPCBuffer`.
    unsafe { send::<SysReply>(0, msg_info.words[0], first) }
}

/// Waits for a message; its badge is the second.
#[inline]
pub fn seL4_RecvWithMRsWithoutIPCBuffer(
    src: seL4_CPtr,
    msg0: Option<&mut seL4_Word>,
    msg1: Option<&mut seL4_Word>,
    msg2: Option<&mut seL4_Word>,
    msg3: Option<&mut seL4_Word>,
    _reply_authority: ReplyAuthority,
) -> (seL4_MessageInfo, seL4_Word) {
    // SAFETY: receiving writes to no memory of this thread but its IPC buffer. (So below.)
    let answer = unsafe { recv::<SysRecv>(src) };
    give(&answer, [msg0, msg1, msg2, msg3]);
    (seL4_MessageInfo { words: [answer.info] }, answer.badge)
}

/// Sends a message and waits for the answer, whose words come in the place of those sent.
#[inline]
pub fn seL4_CallWithMRsWithoutIPCBuffer(
    dest: seL4_CPtr,
    msg_info: seL4_MessageInfo,
    msg0: Option<&mut seL4_Word>,
    msg1: Option<&mut seL4_Word>,
    msg2: Option<&mut seL4_Word>,
    msg3: Option<&mut seL4_Word>,
) -> seL4_MessageInfo {
    let places = [msg0, msg1, msg2, msg3];
    let first = words(msg_info, places.each_ref().map(|word| word.as_deref().copied()));
    // SAFETY: as in `seL4_RecvWithMRsWithoutIPCBuffer`.
    let answer = unsafe { send_recv::<SysCall>(dest, msg_info.words[0], first) };
    give(&answer, places);
    seL4_MessageInfo { words: [answer.info] }
}
