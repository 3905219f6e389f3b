// SPDX-License-Identifier: BSD-2-Clause
//! Messages: what is encoded is what is parsed, and nothing else is accepted.

use vmm_service::protocol::{
    Amounts, Answer, Info, Limits, Line, MAX_WORDS, Malformed, Message, Name, NewThread, Options,
    PagedFault, Refusal, RegionHandle, Request, Reserve, Resource, Rights, Statistics, VERSION,
};

fn requests() -> Vec<Request> {
    let region = RegionHandle { start: 0x1000, serial: 7 };
    let amounts = Amounts { frames: 1, tables: 2, slots: 3, objects: 4 };
    vec![
        Request::Reserve(Reserve {
            pages: 3,
            address: 0x4000,
            rights: Rights::READ,
            ceiling: Rights::READ_WRITE,
            around: 16,
            guards: (1, 16),
            options: Options::STACK,
            name: Name::new("a name of 16 by."),
        }),
        Request::Map { start: 0x1000, pages: 1 },
        Request::Unmap { start: 0x1000, pages: 1 },
        Request::Protect { start: 0x1000, pages: 1, rights: Rights::READ },
        Request::Release(region),
        Request::Query { address: 1, next: true },
        Request::Offer { to: 2, start: 0x1000, pages: 1, rights: Rights::READ_WRITE },
        Request::Withdraw { ticket: 1 },
        Request::Accept { from: 2, ticket: 1, address: 0, rights: Rights::READ },
        Request::Clone { region, address: 0 },
        Request::IpcBuffer { slot: 3 },
        Request::ReleaseIpcBuffer { address: 0x1000 },
        Request::Statistics,
        Request::Limits,
        Request::Split { child: 3, back: true, amounts },
        Request::Kill { child: 3 },
        Request::Say(Line::new("a line")),
        Request::Exit { code: 9 },
        Request::OfferPaging { to: 2, key: 7, pages: 1, rights: Rights::READ },
        Request::AcceptPaging { from: 2, ticket: 1, address: 0, rights: Rights::READ },
        Request::NextFault { after: 3 },
        Request::Supply { ticket: 3, page: 0x1000, give: true },
        Request::Refuse { ticket: 3 },
        Request::Thread(NewThread { entry: 0x1000, argument: 1, stack_pages: 2, slot: 5 }),
        Request::EndThread { thread: 0x1000, own: true },
        Request::CloneMore { region, into: region, page: 64 },
        Request::AcceptMore { from: 2, region },
    ]
}

fn answers() -> Vec<Answer> {
    let region = RegionHandle { start: 0x1000, serial: 7 };
    let amounts = Amounts { frames: 1, tables: 2, slots: 3, objects: 4 };
    let info = Info {
        region,
        pages: 5,
        guards: (1, 2),
        rights: Rights::READ,
        ceiling: Rights::READ_WRITE,
        around: 4,
        page: Some(Rights::READ),
        name: Name::new("name"),
    };
    vec![
        Answer::Done,
        Answer::Pages(64),
        Answer::Region { handle: region, first: 0x2000, pages: 3 },
        Answer::Ticket(1),
        Answer::Address(0x1000),
        Answer::Info(info),
        Answer::Info(Info { page: None, ..info }),
        Answer::Statistics(Statistics { mapped_pages: 1, regions: 2, tables: 3, largest_hole: 4 }),
        Answer::Limits(Limits { own: 2, parent: 0, limits: amounts, used: amounts }),
        Answer::Part { handle: region, first: 0x2000, pages: 300, done: 64 },
        Answer::Fault(PagedFault { ticket: 1, client: 2, key: 3, page: 4, write: true }),
    ]
}

