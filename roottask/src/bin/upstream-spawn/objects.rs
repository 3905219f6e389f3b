// SPDX-License-Identifier: BSD-2-Clause
//! Kernel objects, one behind the other out of one untyped.

use core::ops::Range;

use sel4::init_thread;

/// The largest untyped of RAM, and the slots that are free.
pub struct Objects {
    slots: Range<usize>,
    untyped: sel4::cap::Untyped,
}

impl Objects {
    /// With all empty slots but the first `taken`.
    pub fn new(bootinfo: &sel4::BootInfo, taken: usize) -> Self {
        let empty = bootinfo.empty().range();
        let (index, _) = bootinfo
            .untyped_list()
            .iter()
            .enumerate()
            .filter(|(_, untyped)| !untyped.is_device())
            .max_by_key(|(_, untyped)| untyped.size_bits())
            .expect("there is RAM");
        let untyped = bootinfo.untyped().index(index).cap();
        Self { slots: empty.start + taken..empty.end, untyped }
    }

    /// An object, by what describes it.
    pub fn make(
        &mut self,
        blueprint: sel4::ObjectBlueprint,
    ) -> sel4::Result<sel4::cap::Unspecified> {
        let slot = self.slots.next().expect("there are free slots");
        let cnode = init_thread::slot::CNODE.cap();
        self.untyped.untyped_retype(&blueprint, &cnode.absolute_cptr_for_self(), slot, 1)?;
        Ok(init_thread::Slot::from_index(slot).cap())
    }

    /// An object of a type whose objects are all of one size.
    pub fn make_fixed<T: sel4::CapTypeForObjectOfFixedSize>(
        &mut self,
    ) -> sel4::Result<sel4::Cap<T>> {
        Ok(self.make(T::object_blueprint())?.cast())
    }

    /// An object of 2^`size_bits` units of its type.
    pub fn make_sized<T: sel4::CapTypeForObjectOfVariableSize>(
        &mut self,
        size_bits: usize,
    ) -> sel4::Result<sel4::Cap<T>> {
        Ok(self.make(T::object_blueprint(size_bits))?.cast())
    }
}
