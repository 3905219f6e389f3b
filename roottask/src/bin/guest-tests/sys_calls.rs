// SPDX-License-Identifier: BSD-2-Clause
//! The system calls by libsel4's names, on an IPC buffer.

use roottask::{check_eq, Outcome};
use sel4::sys::{seL4_CPtr, seL4_IPCBuffer, seL4_MessageInfo};
use sel4::{CapRights, ObjectBlueprint, Word};

use crate::arch::IN_REGISTERS;
use crate::context::{let_children_run, Context, Scratch};

crate::table::tests!("sys_calls":
    calls_are_answered_by_reply_recv_and_by_reply,
    words_by_value_go_both_ways,
    messages_and_signals_are_sent_and_received,
    messages_go_in_registers_alone,
    a_message_info_has_its_parts,
);

const BADGE: Word = 0x55;

/// Scratch with an endpoint in slot 0, the same with a badge in slot 2, and a notification in slot
/// 1.
fn objects(context: &mut Context) -> Outcome<(Scratch, seL4_CPtr)> {
    let scratch = context.scratch(12, 8)?;
    scratch.retype(ObjectBlueprint::Endpoint, 0, 1)?;
    scratch.retype(ObjectBlueprint::Notification, 1, 1)?;
    scratch.place(2).mint(&scratch.place(0), CapRights::all(), BADGE)?;
    let endpoint = scratch.cptr(0).bits();
    Ok((scratch, endpoint))
}

fn length(words: Word) -> seL4_MessageInfo {
    seL4_MessageInfo::new(0, 0, 0, words)
}

/// Calls `f` with the thread's own buffer, as a program does that keeps no state beside it.
fn with<R>(f: impl FnOnce(&mut seL4_IPCBuffer) -> R) -> R {
    sel4::with_ipc_buffer_mut(|buffer| f(buffer.inner_mut()))
}

/// Answers a call of six words with the words and the badge added, and a second one with a label.
fn answer_two(endpoint: usize) -> Word {
    with(|buffer| {
        let (info, badge) = buffer.seL4_Recv(endpoint as seL4_CPtr, ());
        (0..6).for_each(|index| buffer.set_mr(index, buffer.get_mr(index) + badge));
        let (second, _) = buffer.seL4_ReplyRecv(endpoint as seL4_CPtr, info, ());
        buffer.set_mr(0, second.get_length());
        buffer.seL4_Reply(seL4_MessageInfo::new(7, 0, 0, 1));
        info.get_length()
    })
}

fn calls_are_answered_by_reply_recv_and_by_reply(context: &mut Context) -> Outcome {
    let (scratch, endpoint) = objects(context)?;
    let child = context.spawn(answer_two, endpoint as usize)?;
    let badged = scratch.cptr(2).bits();
    let (first, words) = with(|buffer| {
        (0..6).for_each(|index| buffer.set_mr(index, 100 + index as Word));
        let info = buffer.seL4_Call(badged, length(6));
        (info, core::array::from_fn::<_, 6, _>(|index| buffer.get_mr(index)))
    });
    check_eq!(first.get_length(), 6);
    check_eq!(words, core::array::from_fn(|index| 100 + index as Word + BADGE));
    let (second, word) = with(|buffer| (buffer.seL4_Call(badged, length(3)), buffer.get_mr(0)));
    check_eq!((second.get_label(), second.get_length(), word), (7, 1, 3));
    check_eq!(child.result()?, 6);
    Ok(())
}

/// Takes a call by value, and answers with each word and the badge added; the last is left out.
fn answer_by_value(endpoint: usize) -> Word {
    with(|buffer| {
        let (mut a, mut b, mut c, mut d) = (0, 0, 0, 0);
        let words = (Some(&mut a), Some(&mut b), Some(&mut c), Some(&mut d));
        let (info, badge) =
            buffer.seL4_RecvWithMRs(endpoint as seL4_CPtr, words.0, words.1, words.2, words.3, ());
        let answer = [a, b, c].map(|word| Some(word + badge));
        buffer.seL4_ReplyWithMRs(length(4), answer[0], answer[1], answer[2], None);
        d + info.get_length()
    })
}

fn words_by_value_go_both_ways(context: &mut Context) -> Outcome {
    let (scratch, endpoint) = objects(context)?;
    let child = context.spawn(answer_by_value, endpoint as usize)?;
    let (mut a, mut b, mut c, mut d) = (1, 2, 3, 40);
    let badged = scratch.cptr(2).bits();
    let info = with(|buffer| {
        let words = (Some(&mut a), Some(&mut b), Some(&mut c), Some(&mut d));
        buffer.seL4_CallWithMRs(badged, length(4), words.0, words.1, words.2, words.3)
    });
    check_eq!(info.get_length(), 4);
    check_eq!([a, b, c, d], [1 + BADGE, 2 + BADGE, 3 + BADGE, 0]);
    check_eq!(child.result()?, 44);
    Ok(())
}

