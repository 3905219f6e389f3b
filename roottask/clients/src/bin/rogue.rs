// SPDX-License-Identifier: BSD-2-Clause
//! Does all that it should not, and is ended for it.
#![no_std]
#![no_main]

use vmm_client::protocol::{
    Malformed, Refusal, RegionHandle, Request, Resource, Rights, FAULT_SLOT, MAX_WORDS, PAGE_BYTES,
    SERVICE_SLOT, VERSION,
};
use vmm_client::{client_program, say, Error, Result, Service};
use vmm_clients::Random;

client_program!(main);

/// Words of each request, by its number from 1 on.
const LENGTHS: [usize; 27] =
    [11, 2, 2, 3, 2, 2, 4, 1, 4, 3, 1, 1, 0, 0, 6, 1, 24, 1, 4, 4, 1, 3, 1, 4, 1, 5, 4];
/// Random messages to send.
const MESSAGES: usize = 10_000;

/// `victim` is the number of another client.
fn main(service: Service, victim: usize) -> Result {
    let victim = victim as u32;
    beyond_quota(service)?;
    anothers(service, victim)?;
    let refused = random_messages(service, victim)?;
    say!("sent {MESSAGES} random messages, {refused} of them refused");
    wild_write(service)
}

/// Asks for more memory than it may have.
fn beyond_quota(service: Service) -> Result {
    let limits = service.limits()?;
    let rest = limits.limits.frames - limits.used.frames;
    let memory = service.allocate(rest, "all of it")?;
    match service.allocate(1, "one more") {
        Err(Error::Refused(Refusal::OutOfQuota { resource: Resource::Frames, limit, used })) => {
            say!("out of quota at {used} of {limit} pages");
        }
        other => panic!("one page more than the quota: {other:?}"),
    }
    service.release(memory.handle)
}

/// Asks for regions, offers and clients that are not its own.
fn anothers(service: Service, victim: u32) -> Result {
    let guess = RegionHandle { start: 0x0804_8000, serial: 1 };
    assert_eq!(service.release(guess), Err(Refusal::NoSuchRegion.into()));
    assert_eq!(
        service.accept(victim, 0, Rights::READ).map(|_| ()),
        Err(Refusal::NoSuchOffer.into())
    );
    assert_eq!(service.kill(victim), Err(Refusal::NoSuchClient.into()));
    let label = Request::Statistics.encode().label();
    for capability in [SERVICE_SLOT, FAULT_SLOT] {
        let answer = service.send_raw(label, &[], &[capability as sel4::Word])?;
        assert_eq!(answer, Err(Refusal::Malformed(Malformed::Capability)));
    }
    Ok(())
}

/// Sends messages of random words, with labels of any number and of known numbers. Returns how many
/// were refused.
fn random_messages(service: Service, victim: u32) -> Result<usize> {
    let mut random = Random::new(0x2545_f491);
    let (mut sent, mut refused) = (0, 0);
    while sent < MESSAGES {
        let mut words = [0; MAX_WORDS + 8];
        words.fill_with(|| random_word(&mut random, victim));
        let (label, length) = match random.below(4) {
            0 => (random.number() & 0xf_ffff, random.number() as usize % words.len()),
            _ => {
                let number = 1 + random.below(LENGTHS.len() as u32);
                (VERSION << 12 | number, LENGTHS[number as usize - 1])
            }
        };
        // These would be obeyed, and spoil the test: they end the program, by themselves or by a
        // thread that runs anywhere; wait for faults that never come; drown what the others say.
        if let Ok(
            Request::Exit { .. } | Request::Thread(_) | Request::NextFault { .. } | Request::Say(_),
        ) = Request::parse(label, &words[..length])
        {
            continue;
        }
        sent += 1;
        refused += usize::from(service.send_raw(label, &words[..length], &[])?.is_err());
    }
    Ok(refused)
}

/// Writes to an address where nothing is mapped.
fn wild_write(service: Service) -> Result {
    let wild = 0xb000_0000 as *mut u32;
    // SAFETY: none: this is the offence. Nothing is mapped there, and the service ends the program.
    unsafe { wild.write_volatile(0xdead) };
    service.exit(0)
}

/// A word of a message: small, an address that may be its own, another client, or anything.
fn random_word(random: &mut Random, victim: u32) -> usize {
    match random.below(8) {
        0..=2 => random.below(8) as usize,
        3 => random.below(128) as usize,
        4 => 0x0804_0000 + random.below(64) as usize * PAGE_BYTES,
        5 => random.below(64) as usize * PAGE_BYTES,
        6 => victim as usize,
        // Of 64 bits, as far as a word has them.
        _ => (u64::from(random.number()) << 32) as usize | random.number() as usize,
    }
}
