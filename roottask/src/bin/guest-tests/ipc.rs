// SPDX-License-Identifier: BSD-2-Clause
//! Messages: words, badges, capabilities, waiting and not waiting.

use core::sync::atomic::{AtomicUsize, Ordering};

use roottask::{check, check_eq, Outcome};
use sel4::{
    cap, cap_type, CapRights, CapRightsBuilder, Fault, MessageInfoBuilder, ObjectBlueprint, Word,
    NUM_MESSAGE_REGISTERS,
};

use crate::context::{let_children_run, unexpected, Context, Event, Scratch};

crate::table::tests!("ipc":
    every_length_arrives_in_both_directions,
    a_label_of_twenty_bits_arrives,
    the_badge_says_who_sent,
    nb_send_is_dropped_when_nobody_waits,
    nb_send_arrives_when_somebody_waits,
    nb_recv_takes_what_is_there,
    send_waits_for_a_receiver,
    reply_recv_answers_and_waits,
    words_by_value_arrive,
    a_capability_arrives_in_the_slot_its_receiver_chose,
    three_capabilities_can_be_sent_but_one_is_received,
    a_capability_to_the_endpoint_itself_arrives_as_its_badge,
    without_grant_right_no_capability_arrives,
    a_saved_caller_is_answered_later,
    messages_to_a_deleted_endpoint_end_with_a_fault,
);

/// Scratch with an endpoint in slot 0 and a notification in slot 1.
fn endpoint(context: &mut Context) -> Outcome<(Scratch, cap::Endpoint)> {
    let scratch = context.scratch(12, 8)?;
    scratch.retype(ObjectBlueprint::Endpoint, 0, 1)?;
    scratch.retype(ObjectBlueprint::Notification, 1, 1)?;
    Ok((scratch, scratch.cap(0)))
}

fn bits(endpoint: cap::Endpoint) -> usize {
    endpoint.bits() as usize
}

fn cap_at(bits: usize) -> cap::Endpoint {
    cap::Endpoint::from_bits(bits as Word)
}

fn empty() -> MessageInfoBuilder {
    MessageInfoBuilder::default()
}

/// Answers every call with its label, and its words inverted.
fn invert_for_ever(endpoint: usize) -> Word {
    let (mut info, _) = cap_at(endpoint).recv(());
    loop {
        sel4::with_ipc_buffer_mut(|buffer| {
            buffer.msg_regs_mut()[..info.length()].iter_mut().for_each(|word| *word = !*word);
        });
        let answer = empty().label(info.label()).length(info.length()).build();
        (info, _) = cap_at(endpoint).reply_recv(answer, ());
    }
}

fn every_length_arrives_in_both_directions(context: &mut Context) -> Outcome {
    let (_, endpoint) = endpoint(context)?;
    context.spawn(invert_for_ever, bits(endpoint))?;
    for length in 0..=NUM_MESSAGE_REGISTERS {
        let word = |index: usize| (length << 16 | index) as Word;
        sel4::with_ipc_buffer_mut(|buffer| {
            let words = buffer.msg_regs_mut();
            words.iter_mut().enumerate().for_each(|(index, place)| *place = word(index));
        });
        let answer = endpoint.call(empty().length(length).build());
        check_eq!(answer.length(), length);
        let wrong = sel4::with_ipc_buffer(|buffer| {
            let words = buffer.msg_regs()[..length].iter().enumerate();
            words.filter(|&(index, &found)| found != !word(index)).count()
        });
        check_eq!(wrong, 0);
    }
    Ok(())
}

fn a_label_of_twenty_bits_arrives(context: &mut Context) -> Outcome {
    let (_, endpoint) = endpoint(context)?;
    context.spawn(invert_for_ever, bits(endpoint))?;
    for label in [0, 1, 0xfffff] {
        check_eq!(endpoint.call(empty().label(label).build()).label(), label);
    }
    Ok(())
}

/// Calls, and returns the first word of the answer.
fn call(endpoint: usize) -> Word {
    cap_at(endpoint).call_with_mrs(empty().length(1).build(), [endpoint as Word]).msg[0]
}

/// Answers the call received last with one word.
fn reply_word(word: Word) {
    sel4::with_ipc_buffer_mut(|buffer| {
        buffer.msg_regs_mut()[0] = word;
        sel4::reply(buffer, empty().length(1).build());
    });
}

fn the_badge_says_who_sent(context: &mut Context) -> Outcome {
    let (scratch, endpoint) = endpoint(context)?;
    for (index, badge) in [(2, 0x11), (3, 0xfff_ffff)] {
        scratch.place(index).mint(&scratch.place(0), CapRights::all(), badge)?;
        let child = context.spawn(call, scratch.cptr(index).bits() as usize)?;
        let (info, found) = endpoint.recv(());
        check_eq!(found, badge);
        check_eq!(info.length(), 1);
        reply_word(badge + 1);
        check_eq!(child.result()?, badge + 1);
    }
    Ok(())
}

