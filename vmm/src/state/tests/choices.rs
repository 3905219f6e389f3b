// SPDX-License-Identifier: BSD-2-Clause
//! Bytes as a source of decisions.
//!
//! Every byte decides one small thing, so that a mutation of the bytes changes one decision and
//! leaves the others as they were. Past the end every decision is the first choice.

use page_tables::{Geometry, VirtAddr};

/// The bytes of a page.
pub(super) const PAGE: usize = 1 << 12;

/// What is left of the bytes.
pub(super) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub fn new(data: &'a [u8]) -> Choices<'a> {
        Choices(data)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A number below `end`, or 0 if that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(first) % end.max(1)
    }

    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// True once in `n`, and never past the end.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    /// The numbers below `count`, each once, in an order that the bytes say: a look-up may change
    /// what the next one begins with, so who comes first matters.
    pub fn order(&mut self, count: usize) -> impl Iterator<Item = usize> + use<> {
        let first = self.below(count);
        let mut stride = 1 + self.below(count);
        while common_divisor(stride, count) != 1 {
            stride += 1;
        }
        (0..count).map(move |index| (first + index * stride) % count)
    }
}

fn common_divisor(a: usize, b: usize) -> usize {
    if b == 0 {
        a
    } else {
        common_divisor(b, a % b)
    }
}

/// The architectures that this machine can count the addresses of.
pub(super) const GEOMETRIES: &[Geometry] = &[
    Geometry::IA32,
    #[cfg(target_pointer_width = "64")]
    Geometry::X86_64,
];

/// An address from a number.
pub(super) fn address(bits: usize) -> VirtAddr {
    VirtAddr::default().checked_add(bits).unwrap()
}