fn refusals() -> Vec<Refusal> {
    vec![
        Refusal::Malformed(Malformed::Bits),
        Refusal::NoSuchRegion,
        Refusal::NoSuchClient,
        Refusal::NoSuchOffer,
        Refusal::OutOfQuota { resource: Resource::Slots, limit: 1, used: 1 },
        Refusal::OutOfMemory,
        Refusal::NoRoom,
        Refusal::BadAddress { address: 1 },
        Refusal::Overlap { address: 1 },
        Refusal::NotMapped { address: 1 },
        Refusal::AlreadyMapped { address: 1 },
        Refusal::BeyondRights,
        Refusal::WrongKind,
        Refusal::TooMuch { most: 1 },
        Refusal::BadSlot,
        Refusal::Internal,
        Refusal::NoSuchFault,
        Refusal::NoSuchThread,
        Refusal::NotTaken,
        Refusal::Shared { address: 1 },
    ]
}

fn longer(message: &Message) -> Vec<usize> {
    message.words().iter().copied().chain([0]).collect()
}

#[test]
fn a_request_is_parsed_as_it_was_encoded() {
    for request in requests() {
        let message = request.encode();
        assert_eq!(Request::parse(message.label(), message.words()), Ok(request));
    }
}

#[test]
fn an_answer_is_parsed_as_it_was_encoded() {
    for answer in answers() {
        let message = answer.encode();
        assert!(!message.is_refusal());
        assert_eq!(Answer::parse(message.label(), message.words()), Ok(Ok(answer)));
    }
    for refusal in refusals() {
        let message = refusal.encode();
        assert!(message.is_refusal());
        assert_eq!(Answer::parse(message.label(), message.words()), Ok(Err(refusal)));
    }
}

#[test]
fn a_request_is_no_answer() {
    for request in requests() {
        let message = request.encode();
        assert_eq!(Answer::parse(message.label(), message.words()), Err(Malformed::Number));
    }
}

#[test]
fn another_length_is_refused() {
    for request in requests() {
        let message = request.encode();
        let (label, words) = (message.label(), message.words());
        assert_eq!(Request::parse(label, &longer(&message)), Err(Malformed::Length));
        if !words.is_empty() {
            let shorter = &words[..words.len() - 1];
            assert_eq!(Request::parse(label, shorter), Err(Malformed::Length));
        }
    }
}

#[test]
fn another_version_or_an_unknown_number_is_refused() {
    for request in requests() {
        let message = request.encode();
        let label = message.label() + (1 << 12);
        assert_eq!(Request::parse(label, message.words()), Err(Malformed::Version));
    }
    for number in [0, 28, 0xff, 0x100, 0x200, 0xfff] {
        let label = VERSION << 12 | number;
        assert_eq!(Request::parse(label, &[]), Err(Malformed::Number));
    }
}

#[test]
fn a_bit_that_means_nothing_is_refused() {
    let message = Request::Protect { start: 0, pages: 1, rights: Rights::READ }.encode();
    for bit in 2..32 {
        let words = [0, 1, 1 << bit];
        assert_eq!(Request::parse(message.label(), &words), Err(Malformed::Bits));
    }
    let message = Request::Query { address: 0, next: false }.encode();
    assert_eq!(Request::parse(message.label(), &[0, 2]), Err(Malformed::Bits));
}

#[test]
fn an_impossible_value_is_refused() {
    let reserve = requests()[0].encode();
    for (place, value) in [(4, 3), (4, 32), (5, 17), (5, 17 << 16)] {
        let mut words = reserve.words().to_vec();
        words[place] = value;
        assert_eq!(Request::parse(reserve.label(), &words), Err(Malformed::Value));
    }
}

/// No bit is ignored: whatever is accepted is what would be encoded for it.
#[test]
fn whatever_is_accepted_says_what_it_means() {
    for request in requests() {
        let message = request.encode();
        for place in 0..message.words().len() {
            for bit in 0..32 {
                let mut words = message.words().to_vec();
                words[place] ^= 1 << bit;
                if let Ok(meant) = Request::parse(message.label(), &words) {
                    assert_eq!(meant.encode().words(), words);
                }
            }
        }
    }
}

#[test]
fn text_is_printable_whatever_was_sent() {
    let line = Line::from_words([0x1b5b_4a41; 24]);
    assert!(line.chars().all(|char| (' '..='~').contains(&char)));
    assert_eq!(Name::new("0123456789abcdefg").chars().count(), 16);
    assert!(Request::Say(line).encode().words().len() <= MAX_WORDS);
}
