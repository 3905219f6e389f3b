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

use page_tables::VirtAddr;
use untyped_alloc::{Invocation, Kernel, KernelError, Memory, Rights};

use crate::error::{Error, Result};
use crate::ids::SpaceId;
use crate::ipc_buffer::ARENA_NAME;
use crate::query::{Mapping, RegionInfo};
use crate::region::{Backing, Kind};
use crate::space::Space;
use crate::vmm::Vmm;

/// What a thread was doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Fetching an instruction.
    Execute,
}

impl Access {
    /// The rights a page must have for it.
    #[inline]
    pub(crate) fn needs(self) -> Rights {
        match self {
            // The kernel maps what may be written but not read for nobody.
            Access::Write => Rights::READ_WRITE,
            // Without a no-execute attribute, what can be read can be run.
            Access::Read | Access::Execute => Rights::READ,
        }
    }
}

/// A page fault, as the kernel's message tells it (manual, "Virtual Memory Faults").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageFault {
    /// The address that was touched, in bytes.
    pub address: usize,
    /// How.
    pub access: Access,
    /// Whether a page was mapped there, and only its rights forbade it.
    pub present: bool,
    /// The instruction's address.
    pub ip: usize,
}

impl PageFault {
    /// From the words of the message: instruction pointer, address, whether it was a fetch, and the
    /// fault status register: on x86 the page-fault error code (bit 0 present, 1 write, 4 fetch).
    pub fn from_x86_words(ip: usize, address: usize, prefetch: usize, fsr: usize) -> PageFault {
        let access = match (prefetch != 0 || fsr & 16 != 0, fsr & 2 != 0) {
            (true, _) => Access::Execute,
            (false, true) => Access::Write,
            (false, false) => Access::Read,
        };
        PageFault { address, access, present: fsr & 1 != 0, ip }
    }
}

/// What a page fault is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultClass {
    /// The first touch of memory that is mapped on demand.
    DemandZero {
        /// Pages to be mapped at the most.
        around: u8,
    },
    /// The same, for a stack that grows.
    StackGrowth {
        /// Pages to be mapped at the most.
        around: u8,
    },
    /// The first write to a page that is shared copy-on-write.
    CopyOnWrite,
    /// The page is recorded with the rights for it: mapped since by another fault, or its mapping
    /// was refused before. Mapping it (again) resolves the fault.
    Recorded,
    /// Memory that a pager outside provides.
    Pager {
        /// What the pager knows the region by.
        token: u32,
    },
    /// A guard page: a stack overflow, or an access past the end.
    Guard,
    /// The page or region does not allow it.
    BeyondRights,
    /// Addresses that are reserved and have nothing mapped.
    NotPopulated,
    /// Addresses that belong to nobody.
    NoRegion,
    /// The program's image or what else the kernel mapped at boot, used otherwise than it allows.
    Boot,
    /// An address outside user space.
    OutsideUserSpace,
}

/// Which class a fault at `address` is. Pure: what it depends on is all in its arguments.
///
/// `region` covers the address, `page` is mapped there; both as far as the manager knows. `in_user`
/// says whether the address lies in user space.
pub fn classify(
    address: usize,
    access: Access,
    region: Option<&RegionInfo>,
    page: Option<&Mapping>,
    page_bytes: usize,
    in_user: bool,
) -> FaultClass {
    if !in_user {
        return FaultClass::OutsideUserSpace;
    }
    let Some(region) = region else { return FaultClass::NoRegion };
    let first = region.range.start().bits() + region.guard_below * page_bytes;
    let end = region.range.end() - region.guard_above * page_bytes;
    if address < first || address >= end {
        return FaultClass::Guard;
    }
    match region.kind {
        Kind::Boot => return FaultClass::Boot,
        // Given up by its owner, and only not let go by the kernel yet.
        Kind::Quarantine => return FaultClass::NoRegion,
        _ => {}
    }
    let needed = access.needs();
    if let Some(page) = page {
        return match (page.rights.contains(needed), access) {
            (false, _) => FaultClass::BeyondRights,
            (true, Access::Write) if page.copy_on_write => FaultClass::CopyOnWrite,
            (true, _) => FaultClass::Recorded,
        };
    }
    if region.kind == Kind::IpcBuffer {
        // Between two buffers, or where one was.
        return FaultClass::Guard;
    }
    if !region.rights.contains(needed) {
        return FaultClass::BeyondRights;
    }
    match (region.backing, region.kind) {
        (Backing::OnDemand { around }, Kind::Stack) => FaultClass::StackGrowth { around },
        (Backing::OnDemand { around }, _) => FaultClass::DemandZero { around },
        (Backing::Pager { token }, _) => FaultClass::Pager { token },
        (Backing::Explicit, _) => FaultClass::NotPopulated,
    }
}

/// What became of a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resolution {
    /// The thread can go on: reply to it.
    Resolved(FaultClass),
    /// A pager is to provide the page first.
    AskPager {
        /// What the pager knows the region by.
        token: u32,
        /// The page's number in the region, guards not counted.
        page: usize,
    },
    /// Nothing can be done: the thread must not go on as if nothing had happened.
    Unresolved(FaultClass),
}

