// SPDX-License-Identifier: BSD-2-Clause
//! Telling states apart.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::kernel::ModelKernel;

impl ModelKernel<'_> {
    /// A number that stands for the state of the kernel and of the memory below it: every
    /// capability and its place in the order of derivation, every thread, and what was written to
    /// memory. What page tables hold follows from the capabilities.
    ///
    /// The same for equal states, and different for different ones but by a rare accident.
    pub fn fingerprint(&self) -> u64 {
        let of = |value: &dyn Fn(&mut DefaultHasher)| {
            let mut hash = DefaultHasher::new();
            value(&mut hash);
            hash.finish()
        };
        let slots = self.slots.occupied().map(|(id, slot)| {
            of(&|hash| (id, slot.cap, slot.prev, slot.next, slot.revocable).hash(hash))
        });
        let threads = self.tcbs.iter().map(|thread| of(&|hash| format!("{thread:?}").hash(hash)));
        let pages = self.contents.pages().map(|page| of(&|hash| page.hash(hash)));
        // In no order, so that the sum must not depend on it.
        slots.chain(threads).chain(pages).fold(0, u64::wrapping_add)
    }
}
