// SPDX-License-Identifier: BSD-2-Clause
//! Page faults: classified by a pure function, resolved, or reported for a person to read.
//!
//! ```text
//!   the kernel's message ──► PageFault ──► classify(region, page, access) ──► FaultClass
//!                                                                               │
//!        resolved: demand-zero, stack growth, copy-on-write, mapped meanwhile ◄─┤
//!        handed on: a pager outside                                           ◄─┤
//!        reported: guard, rights, nothing there                               ◄─┘
//! ```

use core::fmt;

use untyped_alloc::{Kernel, Memory};

use crate::manager::vmm::Vmm;
use crate::types::error::Result;
use crate::types::fault::{Access, FaultClass, PageFault};
use crate::types::ids::SpaceId;
use crate::types::region::Kind;
use crate::types::region::{Escaped, RegionInfo, ARENA_NAME, MAIN_STACK_NAME};
use crate::types::thread::ThreadInfo;

/// A fault for a person: who, where, what, and what lies near.
#[derive(Clone, Copy, Debug)]
pub struct FaultReport<'n> {
    /// The thread's name.
    pub thread: &'n str,
    /// The fault.
    pub fault: PageFault,
    /// What it is.
    pub class: FaultClass,
    /// The region that covers the address, guards included.
    pub here: Option<RegionInfo>,
    /// The next region below.
    pub below: Option<RegionInfo>,
    /// The next region above.
    pub above: Option<RegionInfo>,
    /// How many bytes the address lies below address 0, round the end of the address space, if that
    /// is at most 64 KiB: there a thread whose thread pointer is 0 looks for its variables.
    pub below_zero: Option<usize>,
    /// How many low bits of the address the kernel tells, where it does not tell all.
    pub told_bits: Option<u32>,
}

/// The most bytes of thread-local storage that are thought of below a thread pointer.
const TLS_BYTES: usize = 64 * 1024;

/// For a person: what, where, and what lies near.
///
/// ```text
/// worker-3: page fault, writing 0x1effc, instruction at 0x804900a
///   0x1effc is 4 bytes below the stack of worker-3: its guard
///   below: heap 0x10000..0x18000, 28668 bytes away
/// ```
impl fmt::Display for FaultReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PageFault { address, access, ip, .. } = self.fault;
        let doing = match access {
            Access::Read => "reading",
            Access::Write => "writing",
            Access::Execute => "executing",
        };
        writeln!(
            f,
            "{}: page fault, {doing} {address:#x}, instruction at {ip:#x}",
            Escaped(self.thread)
        )?;
        write!(f, "  {address:#x} ")?;
        self.say_where(f)?;
        if let Some(bits) = self.told_bits {
            writeln!(f, "  these are the low {bits} bits of an address: the kernel tells no more")?;
        }
        for (side, region) in [("below", &self.below), ("above", &self.above)] {
            let Some(region) = region else { continue };
            let (start, end) = (region.range.start().bits(), region.range.end());
            let distance = address.saturating_sub(end).max(start.saturating_sub(address));
            let called = Called(region);
            writeln!(f, "  {side}: {called} {}, {distance} bytes away", region.range)?;
        }
        Ok(())
    }
}

