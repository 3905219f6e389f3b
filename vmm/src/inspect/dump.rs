// SPDX-License-Identifier: BSD-2-Clause
//! An address space, written for a person.

use core::fmt;

use untyped_alloc::{Kernel, Memory, Rights};

use crate::manager::vmm::Vmm;
use crate::state::space::Space;
use crate::types::ids::SpaceId;
use crate::types::region::RegionInfo;

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Writes a space for a person: its regions in order, with the holes between them.
    ///
    /// # Errors
    /// What `out` returns. A space that does not exist is said to not exist.
    pub fn dump(&self, space: SpaceId, out: &mut dyn fmt::Write) -> fmt::Result {
        let Ok(space) = self.space(space) else {
            return writeln!(out, "{space:?}: no such space");
        };
        writeln!(
            out,
            "{:?}: {} pages mapped, {} page tables",
            space.id.get(),
            space.mapped_pages.get(),
            space.shadow.borrow().len()
        )?;
        let mut end = 0;
        for region in space.regions().iter() {
            let start = region.start().bits();
            if start > end {
                let pages = (start - end) >> self.geometry.page_bits;
                writeln!(out, "  {end:#010x}  … {pages} pages free")?;
            }
            end = start;
            let spec = region.spec();
            if region.is_start() {
                let (pages, name) = (spec.pages, spec.name);
                writeln!(out, "  {start:#010x}  [  {pages:4} pages reserved  {name:?}")?;
            } else if region.is_edge() {
                writeln!(out, "  {start:#010x}  ]  end of {:?}", spec.name)?;
            } else if let Some(info) = self.describe(space, region) {
                self.dump_region(space, &info, out)?;
                end = info.range.end();
            }
        }
        let pages = (self.geometry.user_end - end) >> self.geometry.page_bits;
        writeln!(out, "  {end:#010x}  … {pages} pages free")
    }

    fn dump_region(
        &self,
        space: &Space<'p>,
        info: &RegionInfo,
        out: &mut dyn fmt::Write,
    ) -> fmt::Result {
        let right = |right, letter| {
            if info.rights.contains(right) {
                letter
            } else {
                '-'
            }
        };
        let mapped = self.mapped_in(space, info.range);
        write!(
            out,
            "  {:#010x}  {}{}{} {:4} pages, {mapped} mapped",
            info.range.start().bits(),
            right(Rights::READ, 'r'),
            right(Rights::WRITE, 'w'),
            right(Rights::EXECUTE, 'x'),
            info.range.pages(),
        )?;
        if info.guard_below + info.guard_above != 0 {
            write!(out, ", guards {}+{}", info.guard_below, info.guard_above)?;
        }
        writeln!(out, "  {:?} {:?}", info.kind, info.name)
    }
}
