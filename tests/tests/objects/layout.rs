// SPDX-License-Identifier: BSD-2-Clause
//! Messages: what is encoded is what is parsed, and nothing else is accepted.

use proptest::prelude::*;
use vmm_service::objects::protocol::{
    AccountOptions, Amounts, Answer, FaultKind, FaultPolicy, ImageFault, Kind, Line, Malformed,
    MemoryOptions, Message, Name, Piece, ProgramOptions, RESOURCES, Refusal, Registers, Request,
    Resource, Rights, State, Supply, VERSION, answer_or_refusal,
};

use crate::support::explore_with;

/// What stands in the fields of a message.
#[derive(Clone, Copy, Debug)]
struct Values {
    number: u32,
    other: u32,
    address: usize,
    bits: u32,
    flag: bool,
    amounts: [u32; RESOURCES],
}

fn values() -> impl Strategy<Value = Values> {
    (any::<[u32; RESOURCES]>(), any::<(u32, u32, usize, u32, bool)>()).prop_map(
        |(amounts, (number, other, address, bits, flag))| Values {
            number,
            other,
            address,
            bits,
            flag,
            amounts,
        },
    )
}

fn requests(of: Values) -> Vec<Request> {
    let Values { number, other: slot, address, bits, flag: back, amounts } = of;
    let amounts = Amounts(amounts);
    let rights = Rights::from_bits_truncate(bits);
    let options = MemoryOptions::from_bits_truncate(bits);
    let of_account = AccountOptions::from_bits_truncate(bits);
    let of_program = ProgramOptions::from_bits_truncate(bits);
    let name = Name::new("a name");
    vec![
        Request::Info {},
        Request::Restrict { rights, slot },
        Request::Revoke { slot },
        Request::Destroy {},
        Request::CreateAccount { amounts, options: of_account, slot },
        Request::Give { amounts, back },
        Request::TellAccount { resource: resource(number), amount: slot },
        Request::CreateMemory { pages: number, options, slot },
        Request::CreatePhysical { address, pages: number, options, slot },
        Request::Clone { slot },
        Request::Resize { pages: number },
        Request::CreateSpace { slot },
        Request::Map { address, first: slot, pages: number, rights },
        Request::Populate { address, pages: number },
        Request::Unmap { address },
        Request::CreateEndpoint { object: number, slot },
        Request::CreateNotification { object: number, slot },
        Request::Exit { code: number },
        Request::Say { line: Line::new("a line") },
        Request::CreateProgram {
            amounts,
            options: of_program,
            name,
            slot,
            space: number,
            account: slot ^ number,
        },
        Request::Load {},
        Request::Grant { rights, slot },
        Request::GrantKernel { slot },
        Request::Start { argument: address, stack: number, priority: slot },
        Request::Resume {},
        Request::Kill {},
        Request::TellEnd {},
        Request::Read { offset: address, bytes: number },
        Request::Write { offset: address, piece: piece(number) },
        Request::Move { address, pages: number, to: address.rotate_left(7), rights },
        Request::Protect { address, pages: number, rights },
        Request::UnmapPart { address, pages: number },
        Request::Reserve { address, pages: number, ceiling: rights, slot },
        Request::Bind {},
        Request::CreateThread {
            entry: address,
            argument: address.rotate_left(3),
            stack: number,
            guard: slot,
            priority: bits,
            policy: FaultPolicy::ALL[number as usize % 3],
            slot: number ^ slot,
        },
        Request::EndThread { code: number, own: back },
        Request::CreatePaged { pages: number, most: slot, slot: number ^ slot },
        Request::NextFault { wait: number },
        Request::Supply {
            first: number,
            pages: slot,
            from: bits,
            how: Supply::ALL[number as usize % 3],
            write: back,
            wait: slot,
        },
        Request::AllowWrite { first: number, pages: slot, wait: bits },
        Request::TakeBack { first: number, pages: slot, into: bits },
        Request::Decommit { first: number, pages: slot },
        Request::Refuse { page: number, wait: slot },
        Request::TellFaults {},
        Request::Locate { page: number },
        Request::BindThread {},
        Request::UnbindThread {},
        Request::Unbind {},
        Request::ReadRegisters {},
        Request::WriteRegisters { registers: registers(address) },
        Request::Suspend {},
        Request::SuspendProgram {},
        Request::FirstThread { policy: FaultPolicy::ALL[number as usize % 3], slot },
        Request::LimitWaits { ms: number },
        Request::Sleep { ms: slot },
        Request::MapPrivate { address, first: slot, pages: number, rights },
    ]
}