/// Receives three messages of a word each: what they have, as digits.
fn receive_three(endpoint: usize) -> Word {
    with(|buffer| {
        let mut digits = 0;
        for _ in 0..3 {
            buffer.seL4_Recv(endpoint as seL4_CPtr, ());
            digits = digits * 10 + buffer.get_mr(0);
        }
        digits
    })
}

fn messages_and_signals_are_sent_and_received(context: &mut Context) -> Outcome {
    let (scratch, endpoint) = objects(context)?;
    let notification = scratch.cptr(1).bits();
    with(|buffer| {
        // Nobody waits: these are dropped.
        buffer.set_mr(0, 9);
        buffer.seL4_NBSend(endpoint, length(1));
        buffer.seL4_NBSendWithMRs(endpoint, length(1), Some(9), None, None, None);
    });
    let child = context.spawn(receive_three, endpoint as usize)?;
    let_children_run()?;
    with(|buffer| {
        buffer.set_mr(0, 1);
        buffer.seL4_NBSend(endpoint, length(1));
        buffer.set_mr(0, 2);
        buffer.seL4_Send(endpoint, length(1));
        buffer.seL4_SendWithMRs(endpoint, length(1), Some(3), None, None, None);
        check_eq!(buffer.get_mr(0), 2);
        Ok(())
    })?;
    check_eq!(child.result()?, 123);
    with(|buffer| {
        check_eq!(buffer.seL4_NBRecv(endpoint, ()).1, 0);
        check_eq!(buffer.seL4_Poll(notification).1, 0);
        sel4::sys::seL4_Yield();
        Ok(())
    })?;
    // With a badge a signal can be told from none.
    scratch.place(3).mint(&scratch.place(1), CapRights::all(), BADGE)?;
    let badged = scratch.cptr(3).bits();
    let found = with(|buffer| {
        buffer.seL4_Signal(badged);
        let waited = buffer.seL4_Wait(notification).1;
        buffer.seL4_Signal(badged);
        (waited, buffer.seL4_Poll(notification).1, buffer.seL4_Poll(notification).1)
    });
    check_eq!(found, (BADGE, BADGE, 0));
    Ok(())
}

/// Answers a call in registers with each word and the badge added, and then takes two messages: the
/// sums of their words, as digits.
fn answer_in_registers(endpoint: usize) -> Word {
    let (endpoint, mut words) = (endpoint as seL4_CPtr, [0; 4]);
    let Some(calls) = IN_REGISTERS else { return 0 };
    let (info, badge) = (calls.receive)(endpoint, &mut words);
    (calls.reply)(info, words.map(|word| Some(word + badge)));
    let mut digits = 0;
    for _ in 0..2 {
        let length = (calls.receive)(endpoint, &mut words).0.get_length() as usize;
        // What is missing is 0; beyond the length there is nothing to be known.
        digits = digits * 10 + words[..length].iter().sum::<Word>();
    }
    digits
}

fn messages_go_in_registers_alone(context: &mut Context) -> Outcome {
    let Some(calls) = IN_REGISTERS else { return Ok(()) };
    let (scratch, endpoint) = objects(context)?;
    // Nobody waits: it is dropped.
    (calls.nb_send)(endpoint, length(1), [Some(9), None, None, None]);
    let child = context.spawn(answer_in_registers, endpoint as usize)?;
    with(|buffer| (0..4).for_each(|index| buffer.set_mr(index, 1000 + index as Word)));
    let mut words = [1, 2, 3, 4];
    let info = (calls.call)(scratch.cptr(2).bits(), length(4), &mut words);
    check_eq!((info.get_length(), words), (4, [1, 2, 3, 4].map(|word| word + BADGE)));
    let kept = with(|buffer| core::array::from_fn::<_, 4, _>(|index| buffer.get_mr(index)));
    check_eq!(kept, core::array::from_fn(|index| 1000 + index as Word));
    let_children_run()?;
    (calls.nb_send)(endpoint, length(1), [Some(5), None, None, None]);
    (calls.send)(endpoint, length(3), [None, Some(6), None, None]);
    check_eq!(child.result()?, 56);
    Ok(())
}

fn a_message_info_has_its_parts(_: &mut Context) -> Outcome {
    let info = seL4_MessageInfo::new(0xf_fffe, 0b101, 2, 120);
    let parts = (info.get_label(), info.get_capsUnwrapped(), info.get_extraCaps());
    check_eq!((parts, info.get_length()), ((0xf_fffe, 0b101, 2), 120));
    check_eq!(sel4::MessageInfo::from_inner(info).into_inner(), info);
    Ok(())
}
