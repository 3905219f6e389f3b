// SPDX-License-Identifier: BSD-2-Clause
//! The pattern: written through one mapping, read through another.
//!
//! A stamp is one word. Where in its page it lies depends on its value, so that a frame shows which
//! stamps it has had. A page without a stamp is clear. Pages of other spaces are written and read
//! by sharing them with our own for a moment, and read by cloning them to it as well.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use roottask::{check_eq, Manager, Outcome};
use vmm::{Pages, RegionOptions, Rights, ShareOptions};

use super::stress::Stress;
use crate::measure::Kind;
use crate::model::{Page, PAGE};

/// Where in a page a stamp lies.
fn place(stamp: u32) -> usize {
    ((stamp >> 1) as usize * 4) % PAGE
}

/// Reads a word that is mapped readable in our own space.
pub fn word(address: usize) -> u32 {
    // SAFETY: callers pass addresses of regions that the manager mapped for the stress run,
    // readable and not under copy-on-write, and that nothing in Rust's view of memory lies in.
    unsafe { (address as *const u32).read_volatile() }
}

/// Writes a word that is mapped writable in our own space.
pub fn set_word(address: usize, value: u32) {
    // SAFETY: as `word`, and writable.
    unsafe { (address as *mut u32).write_volatile(value) }
}

/// Puts a stamp in a page of our own space.
pub fn stamp_page(address: usize, stamp: u32) {
    set_word(address + place(stamp), stamp);
}

/// What pages hold that have these stamps; 0 stands for none.
pub fn stamped_pages(stamps: &[u32]) -> Vec<u8> {
    let mut bytes = vec![0; stamps.len() * PAGE];
    for (page, &stamp) in bytes.chunks_exact_mut(PAGE).zip(stamps) {
        page[place(stamp)..][..4].copy_from_slice(&stamp.to_le_bytes());
    }
    bytes
}

/// Looks for the stamp in a page that is mapped readable in our own space.
pub fn check_page(address: usize, stamp: u32) -> Outcome {
    match stamp {
        0 => check_clear(address),
        stamp => {
            check_eq!(word(address + place(stamp)), stamp);
            Ok(())
        }
    }
}

/// Looks at some words of a page that is to be clear: the first, the last, and others that differ
/// from page to page.
fn check_clear(address: usize) -> Outcome {
    check_eq!(word(address), 0);
    check_eq!(word(address + PAGE - 4), 0);
    let step = 4 * (61 + (address / PAGE) % 64);
    for offset in (step..PAGE).step_by(step) {
        check_eq!(word(address + offset), 0);
    }
    Ok(())
}

impl Stress {
    /// Writes a new stamp to a page that is mapped.
    pub fn write_page(&mut self, area: usize, page: usize) -> Outcome {
        let stamp = self.random.stamp();
        let area = &self.expected.areas[area];
        let (space, address) = (area.space(), area.address(page));
        let Some(holder) = area.pages[page].clone() else { return Ok(()) };
        let own = self.expected.own();
        if space == own && holder.rights.contains(Rights::READ_WRITE) {
            stamp_page(address, stamp);
        } else {
            let options = ShareOptions::new().named("pen");
            let share = |vmm: &mut Manager| vmm.share(space, Pages::at(address), own, &options);
            let Some(pen) = self.attempt(Kind::Share, share)? else { return Ok(()) };
            stamp_page(pen.start().bits(), stamp);
            self.must(Kind::Release, |vmm| vmm.release(pen))?;
        }
        holder.stamp.set(stamp);
        Ok(())
    }

    /// Checks what is in a part of an area, all of whose pages are mapped.
    pub fn check_part(&mut self, index: usize, part: Range<usize>) -> Outcome {
        let own = self.expected.own();
        let area = &self.expected.areas[index];
        let readable = |page: &Page| page.rights.contains(Rights::READ);
        if area.space() == own && area.pages[part.clone()].iter().flatten().all(readable) {
            let first = area.address(part.start);
            return check_pages(first, &area.stamps(part));
        }
        // A clone leaves copy-on-write as it is, and shows all of the area.
        if area.space() != own && !area.is_shared() && self.random.once_in(2) {
            return self.check_by_clone(index);
        }
        let (space, start) = (area.space(), area.address(part.start));
        let (pages, stamps) = (part.len(), area.stamps(part));
        let options = ShareOptions::new().named("look").rights(Rights::READ);
        let shared = self.attempt(Kind::Share, |vmm| {
            vmm.share(space, Pages::at(start).count(pages), own, &options)
        })?;
        let Some(shared) = shared else { return Ok(()) };
        check_pages(shared.start().bits(), &stamps)?;
        self.must(Kind::Release, |vmm| vmm.release(shared))
    }

    fn check_by_clone(&mut self, index: usize) -> Outcome {
        let own = self.expected.own();
        let area = &self.expected.areas[index];
        let id = area.id;
        let offset = area.first - id.start().bits();
        let options = RegionOptions::new(1);
        let clone =
            self.attempt(Kind::CloneRegion, |vmm| vmm.clone_region(id, own, options.placement()))?;
        let Some(clone) = clone else { return Ok(()) };
        let area = &self.expected.areas[index];
        let first = clone.start().bits() + offset;
        for (number, page) in area.pages.iter().enumerate() {
            let Some(page) = page else { continue };
            if page.rights.contains(Rights::READ) {
                check_page(first + number * PAGE, page.stamp.get())?;
            }
        }
        self.must(Kind::Release, |vmm| vmm.release(clone))
    }

    /// Checks what is in an area.
    pub fn check_area(&mut self, index: usize) -> Outcome {
        let mut page = 0;
        while page < self.expected.areas[index].pages.len() {
            let extent = self.expected.areas[index].extent_around(page);
            page = extent.end;
            if self.expected.areas[index].pages[extent.start].is_some() {
                self.check_part(index, extent)?;
            }
        }
        Ok(())
    }
}

fn check_pages(first: usize, stamps: &[u32]) -> Outcome {
    for (index, &stamp) in stamps.iter().enumerate() {
        check_page(first + index * PAGE, stamp)?;
    }
    Ok(())
}