/// Waits for one message; returns its first word.
fn receive(endpoint: usize) -> Word {
    cap_at(endpoint).recv_with_mrs(()).msg[0]
}

fn nb_send_is_dropped_when_nobody_waits(context: &mut Context) -> Outcome {
    let (_, endpoint) = endpoint(context)?;
    sel4::with_ipc_buffer_mut(|buffer| buffer.msg_regs_mut()[0] = 1);
    endpoint.nb_send(empty().length(1).build());
    let child = context.spawn(receive, bits(endpoint))?;
    let_children_run()?;
    endpoint.send_with_mrs(empty().length(1).build(), [2]);
    check_eq!(child.result()?, 2);
    Ok(())
}

fn nb_send_arrives_when_somebody_waits(context: &mut Context) -> Outcome {
    let (_, endpoint) = endpoint(context)?;
    let child = context.spawn(receive, bits(endpoint))?;
    let_children_run()?;
    sel4::with_ipc_buffer_mut(|buffer| buffer.msg_regs_mut()[0] = 7);
    endpoint.nb_send(empty().length(1).build());
    check_eq!(child.result()?, 7);
    Ok(())
}

fn nb_recv_takes_what_is_there(context: &mut Context) -> Outcome {
    let (scratch, endpoint) = endpoint(context)?;
    check_eq!(endpoint.nb_recv(()).1, 0);
    scratch.place(2).mint(&scratch.place(0), CapRights::all(), 5)?;
    let child = context.spawn(call, scratch.cptr(2).bits() as usize)?;
    let_children_run()?;
    let (info, badge) = endpoint.nb_recv(());
    check_eq!((badge, info.length()), (5, 1));
    check_eq!(endpoint.nb_recv(()).1, 0);
    // The second receive gave up the right to answer the first, as the manual says it may; the
    // caller waits on, and is ended with the test.
    let _ = child;
    Ok(())
}

static SENT: AtomicUsize = AtomicUsize::new(0);

fn send_three(endpoint: usize) -> Word {
    for word in 1..=3 {
        cap_at(endpoint).send_with_mrs(empty().length(1).build(), [word]);
        SENT.fetch_add(1, Ordering::Relaxed);
    }
    0
}

fn send_waits_for_a_receiver(context: &mut Context) -> Outcome {
    let (_, endpoint) = endpoint(context)?;
    SENT.store(0, Ordering::Relaxed);
    let child = context.spawn(send_three, bits(endpoint))?;
    for word in 1..=3 {
        let_children_run()?;
        check_eq!(SENT.load(Ordering::Relaxed), word - 1);
        check_eq!(endpoint.recv_with_mrs(()).msg[0], word as Word);
    }
    check_eq!(child.result()?, 0);
    check_eq!(SENT.load(Ordering::Relaxed), 3);
    Ok(())
}

fn reply_recv_answers_and_waits(context: &mut Context) -> Outcome {
    let (_, endpoint) = endpoint(context)?;
    let first = context.spawn(call, bits(endpoint))?;
    let_children_run()?;
    let second = context.spawn(call, bits(endpoint))?;
    endpoint.recv(());
    sel4::with_ipc_buffer_mut(|buffer| buffer.msg_regs_mut()[0] = 100);
    endpoint.reply_recv(empty().length(1).build(), ());
    reply_word(200);
    check_eq!(first.result()?, 100);
    check_eq!(second.result()?, 200);
    Ok(())
}

fn words_by_value_arrive(context: &mut Context) -> Outcome {
    let (_, endpoint) = endpoint(context)?;
    context.spawn(invert_for_ever, bits(endpoint))?;
    let answer = endpoint.call_with_mrs(empty().length(4).build(), [1, 2, 3, 4]);
    check_eq!(answer.msg, [!1, !2, !3, !4]);
    check_eq!(answer.info.length(), 4);
    Ok(())
}

static RECEIVE_SLOT: AtomicUsize = AtomicUsize::new(0);

/// Receives a message with a capability in the slot that the test chose, and uses it. Returns the
/// message info.
fn receive_and_signal(endpoint: usize) -> Word {
    let slot = sel4::CPtr::from_bits(RECEIVE_SLOT.load(Ordering::Relaxed) as Word);
    sel4::with_ipc_buffer_mut(|buffer| buffer.set_recv_slot(&crate::context::place(slot)));
    let (info, _) = cap_at(endpoint).recv(());
    if info.extra_caps() == 1 && info.caps_unwrapped() == 0 {
        slot.cast::<cap_type::Notification>().signal();
    }
    info.into_inner().words[0]
}

