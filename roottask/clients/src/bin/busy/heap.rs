// SPDX-License-Identifier: BSD-2-Clause
//! A heap across the line between two page tables.

use vmm_client::protocol::{Name, Options, Reserve, Rights};
use vmm_client::{Memory, Result, Service};
use vmm_clients::{Random, PAGE_WORDS};

use crate::held::Held;
use crate::refusals::unless_short;

/// A line between two page tables, in bytes. The service places nothing there by itself.
const LINE: usize = 0x9000_0000;
/// How many lines are used from it on.
const LINES: u32 = 4;
/// Bytes between two lines.
const TABLE: usize = 1 << 22;
/// The most pages of a heap on either side of the line.
const MAX_BESIDE_LINE: u32 = 12;
/// Bytes of a page.
const PAGE: usize = 4096;

/// Grows a heap page by page, by touches or by requests, shrinks it to the line and then to
/// nothing, and grows it again.
pub fn heap(service: &Service, random: &mut Random) -> Result {
    let line = LINE + random.below(LINES) as usize * TABLE;
    let (below, above) = (1 + random.below(MAX_BESIDE_LINE), 1 + random.below(MAX_BESIDE_LINE));
    let reserve = Reserve {
        pages: below + above,
        address: line - below as usize * PAGE,
        rights: Rights::READ_WRITE,
        ceiling: Rights::READ_WRITE,
        around: 1,
        guards: (0, 0),
        options: Options::empty(),
        name: Name::new("busy, heap"),
    };
    let Some(memory) = unless_short(service.reserve(reserve))? else { return Ok(()) };
    for _ in 0..2 + random.below(3) {
        let (base, by_request) = (random.number(), random.below(2) == 0);
        if !grow(service, &Held { memory, base, shared: false }, by_request)? {
            break;
        }
        service.unmap(line, above)?;
        // The pages before the line are as they were, and go too.
        Held { memory: Memory { pages: below, ..memory }, base, shared: false }.check();
        service.unmap(memory.first, below)?;
    }
    service.release(memory.handle)
}

/// Maps the pages of a heap one by one and gives them their pattern; says whether all came.
fn grow(service: &Service, heap: &Held, by_request: bool) -> Result<bool> {
    let words = heap.words();
    for page in 0..heap.memory.pages as usize {
        let address = heap.memory.first + page * PAGE;
        if by_request && unless_short(service.map(address, 1))?.is_none() {
            return Ok(false);
        }
        let word = page * PAGE_WORDS;
        assert_eq!([words.get(word), words.get(word + 1)], [0; 2]);
        heap.write(words, page);
    }
    heap.check();
    Ok(true)
}
