// SPDX-License-Identifier: BSD-2-Clause
//! A heap that grows and shrinks, held to what it must do: blocks are apart, hold what was written,
//! and lie in memory that the heap has; what nothing is left in goes back.

use std::alloc::{GlobalAlloc, Layout, alloc, dealloc};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Mutex;

use growing_heap::{Environment, GlobalHeap, PAGE_BYTES, Piece, Source};

thread_local! {
    /// Whether the heap's lock is taken.
    static LOCKED: Cell<bool> = const { Cell::new(false) };
}

/// What is given out of a machine of so many pages, and how it behaves.
#[derive(Default)]
struct Machine {
    given: BTreeMap<usize, usize>,
    free_pages: usize,
    takes_nothing_back: bool,
    times: usize,
}

/// A source of its own for each test: they run at the same time.
macro_rules! program {
    ($machine:ident, $environment:ident) => {
        static $machine: Pages = Pages(Mutex::new(None));
        struct $environment;
        impl Environment for $environment {
            fn acquire() {
                assert!(!LOCKED.replace(true), "the lock is taken twice");
            }
            fn release() {
                assert!(LOCKED.replace(false));
            }
            fn source() -> Option<&'static dyn Source> {
                assert!(LOCKED.get());
                Some(&$machine)
            }
        }
    };
}

struct Pages(Mutex<Option<Machine>>);

impl Pages {
    fn begin(&self, free_pages: usize) {
        *self.0.lock().unwrap() = Some(Machine { free_pages, ..Machine::default() });
    }

    fn with<T>(&self, f: impl FnOnce(&mut Machine) -> T) -> T {
        f(self.0.lock().unwrap().as_mut().unwrap())
    }

    fn given(&self) -> BTreeMap<usize, usize> {
        self.with(|machine| machine.given.clone())
    }
}

fn pages(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, PAGE_BYTES).unwrap()
}

impl Source for Pages {
    fn more(&self, bytes: usize) -> Option<Piece> {
        assert!(!LOCKED.get(), "the source is asked while the heap is locked");
        assert!(bytes != 0 && bytes.is_multiple_of(PAGE_BYTES));
        self.with(|machine| {
            machine.times += 1;
            machine.free_pages = machine.free_pages.checked_sub(bytes / PAGE_BYTES)?;
            // SAFETY: not of no bytes.
            let start = unsafe { alloc(pages(bytes)) } as usize;
            machine.given.insert(start, bytes);
            Some(Piece { start, bytes, token: machine.times })
        })
    }

    fn less(&self, piece: Piece) -> bool {
        assert!(!LOCKED.get());
        self.with(|machine| {
            if machine.takes_nothing_back {
                return false;
            }
            assert_eq!(machine.given.remove(&piece.start), Some(piece.bytes));
            machine.free_pages += piece.bytes / PAGE_BYTES;
            // SAFETY: it was given out with this layout, and is nobody's any more.
            unsafe { dealloc(piece.start as *mut u8, pages(piece.bytes)) };
            true
        })
    }
}

/// A block, and the byte it is full of.
struct Block {
    start: *mut u8,
    layout: Layout,
    stamp: u8,
}

impl Block {
    fn bytes(&self) -> &[u8] {
        // SAFETY: all of it was written, and it is ours.
        unsafe { std::slice::from_raw_parts(self.start, self.layout.size()) }
    }

    fn check(&self) {
        assert!(self.bytes().iter().all(|&byte| byte == self.stamp), "what was written is there");
    }

    fn fill(&mut self) {
        // SAFETY: the block is ours, and has as many bytes.
        unsafe { self.start.write_bytes(self.stamp, self.layout.size()) };
    }
}

fn take(heap: &impl GlobalAlloc, layout: Layout) -> *mut u8 {
    // SAFETY: no test asks for no bytes.
    unsafe { heap.alloc(layout) }
}

fn give(heap: &impl GlobalAlloc, block: *mut u8, layout: Layout) {
    // SAFETY: the tests give back what they took, once.
    unsafe { heap.dealloc(block, layout) }
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 as usize % end
    }

    /// Small as a rule, now and then larger than any piece is at first.
    fn size(&mut self) -> usize {
        match self.below(40) {
            0 => 1 + self.below(600_000),
            1..8 => 1 + self.below(9_000),
            _ => 1 + self.below(200),
        }
    }
}

program!(RANDOM, RandomProgram);