/// Sends `count` capabilities, in slots `from` on, to a child that receives into slot 7; returns
/// what the child saw.
fn pass(
    context: &mut Context,
    scratch: &Scratch,
    through: cap::Endpoint,
    slots: &[usize],
) -> Outcome<sel4::MessageInfo> {
    RECEIVE_SLOT.store(scratch.cptr(7).bits() as usize, Ordering::Relaxed);
    let child = context.spawn(receive_and_signal, scratch.cptr(0).bits() as usize)?;
    sel4::with_ipc_buffer_mut(|buffer| {
        for (place, &index) in buffer.caps_or_badges_mut().iter_mut().zip(slots) {
            *place = scratch.cptr(index).bits();
        }
    });
    through.send(empty().extra_caps(slots.len()).build());
    let words = [child.result()?];
    Ok(sel4::MessageInfo::from_inner(sel4::sys::seL4_MessageInfo { words }))
}

fn a_capability_arrives_in_the_slot_its_receiver_chose(context: &mut Context) -> Outcome {
    let (scratch, endpoint) = endpoint(context)?;
    scratch.place(2).mint(&scratch.place(1), CapRights::all(), 0x33)?;
    let info = pass(context, &scratch, endpoint, &[2])?;
    check_eq!((info.extra_caps(), info.caps_unwrapped()), (1, 0));
    check_eq!(scratch.cap::<cap_type::Notification>(1).poll().1, 0x33);
    // It is a copy: it can be used here too, and the sender still has its own.
    scratch.cap::<cap_type::Notification>(7).signal();
    check_eq!(scratch.cap::<cap_type::Notification>(2).poll().1, 0x33);
    Ok(())
}

fn three_capabilities_can_be_sent_but_one_is_received(context: &mut Context) -> Outcome {
    let (scratch, endpoint) = endpoint(context)?;
    let info = pass(context, &scratch, endpoint, &[1, 1, 1])?;
    check_eq!((info.extra_caps(), info.caps_unwrapped()), (1, 0));
    Ok(())
}

fn a_capability_to_the_endpoint_itself_arrives_as_its_badge(context: &mut Context) -> Outcome {
    let (scratch, endpoint) = endpoint(context)?;
    scratch.place(2).mint(&scratch.place(0), CapRights::all(), 0x44)?;
    let info = pass(context, &scratch, endpoint, &[2, 2])?;
    check_eq!((info.extra_caps(), info.caps_unwrapped()), (2, 0b11));
    // The slot was not needed.
    scratch.place(7).copy(&scratch.place(1), CapRights::all())?;
    Ok(())
}

fn without_grant_right_no_capability_arrives(context: &mut Context) -> Outcome {
    let (scratch, _) = endpoint(context)?;
    let rights = CapRightsBuilder::all().grant(false).build();
    scratch.place(3).copy(&scratch.place(0), rights)?;
    let through = scratch.cap(3);
    let info = pass(context, &scratch, through, &[1])?;
    check_eq!(info.extra_caps(), 0);
    scratch.place(7).copy(&scratch.place(1), CapRights::all())?;
    Ok(())
}

fn a_saved_caller_is_answered_later(context: &mut Context) -> Outcome {
    let (scratch, endpoint) = endpoint(context)?;
    let first = context.spawn(call, bits(endpoint))?;
    endpoint.recv(());
    scratch.place(2).save_caller()?;
    let second = context.spawn(call, bits(endpoint))?;
    endpoint.recv(());
    reply_word(2);
    check_eq!(second.result()?, 2);
    scratch.cap::<cap_type::Endpoint>(2).send_with_mrs(empty().length(1).build(), [1]);
    check_eq!(first.result()?, 1);
    // It answers once.
    check!(scratch.place(3).move_(&scratch.place(2)).is_err());
    Ok(())
}

fn messages_to_a_deleted_endpoint_end_with_a_fault(context: &mut Context) -> Outcome {
    let (scratch, endpoint) = endpoint(context)?;
    let child = context.spawn(receive, bits(endpoint))?;
    let_children_run()?;
    // Who waits is woken, and finds no capability when it tries again.
    scratch.place(0).delete()?;
    let event = child.wait()?;
    let Event::Fault(Fault::CapFault(cap_fault)) = event else {
        return Err(unexpected(&event));
    };
    check_eq!(cap_fault.addr(), endpoint.bits());
    check_eq!(cap_fault.in_recv_phase(), 1);
    Ok(())
}