/// Any resource.
fn resource(number: u32) -> Resource {
    Resource::ALL[number as usize % RESOURCES]
}

/// Registers that differ from each other.
fn registers(address: usize) -> Registers {
    Registers(std::array::from_fn(|at| address.rotate_left(at as u32) ^ at))
}

/// A piece of any length.
fn piece(number: u32) -> Piece {
    let bytes: Vec<u8> = (0..number % 97).map(|at| (number.rotate_left(at) | 1) as u8).collect();
    Piece::of(&bytes)
}

fn answers(of: Values) -> Vec<Answer> {
    let Values { number, other, address, bits, flag, amounts } = of;
    let rights = Rights::from_bits_truncate(bits);
    let options = MemoryOptions::from_bits_truncate(bits);
    let of_account = AccountOptions::from_bits_truncate(bits);
    let limits = Amounts(amounts);
    let used = Amounts::NONE.with(Resource::Badges, number);
    vec![
        Answer::Done {},
        Answer::More {},
        Answer::Pages { pages: number },
        Answer::Mapped { address },
        Answer::Located { address },
        Answer::Account { rights, options: of_account, limits, used },
        Answer::Memory { rights, options, pages: number, committed: other, mappings: number },
        Answer::Space { rights, mapped: number, tables: other, mappings: number, programs: other },
        Answer::Object { kind: Kind::Endpoint, rights },
        Answer::Reservation {
            rights,
            address,
            pages: number,
            ceiling: rights,
            mappings: other,
            inside: number,
        },
        Answer::Program {
            rights,
            state: State::Faulted,
            gone: flag,
            code: number,
            fault: FaultKind::ALL[number as usize % 7],
            address,
            instruction: other as usize,
        },
        Answer::Registers { registers: registers(address) },
        Answer::Piece { piece: piece(number) },
        Answer::Bytes { bytes: number },
        Answer::Wanted { done: number, waits: flag, page: other, write: !flag },
        Answer::Taken { pages: number, written: other },
    ]
}

fn refusals(of: Values) -> Vec<Refusal> {
    let Values { number: place, other, address, bits, .. } = of;
    let rights = Rights::from_bits_truncate(bits);
    let resource = Resource::Tables;
    vec![
        Refusal::Malformed { what: Malformed::Bits },
        Refusal::NoCapability { place },
        Refusal::ForeignCapability { place },
        Refusal::TooManyCapabilities { wanted: place },
        Refusal::WrongKind { place, found: Kind::Space },
        Refusal::NoRight { place, missing: rights },
        Refusal::Gone { place },
        Refusal::BeyondRights { asked: rights },
        Refusal::BadSlot { slot: place },
        Refusal::SlotOccupied { slot: place },
        Refusal::OutOfAccount { resource, wanted: place, left: other },
        Refusal::Overcommitted { resource },
        Refusal::BadLength { pages: place },
        Refusal::BeyondEnd { pages: place },
        Refusal::InUse { times: place },
        Refusal::Shared { page: place },
        Refusal::NoMapping { address },
        Refusal::BadAddress { address },
        Refusal::Overlap { address },
        Refusal::NoRoom {},
        Refusal::NoSuchPhysical { address },
        Refusal::NotRelated {},
        Refusal::NotPayer {},
        Refusal::NotReadable {},
        Refusal::TooDeep { most: place },
        Refusal::StillMapped { pages: place },
        Refusal::WrongState { state: State::Loading },
        Refusal::BadImage { what: ImageFault::Overlap, at: address },
        Refusal::PriorityTooHigh { most: place },
        Refusal::OwnCapability { place },
        Refusal::Paged { place },
        Refusal::NotThere { page: place },
        Refusal::IsThere { page: place },
        Refusal::Full { most: place },
        Refusal::BadCapability { place },
        Refusal::TooManyThreads { most: place },
        Refusal::NoClock {},
        Refusal::TooManyWaiting { most: place },
        Refusal::Pinned { place },
        Refusal::Large { place },
        Refusal::Bound {},
        Refusal::NotBound {},
        Refusal::OutOfMemory {},
        Refusal::Internal {},
    ]
}