impl<'p, K: Kernel + Memory<'p>> Vmm<'p, K> {
    /// Which class a fault in a space is. O(log regions); no kernel call.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchSpace`].
    pub fn classify_fault(&self, space: SpaceId, fault: &PageFault) -> Result<FaultClass> {
        let Ok(address) = self.geometry.address(fault.address) else {
            self.space(space)?;
            return Ok(FaultClass::OutsideUserSpace);
        };
        let region = self.region_at(space, address.bits())?;
        let page = self.mapping_at(space, address.bits())?;
        let page_bytes = self.geometry.page_bytes();
        Ok(classify(fault.address, fault.access, region.as_ref(), page.as_ref(), page_bytes, true))
    }

    /// Resolves a fault in a space if that can be done: after [`Resolution::Resolved`] the thread
    /// is to be answered, and repeats its instruction.
    ///
    /// Cost: mapping the pages, or what [`Vmm::clone_region`] says of a first write.
    ///
    /// # Errors
    /// [`crate::Error::Allocator`] when memory is out: the same fault can be resolved later.
    pub fn resolve_fault(&mut self, space: SpaceId, fault: &PageFault) -> Result<Resolution> {
        if let Some(class) = self.touch_next(space, fault) {
            return Ok(Resolution::Resolved(class));
        }
        match self.first_touch(space, fault) {
            Some(resolved) => resolved.map(Resolution::Resolved),
            None => self.resolve_classified(space, fault),
        }
    }

    fn resolve_classified(&mut self, space: SpaceId, fault: &PageFault) -> Result<Resolution> {
        let class = self.classify_fault(space, fault)?;
        let Ok(address) = self.geometry.address(fault.address) else {
            return Ok(Resolution::Unresolved(class));
        };
        let node = self.space(space)?;
        match class {
            FaultClass::DemandZero { around } | FaultClass::StackGrowth { around } => {
                self.fill(node, address, usize::from(around))?;
            }
            FaultClass::CopyOnWrite => {
                self.refill()?;
                self.break_cow(node, address.align_down(self.geometry.page_bits))?;
            }
            FaultClass::Recorded => self.map_recorded(node, address)?,
            FaultClass::Pager { token } => {
                let region = self.region_at(space, address.bits())?;
                let start = region.map_or(0, |region| {
                    region.range.start().bits() + (region.guard_below << self.geometry.page_bits)
                });
                let page = (address.bits() - start) >> self.geometry.page_bits;
                return Ok(Resolution::AskPager { token, page });
            }
            _ => return Ok(Resolution::Unresolved(class)),
        }
        Ok(Resolution::Resolved(class))
    }

    /// Gives a page that is recorded as mapped its mapping or its rights again: the kernel refused
    /// them before, or they are there since another fault was answered.
    fn map_recorded(&mut self, space: &'p Space<'p>, address: VirtAddr) -> Result {
        let run = space.runs.borrow().at(address);
        let Some(run) = run else { return Ok(()) };
        let piece = run.part(run.index_of(address), 1);
        let (frame, start, cache) = (piece.frames.first, piece.start.bits(), piece.cache);
        let (vspace, rights) = (space.root.get(), piece.mapped_rights());
        // As a rule it is mapped by now: several threads touched it before the first was answered.
        match self.kernel.page_remap(frame, vspace, start, rights, cache) {
            // It is not mapped (any more).
            Err(KernelError::IllegalOperation) => {}
            remapped => return remapped.map_err(Error::kernel(Invocation::PageRemap)),
        }
        let mapped = self.kernel.page_map(frame, vspace, start, rights, cache);
        mapped.map_err(Error::kernel(Invocation::PageMap))
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
        let address = fault.address.min(self.geometry.user_end - 1);
        let here = self.region_at(space, address)?;
        let node = self.space(space)?;
        let next = |at: usize| self.next_region(space, at).ok().flatten();
        let above = match here {
            Some(region) => next(region.range.end()),
            None => next(address),
        };
        let below = {
            let regions = node.regions.borrow();
            let start = here.map_or(address, |region| region.range.start().bits());
            let start = self.geometry.address(start)?;
            regions.before(start).and_then(|region| self.describe(node, region))
        };
        Ok(FaultReport { thread, fault, class, here, below, above })
    }
}

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
}

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
        writeln!(f, "{}: page fault, {doing} {address:#x}, instruction at {ip:#x}", self.thread)?;
        write!(f, "  {address:#x} ")?;
        self.say_where(f)?;
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
            return match self.class {
                FaultClass::OutsideUserSpace => writeln!(f, "is the kernel's"),
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
            (Kind::Stack, name) => write!(f, "the stack of {name}"),
            (Kind::IpcBuffer, "") => f.write_str("an IPC buffer"),
            (Kind::IpcBuffer, ARENA_NAME) => write!(f, "the {ARENA_NAME}"),
            (Kind::IpcBuffer, name) => write!(f, "the IPC buffer of {name}"),
            (_, "") => f.write_str("a region without a name"),
            (_, name) => f.write_str(name),
        }
    }
}
