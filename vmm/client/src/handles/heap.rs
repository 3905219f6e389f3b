// SPDX-License-Identifier: BSD-2-Clause
//! A program's heap: it begins with two pages of the program's image, grows by memory objects that
//! the program's account pays for, and gives them back when nothing is left in them.
//!
//! ```ignore
//! extern crate alloc;
//!
//! vmm_client::program!(main);
//! vmm_client::heap!(HEAP);
//!
//! fn main(_: &Program, _argument: usize) -> Result {
//!     let squares: alloc::vec::Vec<u64> = (0..1_000_000).map(|number| number * number).collect();
//!     drop(squares);
//!     HEAP.trim();
//!     Ok(())
//! }
//! ```
//!
//! A piece of 64 pages costs its pages, and the tables, slots, badge and records of one object and
//! one mapping. One that is empty stays for what is allocated next; `trim` gives it back, too.
//! Where the account has not enough, the program's allocation error is a panic, or what
//! `try_reserve` returns.
//!
//! Growing sends messages, and leaves the message registers as they were. It panics inside
//! `sel4::with_ipc_buffer`.

use growing_heap::{Environment, Piece, Source, PAGE_BYTES};
use sel4::Word;

use super::kinds::{Handle, Memory};
use super::object::Object;
use super::program::Program;
use super::space::Mapping;
use crate::bindings::Lock;
use crate::objects::{Rights, MAX_CAPABILITIES};

/// What the heap needs of a program.
pub struct ProgramHeap(());

/// Memory objects that the program's account pays for.
struct Objects;

static LOCK: Lock = Lock::new("the heap");

impl Environment for ProgramHeap {
    fn acquire() {
        assert!(LOCK.acquire_yielding(), "the heap is taken by a thread of lower priority");
    }

    fn release() {
        LOCK.release();
    }

    fn source() -> Option<&'static dyn Source> {
        Some(&Objects)
    }
}

impl Source for Objects {
    fn more(&self, bytes: usize) -> Option<Piece> {
        let pages = u32::try_from(bytes / PAGE_BYTES).ok()?;
        keeping_the_message(|| {
            let (account, space) = (Program::THIS.account(), Program::THIS.space());
            let memory = account.create_memory(pages).ok()?;
            match space.map(&memory, Rights::READ_WRITE, &account) {
                Ok(mapping) => {
                    let token = memory.slot() as usize;
                    Some(Piece { start: mapping.address(), bytes, token })
                }
                Err(_) => {
                    // What was just made is in use nowhere.
                    let _ = memory.destroy();
                    None
                }
            }
        })
    }

    fn less(&self, piece: Piece) -> bool {
        keeping_the_message(|| {
            let pages = piece.bytes / PAGE_BYTES;
            let mapping = Mapping::of(&Program::THIS.space(), piece.start, pages as u32);
            // What is unmapped of it in part is there when it is touched.
            if mapping.unmap().is_err() {
                return false;
            }
            // Mapped nowhere else, so it is not in use.
            let _ = Memory::from_slot(piece.token as u32).destroy();
            true
        })
    }
}

/// Does something that sends messages, for somebody who may be about to send one.
fn keeping_the_message<T>(f: impl FnOnce() -> T) -> T {
    let mut words = [0 as Word; sel4::NUM_MESSAGE_REGISTERS];
    let mut capabilities = [0 as Word; MAX_CAPABILITIES];
    sel4::with_ipc_buffer(|buffer| {
        words.copy_from_slice(&buffer.msg_regs()[..]);
        capabilities.copy_from_slice(&buffer.caps_or_badges()[..]);
    });
    let value = f();
    sel4::with_ipc_buffer_mut(|buffer| {
        buffer.msg_regs_mut()[..].copy_from_slice(&words);
        buffer.caps_or_badges_mut()[..].copy_from_slice(&capabilities);
    });
    value
}

/// Defines `$name`, the program's global allocator: see [`heap`](crate::handles::heap).
#[macro_export]
macro_rules! heap {
    ($name:ident) => {
        #[global_allocator]
        static $name: $crate::_private::GlobalHeap<$crate::handles::heap::ProgramHeap, 8192> =
            $crate::_private::GlobalHeap::new();
    };
}
