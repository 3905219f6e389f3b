// SPDX-License-Identifier: BSD-2-Clause
//! Bytes to requests of a client's. What one names mostly exists, and is mostly its own.

use std::sync::OnceLock;

use vmm::KernelError;
use vmm_service::ClientId;
use vmm_service::protocol::{
    Amounts, MAX_PAGES, Name, NewThread, Options, RegionHandle, Request, Reserve, Rights, Text,
};
use vmm_tests::model::ModelKernel;
use vmm_tests::support::PAGE;

use super::world::World;
use crate::bytes::Bytes;

/// Lets a kernel call of this step fail, once in twelve steps; says whether.
pub fn arm(bytes: &mut Bytes<'_>, kernel: &mut ModelKernel<'_>) -> bool {
    let arms = bytes.one_in(12);
    if arms {
        let errors = [KernelError::IllegalOperation, KernelError::NotEnoughMemory];
        let (nth, error) = (1 + bytes.below(40), bytes.pick(&errors));
        kernel.fail_nth(nth, error);
    }
    arms
}

/// The ELF file of a program: with thread-local storage, or without, or none.
pub fn program(bytes: &mut Bytes<'_>) -> &'static [u8] {
    static FILES: OnceLock<[Vec<u8>; 3]> = OnceLock::new();
    let files = FILES.get_or_init(|| {
        let code = [0x90; 60];
        let plain = elf(&[(1, 0x40_0010, 60, 5, &code), (1, 0x40_3000, 0x1800, 6, b"data")]);
        let tls = elf(&[(1, 0x40_0010, 60, 5, &code), (7, 0x40_0010, 60, 4, b"variables")]);
        let cut = plain[..70].to_vec();
        [plain, tls, cut]
    });
    &files[bytes.pick(&[0, 0, 1, 1, 1, 2])]
}

/// An ELF file for IA32 with these segments: type, address, bytes of memory, flags, contents.
fn elf(segments: &[(u32, u32, u32, u32, &[u8])]) -> Vec<u8> {
    let mut file = b"\x7fELF\x01\x01\x01".to_vec();
    file.resize(16, 0);
    let halves = |file: &mut Vec<u8>, values: &[u16]| {
        values.iter().for_each(|value| file.extend(value.to_le_bytes()));
    };
    let words = |file: &mut Vec<u8>, values: &[u32]| {
        values.iter().for_each(|value| file.extend(value.to_le_bytes()));
    };
    halves(&mut file, &[2, 3]);
    words(&mut file, &[1, 0x40_0010, 52, 0, 0]);
    halves(&mut file, &[52, 32, segments.len() as u16, 0, 0, 0]);
    let mut offset = 52 + 32 * segments.len() as u32;
    for &(ty, address, size, flags, contents) in segments {
        let bytes = contents.len() as u32;
        words(&mut file, &[ty, offset, address, address, bytes, size, flags, 0x1000]);
        offset += bytes;
    }
    segments.iter().for_each(|(.., contents)| file.extend(*contents));
    file
}

fn rights(bytes: &mut Bytes<'_>) -> Rights {
    bytes.pick(&[Rights::READ_WRITE, Rights::READ_WRITE, Rights::READ, Rights::empty()])
}

fn number(world: &World<'_>, bytes: &mut Bytes<'_>) -> u32 {
    match bytes.one_in(8) {
        true => bytes.below(20) as u32,
        false => world.some_client(bytes).map_or(0, ClientId::number),
    }
}

/// A region of the client's, or now and then of another's: its handle, first page, pages.
fn region(world: &World<'_>, own: ClientId, bytes: &mut Bytes<'_>) -> (RegionHandle, usize, u32) {
    let of = if bytes.one_in(12) { world.some_client(bytes).unwrap_or(own) } else { own };
    let known = world.clients.iter().find(|known| known.id == of);
    let regions = known.map_or(&[][..], |known| &known.regions[..]);
    let back = bytes.below(regions.len());
    let guess = (RegionHandle { start: PAGE, serial: 1 }, PAGE, 1);
    regions.iter().rev().nth(back).copied().unwrap_or(guess)
}

/// A request of this client's.
pub fn request(world: &World<'_>, own: ClientId, bytes: &mut Bytes<'_>) -> Request {
    let kind = bytes.below(48);
    let (handle, first, pages) = region(world, own, bytes);
    let skipped = bytes.below(pages as usize) as u32;
    let start = first.wrapping_add(skipped as usize * PAGE);
    let some = 1 + bytes.below((pages - skipped.min(pages)) as usize) as u32;
    let known = world.clients.iter().find(|known| known.id == own);
    let told = |bytes: &mut Bytes<'_>| {
        let faults = known.map_or(&[][..], |known| &known.faults[..]);
        let ticket = faults.iter().rev().nth(bytes.below(3)).copied().unwrap_or(0);
        if bytes.one_in(16) { ticket.wrapping_add(1 << bytes.below(34)) } else { ticket }
    };
    let buffer = |bytes: &mut Bytes<'_>| {
        let buffers = known.map_or(&[][..], |known| &known.buffers[..]);
        buffers.get(bytes.below(buffers.len())).copied().unwrap_or(first)
    };
    match kind {
        0..=4 => Request::Reserve(Reserve {
            pages: bytes.pick(&[1, 4, 9, 20, 70, 200]),
            address: match bytes.below(4) {
                0 => bytes.below(0xe0) * 0x10_0000,
                // Across the line between two page tables.
                1 => 0x9000_0000 + (1 + bytes.below(3)) * 0x40_0000 - 3 * PAGE,
                _ => 0,
            },
            rights: rights(bytes),
            ceiling: rights(bytes) | Rights::READ,
            around: bytes.pick(&[1, 0, 4, 16]),
            guards: (bytes.below(3) as u32, bytes.below(2) as u32),
            options: Options::from_bits_truncate(bytes.below(2) as u32),
            name: Name::from_words([bytes.byte().into(); 4]),
        }),
        5..=9 => Request::Map { start: first, pages },
        10 => Request::Map { start, pages: some },
        11..=12 => Request::Unmap { start, pages: some },
        13..=14 => Request::Protect { start, pages: some, rights: rights(bytes) },
        15..=16 => Request::Release(handle),
        17 => Request::Query { address: start, next: bytes.one_in(2) },
        18..=19 => {
            Request::Offer { to: number(world, bytes), start, pages: some, rights: rights(bytes) }
        }
        20 => Request::Withdraw { ticket: bytes.below(20) as u32 },
        21..=23 => {
            let ticket = if bytes.one_in(3) { bytes.below(9) as u32 } else { 0 };
            Request::Accept {
                from: number(world, bytes),
                ticket,
                address: 0,
                rights: rights(bytes),
            }
        }
        24 => Request::AcceptMore { from: number(world, bytes), region: handle },
        25 => Request::Clone { region: handle, address: 0 },
        26 => {
            let into = region(world, own, bytes).0;
            Request::CloneMore { region: handle, into, page: bytes.pick(&[0, MAX_PAGES, 3]) }
        }
        27 => Request::IpcBuffer { slot: bytes.below(18) as u32 },
        28 => Request::ReleaseIpcBuffer { address: buffer(bytes) },
        29 => bytes.pick(&[Request::Statistics, Request::Limits]),
        30 => Request::Split {
            child: number(world, bytes),
            back: bytes.one_in(2),
            amounts: Amounts {
                frames: bytes.below(9) as u32,
                tables: bytes.below(2) as u32,
                slots: bytes.below(9) as u32,
                objects: bytes.below(2) as u32,
            },
        },
        31 => Request::Say(Text::from_words([bytes.byte().into(); 24])),
        32 if bytes.one_in(3) => Request::Exit { code: bytes.byte().into() },
        32 => Request::Kill { child: number(world, bytes) },
        33..=34 => {
            let (pages, rights) = (1 + bytes.below(9) as u32, rights(bytes));
            Request::OfferPaging {
                to: number(world, bytes),
                key: bytes.byte().into(),
                pages,
                rights,
            }
        }
        35..=37 => {
            let (from, rights) = (number(world, bytes), rights(bytes));
            Request::AcceptPaging { from, ticket: 0, address: 0, rights }
        }
        38..=39 => Request::NextFault { after: if bytes.one_in(3) { told(bytes) } else { 0 } },
        40..=42 => Request::Supply { ticket: told(bytes), page: start, give: bytes.one_in(2) },
        43 => Request::Refuse { ticket: told(bytes) },
        44..=46 => Request::Thread(NewThread {
            entry: 0x40_0010,
            argument: 0,
            stack_pages: bytes.pick(&[1, 2, MAX_PAGES]),
            slot: 3 + bytes.below(14) as u32,
        }),
        _ => Request::EndThread { thread: buffer(bytes), own: bytes.one_in(4) },
    }
}