/// A156.
#[test]
fn blocks_are_apart_and_what_nothing_is_left_in_goes_back() {
    static HEAP: GlobalHeap<RandomProgram, 8192> = GlobalHeap::new();
    let steps = if cfg!(miri) { 300 } else { 30_000 };
    RANDOM.begin(600);
    let (mut random, mut blocks) = (Random(0x9e37_79b9_7f4a_7c15), Vec::<Block>::new());
    let (mut refused, mut returned) = (0, 0);
    for step in 0..steps {
        let before = RANDOM.given().len();
        // It grows and shrinks in turn.
        let grows = step / 2000 % 2 == 0;
        match random.below(10) {
            0 if !blocks.is_empty() => {
                let index = random.below(blocks.len());
                let size = random.size();
                let old = &blocks[index];
                let kept = old.layout.size().min(size);
                // SAFETY: a block of the heap, and not of no bytes.
                let start = unsafe { HEAP.realloc(old.start, old.layout, size) };
                if start.is_null() {
                    old.check();
                } else {
                    let stamp = old.stamp;
                    let layout = Layout::from_size_align(size, old.layout.align()).unwrap();
                    let mut new = Block { start, layout, stamp };
                    assert!(new.bytes()[..kept].iter().all(|&byte| byte == stamp));
                    new.fill();
                    blocks[index] = new;
                }
            }
            choice if !blocks.is_empty() && (choice < 4 || !grows && choice < 8) => {
                let block = blocks.swap_remove(random.below(blocks.len()));
                block.check();
                give(&HEAP, block.start, block.layout);
            }
            _ => {
                let align = 1 << random.below(13);
                let layout = Layout::from_size_align(random.size(), align).unwrap();
                let start = take(&HEAP, layout);
                if start.is_null() {
                    refused += 1;
                    continue;
                }
                assert_eq!(start as usize % align, 0);
                let mut block = Block { start, layout, stamp: step as u8 };
                block.fill();
                blocks.push(block);
            }
        }
        returned += usize::from(RANDOM.given().len() < before);
        if step % 500 == 0 {
            blocks.iter().for_each(Block::check);
            check_places(&blocks, &RANDOM.given(), &raw const HEAP as usize);
        }
    }
    assert!(cfg!(miri) || refused > 10 && returned > 10, "{refused} refused, {returned} went back");
    for block in blocks {
        block.check();
        give(&HEAP, block.start, block.layout);
    }
    assert!(RANDOM.given().len() <= 1, "one piece stays for what comes next");
    assert_eq!(HEAP.trim(), 0);
    assert_eq!(RANDOM.with(|machine| machine.free_pages), 600);
}

/// Blocks do not overlap, and each is in a piece or in the heap's own memory, which it begins with.
fn check_places(blocks: &[Block], given: &BTreeMap<usize, usize>, own: usize) {
    let mut places: Vec<_> = blocks
        .iter()
        .map(|block| (block.start as usize, block.start as usize + block.layout.size()))
        .collect();
    places.sort_unstable();
    assert!(places.windows(2).all(|pair| pair[0].1 <= pair[1].0));
    for (start, end) in places {
        let piece = given.range(..=start).next_back();
        let in_piece = piece.is_some_and(|(first, bytes)| end <= first + bytes);
        assert!(in_piece || start >= own && end <= own + 8192, "a block lies nowhere");
    }
}

program!(REFUSING, RefusingProgram);

/// A156: a source that refuses, either way, and sizes that cannot be.
#[test]
fn what_a_source_refuses_changes_nothing() {
    static HEAP: GlobalHeap<RefusingProgram, 8192> = GlobalHeap::new();
    REFUSING.begin(70);
    let layout = |bytes| Layout::from_size_align(bytes, 16).unwrap();
    // Not 64 pages more, but what is wanted.
    let blocks = [200 << 10, 10 << 10].map(|bytes| (take(&HEAP, layout(bytes)), bytes));
    assert!(blocks.iter().all(|(block, _)| !block.is_null()));
    let more = take(&HEAP, layout(100 << 10));
    assert!(more.is_null(), "the machine has {:?}", REFUSING.given());
    let huge = Layout::from_size_align(isize::MAX as usize & !4095, 4096).unwrap();
    assert!(take(&HEAP, huge).is_null());

    REFUSING.with(|machine| machine.takes_nothing_back = true);
    let given = REFUSING.given();
    for (block, bytes) in blocks {
        give(&HEAP, block, layout(bytes));
    }
    assert_eq!(HEAP.trim(), given.values().sum::<usize>());
    // It is the heap's still: so the same is had again without anything of the source's.
    let again = take(&HEAP, layout(200 << 10));
    assert!(!again.is_null());
    assert_eq!(REFUSING.given(), given);
    give(&HEAP, again, layout(200 << 10));
    REFUSING.with(|machine| machine.takes_nothing_back = false);
    assert_eq!(HEAP.trim(), 0);
    assert_eq!(REFUSING.with(|machine| machine.free_pages), 70);
}

program!(LARGE, LargeProgram);

/// A heap of many small blocks has few pieces: each is an eighth of what there is.
#[test]
fn pieces_get_larger_with_the_heap() {
    static HEAP: GlobalHeap<LargeProgram, 8192> = GlobalHeap::new();
    LARGE.begin(100_000);
    let layout = Layout::from_size_align(32 << 10, 8).unwrap();
    let count = if cfg!(miri) { 20 } else { 2000 };
    let blocks: Vec<_> = (0..count).map(|_| take(&HEAP, layout)).collect();
    assert!(blocks.iter().all(|block| !block.is_null()));
    let (pieces, times) = (LARGE.given(), LARGE.with(|machine| machine.times));
    // 64 pages, and an eighth more each time, are 64 MB before the fortieth.
    assert!(pieces.len() < 40, "{} pieces", pieces.len());
    assert_eq!(times, pieces.len());
    let bytes: usize = pieces.values().sum();
    assert!(bytes < (count * (33 << 10)).max(512 << 10) * 9 / 8 + (256 << 10));
    for block in blocks {
        give(&HEAP, block, layout);
    }
    assert_eq!(HEAP.trim(), 0);
}