impl FaultReport<'_> {
    fn say_where(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.fault.address;
        let Some(region) = &self.here else {
            return match (self.class, self.below_zero) {
                (FaultClass::OutsideUserSpace, Some(bytes)) => writeln!(
                    f,
                    "is the kernel's, {bytes} bytes below 0: \
                     thread-local storage of a thread that has none"
                ),
                (FaultClass::OutsideUserSpace, None) => writeln!(f, "is the kernel's"),
                _ => writeln!(f, "belongs to nobody"),
            };
        };
        let called = Called(region);
        let page_bytes = (region.range.end() - region.range.start().bits()) / region.range.pages();
        let first = region.range.start().bits() + region.guard_below * page_bytes;
        let end = region.range.end() - region.guard_above * page_bytes;
        match self.class {
            FaultClass::Guard if region.range.start().bits() == 0 => {
                writeln!(f, "is in the page of the null pointer")
            }
            FaultClass::Guard if address < first => {
                writeln!(f, "is {} bytes below {called}: its guard", first - address)
            }
            FaultClass::Guard if address < end => {
                writeln!(f, "is in {called}, where none is: a guard")
            }
            FaultClass::Guard => {
                writeln!(f, "is {} bytes past the end of {called}: its guard", address - end)
            }
            FaultClass::BeyondRights => writeln!(f, "is in {called}, which does not allow it"),
            FaultClass::NotPopulated => writeln!(f, "is in {called}, with nothing mapped there"),
            FaultClass::Pager { .. } => writeln!(f, "is in {called}, whose pages a pager supplies"),
            FaultClass::Recorded if self.told_bits.is_some() => {
                writeln!(f, "is in {called}, which allows it: another address was touched")
            }
            class => writeln!(f, "is in {called}: {class:?}"),
        }
    }
}

/// What a person calls a region.
struct Called<'r>(&'r RegionInfo);

impl fmt::Display for Called<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.name.as_str();
        match (self.0.kind, name) {
            (Kind::Stack, "") => f.write_str("a stack"),
            (Kind::Stack, name) => write!(f, "the stack of {}", Escaped(name)),
            (Kind::IpcBuffer, "") => f.write_str("an IPC buffer"),
            (Kind::IpcBuffer, ARENA_NAME) => write!(f, "the {ARENA_NAME}"),
            (Kind::IpcBuffer, name) => write!(f, "the IPC buffer of {}", Escaped(name)),
            (Kind::Boot, MAIN_STACK_NAME) => write!(f, "the {MAIN_STACK_NAME}"),
            (_, "") => f.write_str("a region without a name"),
            (_, name) => Escaped(name).fmt(f),
        }
    }
}

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// The report of a registered thread's fault, for a person. `name` is from
    /// [`ThreadInfo::name`].
    ///
    /// # Errors
    /// [`crate::Error::NoSuchSpace`].
    pub fn report_thread_fault<'n>(
        &self,
        thread: &'n ThreadInfo,
        fault: PageFault,
    ) -> Result<FaultReport<'n>> {
        self.report_fault(thread.space, fault, thread.name.as_str())
    }

    /// What a person needs to know about a fault that cannot be resolved. `thread` is a name.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchSpace`].
    pub fn report_fault<'n>(
        &self,
        space: SpaceId,
        fault: PageFault,
        thread: &'n str,
    ) -> Result<FaultReport<'n>> {
        let class = self.classify_fault(space, &fault)?;
        // Of the kernel's part there is no region: all of them lie below.
        let last = self.geometry.user_end - 1;
        let (address, in_user_space) = (fault.address.min(last), fault.address <= last);
        let here = self.region_at(space, address)?.filter(|_| in_user_space);
        let node = self.space(space)?;
        let next = |at: usize| self.next_region(space, at).ok().flatten();
        let above = match here {
            Some(region) => next(region.range.end()),
            None => next(address).filter(|_| in_user_space),
        };
        let below = {
            let regions = node.regions();
            let start = here.map_or(address, |region| region.range.start().bits());
            let start = self.geometry.address(start)?;
            regions.before(start).and_then(|region| self.describe(node, region))
        };
        let word_bits = u32::from(self.alloc.sizes().word_bits);
        let below_zero = fault.address.wrapping_neg() & (usize::MAX >> (usize::BITS - word_bits));
        let below_zero = (1..=TLS_BYTES).contains(&below_zero).then_some(below_zero);
        let told_bits =
            (!self.geometry.tells_all_faults()).then(|| self.geometry.fault_end.trailing_zeros());
        Ok(FaultReport { thread, fault, class, here, below, above, below_zero, told_bits })
    }
}
