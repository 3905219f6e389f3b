// SPDX-License-Identifier: BSD-2-Clause
//! The program of the threads: a few instructions that run in any space.
//!
//! It has two ends, both of which are exceptions: one when the list is done, one when a word was
//! not as the list said.

use core::arch::global_asm;

use roottask::{ax, cx, di, sp, word, Outcome};
use vmm::sel4::faults::ThreadFault;
use vmm::{RegionId, RegionOptions, Rights, SpaceId};

use crate::engine::Stress;
use crate::measure::Kind;

global_asm!(
    ".pushsection .rodata",
    ".global worker_touch",
    "worker_touch:", // di: the list, each an address and a number, in words
    concat!("mov ", ax!(), ", [", di!(), "]"),
    concat!("test ", ax!(), ", ", ax!()),
    "jz worker_done",
    concat!("mov edx, [", di!(), " + ", word!(), "]"),
    "test al, 1",
    "jnz 2f",
    concat!("mov [", ax!(), "], edx"),
    concat!("add ", di!(), ", 2 * ", word!()),
    "jmp worker_touch",
    "2:",
    concat!("cmp edx, [", ax!(), " - 1]"),
    "jne worker_wrong",
    concat!("add ", di!(), ", 2 * ", word!()),
    "jmp worker_touch",
    ".global worker_done",
    "worker_done:",
    "ud2",
    ".global worker_wrong",
    "worker_wrong:",
    "ud2",
    ".global worker_dig",
    "worker_dig:", // cx: bytes of a level, but for the two words that are pushed
    concat!("sub ", sp!(), ", ", cx!()),
    concat!("push ", sp!()),
    "call worker_dig",
    ".global worker_end",
    "worker_end:",
    ".popsection",
);

extern "C" {
    static worker_touch: u8;
    static worker_done: u8;
    static worker_wrong: u8;
    static worker_dig: u8;
    static worker_end: u8;
}

/// The exception of an instruction that does not exist: how the program ends.
const UNDEFINED: usize = 6;

/// Where an instruction of the program lies in it, in bytes.
fn offset(instruction: *const u8) -> usize {
    instruction as usize - &raw const worker_touch as usize
}

/// The program's bytes.
fn program() -> &'static [u8] {
    // SAFETY: the bytes between the two symbols are the program, in a section that is never
    // written.
    unsafe { core::slice::from_raw_parts(&raw const worker_touch, offset(&raw const worker_end)) }
}

/// The program, in a space.
pub struct Program(RegionId);

impl Program {
    /// Puts it into a space.
    pub fn load(stress: &mut Stress, space: SpaceId) -> Outcome<Option<Program>> {
        let options = RegionOptions::new(1).named("program").rights(Rights::READ);
        let made = stress.attempt(Kind::Map, |vmm| vmm.map(space, &options))?;
        let Some(region) = made else { return Ok(None) };
        let at = region.start().bits();
        if stress.attempt(Kind::Write, |vmm| vmm.write(space, at, program()))?.is_some() {
            return Ok(Some(Program(region)));
        }
        stress.must(Kind::Release, |vmm| vmm.release(region))?;
        Ok(None)
    }

    /// Its address, in bytes.
    pub fn address(&self) -> usize {
        self.0.start().bits()
    }

    /// Takes it away.
    pub fn release(self, stress: &mut Stress) -> Outcome {
        stress.must(Kind::Release, |vmm| vmm.release(self.0))
    }

    /// What a word is that a thread pushes when it goes a level deeper.
    pub fn return_address(&self) -> usize {
        self.address() + program().len()
    }
}

/// Returns where a program that lies at `code` recurses.
pub fn dig_entry(code: usize) -> usize {
    code + offset(&raw const worker_dig)
}

/// How a thread's program ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// All of its list is done.
    Done,
    /// A word was not what it must be.
    Wrong,
}

/// Which of its ends a program that lies at `code` has come to, if it has.
pub fn end_of(code: usize, fault: &ThreadFault) -> Option<Ended> {
    let ThreadFault::Exception { ip, number: UNDEFINED, .. } = *fault else { return None };
    let ends = [(&raw const worker_done, Ended::Done), (&raw const worker_wrong, Ended::Wrong)];
    ends.into_iter().find(|&(at, _)| code + offset(at) == ip).map(|(_, end)| end)
}