/// All messages with these values, and the numbers that there are.
fn messages(of: Values) -> Vec<Message> {
    let requests = requests(of).into_iter().map(|request| request.encode());
    let answers = answers(of).into_iter().map(|answer| answer.encode());
    requests.chain(answers).chain(refusals(of).into_iter().map(|why| why.encode())).collect()
}

/// The message again, of what it says.
fn again(label: u32, words: &[usize]) -> Result<Message, Malformed> {
    match label & 0xfff {
        0..0x100 => Request::parse(label, words).map(|request| request.encode()),
        _ => answer_or_refusal(label, words).map(|answer| match answer {
            Ok(answer) => answer.encode(),
            Err(refusal) => refusal.encode(),
        }),
    }
}

/// A146
#[test]
fn what_is_written_is_what_is_read() {
    explore_with(values(), 200, |of| {
        for message in messages(of) {
            assert_eq!(again(message.label(), message.words()), Ok(message));
        }
    });
}

#[test]
fn every_number_is_among_the_messages_tested() {
    let one =
        Values { number: 1, other: 2, address: 3, bits: 1, flag: true, amounts: [4; RESOURCES] };
    let mut tested: Vec<u32> =
        messages(one).iter().map(|message| message.label() & 0xfff).collect();
    tested.sort_unstable();
    let all = [Request::NUMBERS, Answer::NUMBERS, Refusal::NUMBERS].concat();
    let mut sorted = all.clone();
    sorted.sort_unstable();
    assert_eq!(tested, sorted);
}

/// A146
#[test]
fn another_version_number_or_length_is_refused() {
    explore_with(values(), 20, |of| {
        for message in messages(of) {
            let (label, words) = (message.label(), message.words());
            assert_eq!(label >> 12, VERSION);
            for other in [label & 0xfff, label + (1 << 12), label - (1 << 12)] {
                assert_eq!(again(other, words), Err(Malformed::Version));
            }
            assert_eq!(again(label & !0xfff | 0x0ff, words), Err(Malformed::Number));
            let longer = [words, &[0]].concat();
            assert_eq!(again(label, &longer), Err(Malformed::Length));
            if let Some((_, shorter)) = words.split_last() {
                assert_eq!(again(label, shorter), Err(Malformed::Length));
            }
        }
    });
}

/// A146: no word is taken that no value is written as: what is read of any words is written as the
/// same words.
#[test]
fn no_bit_is_ignored() {
    let word =
        prop_oneof![any::<usize>(), 0..64usize, (0..usize::BITS).prop_map(|bit| 1usize << bit),];
    let words = proptest::collection::vec(word, 26);
    explore_with((values(), words), 200, |(of, random)| {
        for message in messages(of) {
            let label = message.label();
            for index in 0..message.words().len() {
                let mut words = message.words().to_vec();
                words[index] = random[index];
                if let Ok(read) = again(label, &words) {
                    assert_eq!(read.words(), words, "{label:#x}");
                }
            }
        }
    });
}
