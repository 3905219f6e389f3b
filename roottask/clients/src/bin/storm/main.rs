// SPDX-License-Identifier: BSD-2-Clause
//! Sends random messages to the service, with capabilities right and wrong: as many as it is told,
//! with that number as the seed, too. It ends with all that it has then.
//!
//! ```text
//!   message.rs    a message as it is sent
//!   known.rs      what it has in its slots and mapped in its space, as far as it knows
//!   generate.rs   messages that are meant, and what is made wrong of them
//! ```
#![no_std]
#![no_main]

mod generate;
mod known;
mod message;

use vmm_client::handles::{send_raw, Program, Result};
use vmm_client::objects::answer_or_refusal;
use vmm_client::{program, tell};
use vmm_clients::Random;

use generate::Generator;
use known::Known;

program!(main);

/// After so many messages it begins anew: its account fills with objects to which it has lost its
/// capabilities.
const ANEW: usize = 128;

fn main(program: &Program, messages: usize) -> Result {
    let mut random = Random::new(messages as u32 | 1);
    Known::take_slots()?;
    let (mut known, mut payer) = Known::anew(program, None)?;
    let (mut granted, mut refused, mut touched) = (0, 0, 0);
    for message in 0..messages {
        if message % ANEW == ANEW - 1 {
            (known, payer) = Known::anew(program, Some(payer))?;
        }
        if random.below(8) == 0 {
            known.tamper(&mut random);
        }
        let sent = Generator { known: &known, random: &mut random }.message();
        let (answered, count, words) = send_raw(sent.label, sent.words(), sent.slots());
        // Anything but an answer of the protocol ends it, and is told.
        let answer = answer_or_refusal(answered as u32, &words[..count]);
        match answer.expect("an answer of the protocol") {
            Ok(answer) => {
                granted += 1;
                touched += u32::from(known.learn(&sent, answer));
            }
            Err(refusal) => {
                refused += 1;
                known.learn_of_refusal(&sent, refusal);
            }
        }
    }
    known::end(payer)?;
    tell!("{granted} random messages granted, {refused} refused, {touched} mappings touched");
    assert!(granted * 4 > refused, "too few are granted to mean anything");
    assert!(refused * 4 > granted && touched != 0, "too few are refused");
    Ok(())
}
