// SPDX-License-Identifier: BSD-2-Clause
//! What physical memory is used for, drawn with few squares.
//!
//! RAM from address 0 to its end is cut into equal squares, at most [`SQUARES`] of them and none
//! smaller than a page. Each is drawn as the letter of what takes the most of its bytes; the bytes
//! of each letter are told exactly beside it.

use alloc::vec;
use alloc::vec::Vec;

use roottask::Manager;
use sel4_root_task::{debug_print, debug_println};
use vmm::{Batch, BlockInfo, Blueprint, Kernel, Kind, ObjectState, Usage};

use crate::model::PAGE;

/// The most squares of a map.
const SQUARES: usize = 2048;

macro_rules! letters {
    ($($name:ident $letter:literal),* $(,)?) => {
        /// What memory is used for.
        #[derive(Clone, Copy, PartialEq, Eq)]
        enum Use {
            $($name),*
        }

        const LETTERS: &[char] = &[$($letter),*];
    };
}

letters! {
    // The kernel's, the image's, or no RAM at all.
    Foreign '.',
    // Free untypeds: 4 MiB and more, 64 KiB and more, and smaller ones.
    FreeLarge 'A', FreeMedium 'B', FreeSmall 'C',
    // Made and not handed out.
    Ready 'r',
    // Frames, small ones and large ones.
    Frame 'f', LargeFrame 'L',
    Table 't', Object 'k', Bookkeeping 'b',
    // Destroyed objects whose batch lives on, and what retyping left over.
    Rest 'x',
}

type Shares = [usize; LETTERS.len()];

/// Draws maps; its memory is had once.
pub struct MemoryMap {
    /// A bit for each page of RAM: whether it is the manager's book-keeping.
    bookkeeping: Vec<u32>,
    square_bits: u32,
    end: usize,
}

impl MemoryMap {
    /// For this machine.
    pub fn new(vmm: &Manager) -> MemoryMap {
        let ram = vmm.allocator().inventory().filter(|block| !block.device);
        let end = ram.map(|block| block.paddr + (1 << block.size_bits)).max().unwrap_or(PAGE);
        let square = end.div_ceil(SQUARES).next_power_of_two().max(PAGE);
        let bookkeeping = vec![0; end.div_ceil(32 * PAGE)];
        MemoryMap { bookkeeping, square_bits: square.ilog2(), end }
    }

    /// Prints the map as it is now, as the fields `square_bytes`, `bytes` and `squares` of an
    /// object.
    pub fn print(&mut self, vmm: &mut Manager) {
        self.find_bookkeeping(vmm);
        debug_print!("\"square_bytes\":{},\"squares\":\"", 1usize << self.square_bits);
        let mut pen = Pen {
            square_bits: self.square_bits,
            at: 0,
            shares: [0; LETTERS.len()],
            total: [0; LETTERS.len()],
        };
        for block in vmm.allocator().inventory().filter(|block| !block.device) {
            pen.draw(block.paddr - pen.at, Use::Foreign);
            self.draw_block(&mut pen, &block);
        }
        let squares = self.end.div_ceil(1 << self.square_bits) << self.square_bits;
        pen.draw(squares - pen.at, Use::Foreign);
        debug_print!("\",\"bytes\":{{");
        for (index, letter) in LETTERS.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            debug_print!("{comma}\"{letter}\":{}", pen.total[index]);
        }
        debug_println!("}}}}");
    }

    fn draw_block(&self, pen: &mut Pen, block: &BlockInfo<'_>) {
        let bytes = 1 << block.size_bits;
        match block.usage {
            Usage::Free { .. } if block.size_bits >= 22 => pen.draw(bytes, Use::FreeLarge),
            Usage::Free { .. } if block.size_bits >= 16 => pen.draw(bytes, Use::FreeMedium),
            Usage::Free { .. } => pen.draw(bytes, Use::FreeSmall),
            // It is free, but for a moment.
            Usage::Clearing => pen.draw(bytes, Use::FreeLarge),
            Usage::Objects(batch) => {
                for (_, state) in (0..batch.count).filter_map(|index| batch.object(index)) {
                    pen.draw(1 << batch.size_bits, self.use_of(&batch, state, pen.at));
                }
                pen.draw(block.paddr + bytes - pen.at, Use::Rest);
            }
        }
    }

    fn use_of(&self, batch: &Batch<'_>, state: ObjectState, paddr: usize) -> Use {
        match (state, batch.blueprint) {
            (ObjectState::Gone, _) => Use::Rest,
            (ObjectState::Ready { .. }, _) => Use::Ready,
            (ObjectState::Live, Blueprint::Frame { .. }) if self.is_bookkeeping(paddr) => {
                Use::Bookkeeping
            }
            (ObjectState::Live, Blueprint::Frame { size_bits: 12 }) => Use::Frame,
            (ObjectState::Live, Blueprint::Frame { .. }) => Use::LargeFrame,
            (ObjectState::Live, Blueprint::Table { .. }) => Use::Table,
            (ObjectState::Live, _) => Use::Object,
        }
    }

    fn is_bookkeeping(&self, paddr: usize) -> bool {
        let page = paddr / PAGE;
        self.bookkeeping[page / 32] >> (page % 32) & 1 == 1
    }

    /// Notes where the pages lie that the manager has mapped for itself. The kernel is asked past
    /// the manager, or the calls would be counted as the manager's.
    fn find_bookkeeping(&mut self, vmm: &mut Manager) {
        self.bookkeeping.fill(0);
        let (own, mut at) = (vmm.own_space(), 0);
        while let Ok(Some(region)) = vmm.next_region(own, at) {
            let start = region.range.start().bits();
            at = start + region.range.pages() * PAGE;
            if region.kind != Kind::Bookkeeping {
                continue;
            }
            for address in (start..at).step_by(PAGE) {
                let Ok(Some(mapping)) = vmm.mapping_at(own, address) else { continue };
                let Ok(paddr) = vmm.kernel_mut().page_get_address(mapping.frame) else { continue };
                let page = paddr / PAGE;
                // What was given at boot is part of the image, and not of the allocator's RAM.
                if let Some(word) = self.bookkeeping.get_mut(page / 32) {
                    *word |= 1 << (page % 32);
                }
            }
        }
    }
}

/// Prints square after square.
struct Pen {
    square_bits: u32,
    /// Up to which physical address it is drawn.
    at: usize,
    /// The bytes of the square that is not complete.
    shares: Shares,
    total: Shares,
}

impl Pen {
    fn draw(&mut self, mut bytes: usize, what: Use) {
        self.total[what as usize] += bytes;
        while bytes != 0 {
            let square = 1 << self.square_bits;
            let part = bytes.min(square - self.at % square);
            self.shares[what as usize] += part;
            self.at += part;
            bytes -= part;
            if self.at % square == 0 {
                self.finish_square();
            }
        }
    }

    fn finish_square(&mut self) {
        let mut most = 0;
        for (index, &share) in self.shares.iter().enumerate() {
            if share > self.shares[most] {
                most = index;
            }
        }
        debug_print!("{}", LETTERS[most]);
        self.shares.fill(0);
    }
}
