// SPDX-License-Identifier: BSD-2-Clause
//! Notifications.

use roottask::{check_eq, Outcome};
use sel4::{cap, CapRights, Error, ObjectBlueprint, Word};

use crate::context::{let_children_run, Context, Scratch};

crate::table::tests!("signal":
    poll_takes_the_word_and_leaves_none,
    badges_of_several_signals_are_gathered,
    a_signal_wakes_who_waits,
    one_signal_wakes_one_thread,
    a_bound_notification_ends_a_wait_for_messages,
    binding_twice_is_refused,
);

/// Scratch with a notification in slot 0, and capabilities with badges 1, 2, 4 in slots 1, 2, 3.
fn notification(context: &mut Context) -> Outcome<(Scratch, cap::Notification)> {
    let scratch = context.scratch(12, 8)?;
    scratch.retype(ObjectBlueprint::Notification, 0, 1)?;
    for index in 1..4 {
        let badge = 1 << (index - 1);
        scratch.place(index).mint(&scratch.place(0), CapRights::all(), badge)?;
    }
    Ok((scratch, scratch.cap(0)))
}

fn badged(scratch: &Scratch, index: usize) -> cap::Notification {
    scratch.cap(index)
}

fn wait(notification: usize) -> Word {
    cap::Notification::from_bits(notification as Word).wait().1
}

fn poll_takes_the_word_and_leaves_none(context: &mut Context) -> Outcome {
    let (scratch, notification) = notification(context)?;
    check_eq!(notification.poll().1, 0);
    badged(&scratch, 2).signal();
    check_eq!(notification.poll().1, 2);
    check_eq!(notification.poll().1, 0);
    Ok(())
}

fn badges_of_several_signals_are_gathered(context: &mut Context) -> Outcome {
    let (scratch, notification) = notification(context)?;
    for index in [1, 3, 1] {
        badged(&scratch, index).signal();
    }
    check_eq!(notification.wait().1, 5);
    Ok(())
}

fn a_signal_wakes_who_waits(context: &mut Context) -> Outcome {
    let (scratch, notification) = notification(context)?;
    let child = context.spawn(wait, notification.bits() as usize)?;
    let_children_run()?;
    badged(&scratch, 3).signal();
    check_eq!(child.result()?, 4);
    check_eq!(notification.poll().1, 0);
    Ok(())
}

fn one_signal_wakes_one_thread(context: &mut Context) -> Outcome {
    let (scratch, notification) = notification(context)?;
    let first = context.spawn(wait, notification.bits() as usize)?;
    let_children_run()?;
    let second = context.spawn(wait, notification.bits() as usize)?;
    let_children_run()?;
    badged(&scratch, 1).signal();
    check_eq!(first.result()?, 1);
    badged(&scratch, 2).signal();
    check_eq!(second.result()?, 2);
    Ok(())
}

fn receive(endpoint: usize) -> Word {
    cap::Endpoint::from_bits(endpoint as Word).recv(()).1
}

fn a_bound_notification_ends_a_wait_for_messages(context: &mut Context) -> Outcome {
    let (scratch, notification) = notification(context)?;
    let endpoint: cap::Endpoint = scratch.make(ObjectBlueprint::Endpoint, 5)?;
    let child = context.spawn(receive, endpoint.bits() as usize)?;
    let tcb = child.thread.tcb();
    tcb.tcb_bind_notification(notification)?;
    let_children_run()?;
    badged(&scratch, 3).signal();
    check_eq!(child.result()?, 4);
    check_eq!(tcb.tcb_unbind_notification(), Ok(()));
    check_eq!(tcb.tcb_unbind_notification(), Err(Error::IllegalOperation));
    Ok(())
}

fn binding_twice_is_refused(context: &mut Context) -> Outcome {
    let (scratch, notification) = notification(context)?;
    let other: cap::Notification = scratch.make(ObjectBlueprint::Notification, 5)?;
    let child = context.prepare(254, receive, 0)?;
    let tcb = child.thread.tcb();
    tcb.tcb_bind_notification(notification)?;
    check_eq!(tcb.tcb_bind_notification(other), Err(Error::IllegalOperation));
    Ok(())
}
