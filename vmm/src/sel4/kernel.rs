// SPDX-License-Identifier: BSD-2-Clause
//! The adapter: the seam's two traits on the `sel4` bindings, and the way from `sel4::BootInfo` to
//! a running manager. The one module of the memory crates with `unsafe` of its own.
//!
//! It keeps to names that our `sel4` crate and upstream's have in common. What kernels and bindings
//! spell apart is in `bindings/`.

use core::cell::UnsafeCell;
use core::mem::{align_of, size_of};
use core::ops::Range;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sel4::init_thread::slot;
use sel4::{
    cap, cap_type, AbsoluteCPtr, CNodeCapData, CapRights, FrameObjectType, ObjectBlueprint,
    TranslationTableObjectType, VmAttributes,
};
use untyped_alloc::Error as AllocatorError;
use untyped_alloc::{
    Blueprint, CPtr, CSpaceInfo, CachePolicy, CapPath, Kernel, KernelError, KernelResult, Memory,
    Rights, UntypedInfo,
};

use super::arch::symbol_address;
use super::architecture::{ARCHITECTURE, DEFAULT_POOL_PAGES};
use super::bindings;
use super::options::StartOptions;
use super::own_threads;
use super::pacer::{Call, PacedCalls};
use super::slices::{self, LongCalls};
use crate::manager::vmm::Vmm;
use crate::types::boot::BootInfo;
use crate::types::error::{Error, Result};

/// The kernel beneath this program.
#[derive(Debug)]
pub struct Sel4 {
    /// Where a pacer counts time. Asked after each call that can be preempted, and after those that
    /// give pages back or change them; a request that maps is asked where its frames are made.
    pub(super) long_calls: Option<LongCalls>,
    /// Who makes calls that clear much, beside which others run.
    pub(super) paced_calls: Option<PacedCalls>,
}

impl Sel4 {
    /// The kernel, for a program that makes invocations of the seam's by itself. A manager has its
    /// own, from [`start`].
    ///
    /// # Safety
    /// What is invoked through it must leave alone whatever other code of the program relies on:
    /// memory that is unmapped, retyped or written through it must be nobody else's.
    pub const unsafe fn new() -> Sel4 {
        Sel4 { long_calls: None, paced_calls: None }
    }
}

/// Book-keeping memory in the program's image: `PAGES` pages that the manager starts with; the
/// default is the least that is enough.
#[repr(C, align(4096))]
pub struct BootPool<const PAGES: usize = DEFAULT_POOL_PAGES> {
    bytes: UnsafeCell<[[u8; 4096]; PAGES]>,
    taken: AtomicBool,
}

// SAFETY: the bytes are reached only through the address range that `take` gives out once.
unsafe impl<const PAGES: usize> Sync for BootPool<PAGES> {}

impl<const PAGES: usize> BootPool<PAGES> {
    /// Clear memory, for a `static`.
    pub const fn new() -> Self {
        BootPool { bytes: UnsafeCell::new([[0; 4096]; PAGES]), taken: AtomicBool::new(false) }
    }

    fn take(&'static self) -> Option<Range<usize>> {
        let start = self.bytes.get() as usize;
        let first = !self.taken.swap(true, Ordering::Relaxed);
        first.then_some(start..start + PAGES * 4096)
    }
}

impl<const PAGES: usize> Default for BootPool<PAGES> {
    fn default() -> Self {
        BootPool::new()
    }
}

/// Where the manager's node for its own space lies, 0 before [`start`]: for debuggers, which find
/// the manager by it (`qemu-scripts/debug.sh`). Nothing else reads it.
#[used]
static OWN_SPACE: AtomicUsize = AtomicUsize::new(0);

/// Whether the boot information has a manager.
static STARTED: AtomicBool = AtomicBool::new(false);

/// The pages of the first thread's stack, the guard first, if the runtime says where they are.
#[allow(unsafe_code)]
fn first_stack() -> Option<Range<usize>> {
    // The runtime's word on it (`StackBounds` of sel4-root-task) lies in a section of its own. The
    // linker defines this symbol where there is one; it is 0 in a program with another runtime.
    let bounds = symbol_address!("__start_sel4_root_task_stack") as *const [usize; 3];
    if bounds.is_null() {
        return None;
    }
    // SAFETY: not null, so the runtime defined it: three addresses that are never written.
    let [guard, bottom, end] = unsafe { *bounds };
    (bottom - guard == FrameObjectType::GRANULE.bytes()).then_some(guard..end)
}

/// Whether nothing but zeros was written to a guard, which is mapped still.
fn is_untouched(guard: Range<usize>) -> bool {
    guard.step_by(size_of::<usize>()).all(|word| {
        // SAFETY: a page of the image that the runtime set aside, and whose words nobody else uses;
        // read as it is in memory, whatever the compiler believes of it.
        unsafe { (word as *const usize).read_volatile() == 0 }
    })
}

/// The most untypeds a boot information of this kernel has.
const MAX_UNTYPEDS: usize = sel4::sel4_cfg_usize!(MAX_NUM_BOOTINFO_UNTYPED_CAPS);

/// Starts a manager of everything the kernel left to this root task, with the options of
/// [`StartOptions::new`]: no kernel call clears more than 2^18 bytes from then on.
///
/// # Errors
/// As [`start_with`].
pub fn start<const PAGES: usize>(
    bootinfo: &sel4::BootInfoPtr,
    pool: &'static BootPool<PAGES>,
) -> Result<Vmm<'static, Sel4>> {
    start_with(bootinfo, pool, &StartOptions::new())
}

/// Starts a manager of everything the kernel left to this root task.
///
/// The pool is its first book-keeping memory; it can be given once. The page below the calling
/// thread's first stack is unmapped, where the program's runtime set one aside for that (as
/// `sel4-root-task` does): an overflow is a fault from then on, which is reported as one at the
/// stack of main.
///
/// # Errors
/// [`Error::BadBootInfo`] when the pool was given before; what [`Vmm::new`] says;
/// [`Error::AlreadyStarted`] for a second manager, and then no kernel call was made.
/// [`Error::StackTooSmall`] where the calling thread's stack has reached its guard already.
/// [`Error::Kernel`].
pub fn start_with<const PAGES: usize>(
    bootinfo: &sel4::BootInfoPtr,
    pool: &'static BootPool<PAGES>,
    options: &StartOptions,
) -> Result<Vmm<'static, Sel4>> {
    let pool = pool.take().ok_or(Error::BadBootInfo(pool as *const _ as usize))?;
    let mut untypeds =
        [UntypedInfo { slot: CPtr::NULL, paddr: 0, size_bits: 0, is_device: false }; MAX_UNTYPEDS];
    let list = bootinfo.untyped_list();
    let known = untypeds.get_mut(..list.len()).ok_or(Error::BadBootInfo(list.len()))?;
    for (index, (entry, desc)) in known.iter_mut().zip(list).enumerate() {
        *entry = UntypedInfo {
            slot: CPtr::new(bootinfo.untyped().start() + index),
            paddr: desc.paddr(),
            size_bits: desc.size_bits() as u8,
            is_device: desc.is_device(),
        };
    }

    let page = FrameObjectType::GRANULE.bytes();
    let ipc_buffer = bootinfo.ipc_buffer() as usize & !(page - 1);
    // The kernel maps the IPC buffer right behind the image, and the boot information behind that.
    let image = ipc_buffer - bootinfo.user_image_frames().len() * page..ipc_buffer;
    let stack = first_stack().filter(|stack| image.start < stack.start && stack.end < image.end);
    let info = bootinfo.ptr() as usize & !(page - 1);
    let end = bootinfo.ptr() as usize + bootinfo.footprint_size();
    let info = info..end.next_multiple_of(page);
    let mapped = [
        ("image", image.clone()),
        ("IPC buffer", ipc_buffer..ipc_buffer + page),
        ("boot info", info.clone()),
    ];

    let paging = bootinfo.inner().userImagePaging;
    let mut tables = [(0, 0, CPtr::NULL); MAX_IMAGE_TABLES];
    let count = image_tables(image.start..info.end, paging.start as usize, &mut tables)
        .filter(|&count| count == (paging.end - paging.start) as usize)
        .ok_or(Error::BadBootInfo((paging.end - paging.start) as usize))?;
    let known_tables = &tables[..count];

    let empty = bootinfo.empty();
    let boot = BootInfo {
        untypeds: known,
        cspace: CSpaceInfo {
            root: slot::CNODE.into(),
            radix_bits: bootinfo.inner().initThreadCNodeSizeBits as u8,
            first_free: empty.start(),
            end_free: empty.end(),
            tcb: slot::TCB.into(),
            vspace: slot::VSPACE.into(),
        },
        vspace: slot::VSPACE.into(),
        asid_pool: slot::ASID_POOL.into(),
        mapped: &mapped,
        stack: stack.clone(),
        tables: known_tables,
        pool,
    };
    let kernel = Sel4 { long_calls: None, paced_calls: None };
    let mut vmm = Vmm::new(kernel, ARCHITECTURE, &boot)?;
    // No kernel call so far. From here on the boot information tells only what was.
    if STARTED.swap(true, Ordering::Relaxed) {
        return Err(Error::AlreadyStarted);
    }
    if let Some(stack) = stack {
        if !is_untouched(stack.start..stack.start + page) {
            return Err(Error::StackTooSmall { bytes: stack.len() - page });
        }
        let guard = bootinfo.user_image_frames().start() + (stack.start - image.start) / page;
        vmm.kernel.page_unmap(CPtr::new(guard))?;
    }
    own_threads::note_buffer(slot::TCB.index(), bootinfo.ipc_buffer() as usize);
    slices::note_ticks_per_us(bindings::counter_mhz(bootinfo));
    vmm.protect_in_place(u8::MAX)?;
    vmm.limit_clearing(options.most_cleared);
    vmm.clear_ahead(options.cleared_at_boot)?;
    if options.direct_map {
        make_direct_map(&mut vmm)?;
    }
    OWN_SPACE.store(ptr::from_ref(vmm.own) as usize, Ordering::Relaxed);
    Ok(vmm)
}

/// Makes a direct map, whatever has to be cleared for it: there is nobody yet who could wait for
/// that.
fn make_direct_map(vmm: &mut Vmm<'static, Sel4>) -> Result {
    loop {
        match vmm.make_direct_map() {
            Err(Error::Allocator(AllocatorError::NeedsClearing { bytes }))
                if vmm.clear(bytes)? != 0 => {}
            made => return made,
        }
    }
}

/// The most paging structures that an image can have: one of 250 MiB on IA32, of 120 on x86_64.
const MAX_IMAGE_TABLES: usize = 64;

/// Fills in the paging structures that the kernel made for the addresses `mapped` (bytes), whose
/// capabilities lie in slots from `first` on: for each level below the root, from above, one for
/// each part of them (create_it_address_space). Returns how many they are, or `None` if they are
/// more than fit.
fn image_tables(
    mapped: Range<usize>,
    first: usize,
    tables: &mut [(u8, usize, CPtr)],
) -> Option<usize> {
    let mut count = 0;
    for (level, shape) in ARCHITECTURE.geometry.levels.iter().enumerate().skip(1) {
        let span = 1 << shape.span_bits();
        let mut start = mapped.start & !(span - 1);
        while start < mapped.end {
            *tables.get_mut(count)? = (level as u8, start, CPtr::new(first + count));
            count += 1;
            start += span;
        }
    }
    Some(count)
}

#[inline]
fn path(path: CapPath) -> AbsoluteCPtr {
    path.root
        .cap::<cap_type::CNode>()
        .absolute_cptr_from_bits_with_depth(path.index as sel4::CPtrBits, usize::from(path.depth))
}

/// The right to grant has that to grant a reply in it, which today's kernels tell apart: messages
/// can be cancelled only by a capability that has both.
#[inline]
fn rights(rights: Rights) -> CapRights {
    CapRights::new(
        rights.contains(Rights::GRANT),
        rights.contains(Rights::GRANT),
        rights.contains(Rights::READ),
        rights.contains(Rights::WRITE),
    )
}

/// The bindings' name for what the seam describes; `InvalidArgument` where there is no such object.
fn blueprint(blueprint: Blueprint) -> KernelResult<ObjectBlueprint> {
    Ok(match blueprint {
        Blueprint::Untyped { size_bits } => {
            ObjectBlueprint::Untyped { size_bits: usize::from(size_bits) }
        }
        Blueprint::Tcb => ObjectBlueprint::Tcb,
        Blueprint::Endpoint => ObjectBlueprint::Endpoint,
        Blueprint::Notification => ObjectBlueprint::Notification,
        Blueprint::CNode { radix_bits } => {
            ObjectBlueprint::CNode { size_bits: usize::from(radix_bits) }
        }
        Blueprint::Frame { size_bits } => FrameObjectType::from_bits(usize::from(size_bits))
            .ok_or(KernelError::InvalidArgument)?
            .blueprint(),
        Blueprint::Table { level } => TranslationTableObjectType::from_level(usize::from(level))
            .ok_or(KernelError::InvalidArgument)?
            .blueprint(),
    })
}

impl Kernel for Sel4 {
    fn untyped_retype(
        &mut self,
        untyped: CPtr,
        what: Blueprint,
        node: CapPath,
        offset: usize,
        count: usize,
    ) -> KernelResult {
        let what = blueprint(what)?;
        let untyped = untyped.cap::<cap_type::Untyped>();
        slices::make(&mut self.long_calls, || {
            untyped.untyped_retype(&what, &path(node), offset, count).map_err(KernelError::from)
        })
    }

    fn untyped_retype_to_clear(
        &mut self,
        untyped: CPtr,
        what: Blueprint,
        node: CapPath,
        offset: usize,
    ) -> KernelResult {
        let made = match (self.paced_calls, what) {
            (Some(paced), Blueprint::Untyped { size_bits }) => {
                paced.make(Call { untyped, size_bits, node, offset })
            }
            _ => None,
        };
        made.unwrap_or_else(|| self.untyped_retype(untyped, what, node, offset, 1))
    }

    fn cnode_copy(&mut self, dst: CapPath, src: CapPath, allowed: Rights) -> KernelResult {
        let done = path(dst).copy(&path(src), rights(allowed)).map_err(KernelError::from);
        slices::after_short(&mut self.long_calls);
        done
    }

    fn cnode_mint_badge(
        &mut self,
        dst: CapPath,
        src: CapPath,
        allowed: Rights,
        badge: usize,
    ) -> KernelResult {
        path(dst).mint(&path(src), rights(allowed), badge as sel4::Badge).map_err(KernelError::from)
    }

    fn cnode_mint_guard(
        &mut self,
        dst: CapPath,
        src: CapPath,
        guard: usize,
        guard_bits: u8,
    ) -> KernelResult {
        let data = CNodeCapData::new(guard as sel4::Word, usize::from(guard_bits));
        path(dst).mint(&path(src), CapRights::all(), data.into_word()).map_err(KernelError::from)
    }

    fn cnode_delete(&mut self, slot: CapPath) -> KernelResult {
        slices::make(&mut self.long_calls, || path(slot).delete().map_err(KernelError::from))
    }

    fn cnode_revoke(&mut self, slot: CapPath) -> KernelResult {
        slices::make(&mut self.long_calls, || path(slot).revoke().map_err(KernelError::from))
    }

    fn cnode_cancel_badged_sends(&mut self, slot: CapPath) -> KernelResult {
        bindings::cancel_badged_sends(path(slot)).map_err(KernelError::from)
    }

    #[inline(always)]
    fn page_map(
        &mut self,
        frame: CPtr,
        vspace: CPtr,
        vaddr: usize,
        allowed: Rights,
        cache: CachePolicy,
    ) -> KernelResult {
        let page = frame.cap::<cap_type::UnspecifiedPage>();
        let done = page
            .frame_map(vspace.cap(), vaddr, rights(allowed), bindings::attributes(cache, allowed))
            .map_err(KernelError::from);
        if done.is_ok() {
            bindings::make_coherent(page, vaddr, allowed, cache);
        }
        done
    }

    #[inline(always)]
    fn page_remap(
        &mut self,
        frame: CPtr,
        vspace: CPtr,
        vaddr: usize,
        allowed: Rights,
        cache: CachePolicy,
    ) -> KernelResult {
        let (rights, attributes) = (rights(allowed), bindings::attributes(cache, allowed));
        let done = bindings::remap(frame.cap(), vspace.cap(), vaddr, rights, attributes);
        if done.is_ok() {
            bindings::make_coherent(frame.cap(), vaddr, allowed, cache);
        }
        slices::after_short(&mut self.long_calls);
        done.map_err(KernelError::from)
    }

    #[inline(always)]
    fn page_unmap(&mut self, frame: CPtr) -> KernelResult {
        let frame = frame.cap::<cap_type::UnspecifiedPage>();
        let done = frame.frame_unmap();
        slices::after_short(&mut self.long_calls);
        done.map_err(KernelError::from)
    }

    fn page_unify(&mut self, frame: CPtr, bytes: usize) {
        bindings::unify(frame.cap(), bytes);
    }

    fn page_get_address(&mut self, frame: CPtr) -> KernelResult<usize> {
        frame.cap::<cap_type::UnspecifiedPage>().frame_get_address().map_err(KernelError::from)
    }

    fn table_map(&mut self, table: CPtr, level: u8, vspace: CPtr, vaddr: usize) -> KernelResult {
        let ty = TranslationTableObjectType::from_level(usize::from(level))
            .ok_or(KernelError::InvalidArgument)?;
        let table: cap::UnspecifiedIntermediateTranslationTable = table.cap();
        table
            .generic_intermediate_translation_table_map(
                ty,
                vspace.cap(),
                vaddr,
                VmAttributes::DEFAULT,
            )
            .map_err(KernelError::from)
    }

    fn table_unmap(&mut self, table: CPtr, level: u8) -> KernelResult {
        let ty = TranslationTableObjectType::from_level(usize::from(level))
            .ok_or(KernelError::InvalidArgument)?;
        bindings::unmap_table(table.cap(), ty).map_err(KernelError::from)
    }

    fn asid_control_make_pool(&mut self, untyped: CPtr, dst: CapPath) -> KernelResult {
        slot::ASID_CONTROL
            .cap()
            .asid_control_make_pool(untyped.cap(), &path(dst))
            .map_err(KernelError::from)
    }

    fn asid_pool_assign(&mut self, pool: CPtr, vspace: CPtr) -> KernelResult {
        pool.cap::<cap_type::AsidPool>().asid_pool_assign(vspace.cap()).map_err(KernelError::from)
    }

    fn tcb_set_ipc_buffer(&mut self, tcb: CPtr, vaddr: usize, frame: CPtr) -> KernelResult {
        bindings::set_ipc_buffer(tcb.cap(), vaddr as sel4::Word, frame.cap())
            .map_err(KernelError::from)
    }

    fn tcb_set_space(
        &mut self,
        tcb: CPtr,
        fault_endpoint: CPtr,
        cspace_root: CPtr,
        vspace: CPtr,
    ) -> KernelResult {
        tcb.cap::<cap_type::Tcb>()
            .tcb_set_space(
                fault_endpoint.into(),
                cspace_root.cap(),
                CNodeCapData::new(0, 0),
                vspace.cap(),
            )
            .map_err(KernelError::from)
    }

    fn tcb_set_priority(&mut self, tcb: CPtr, priority: u8) -> KernelResult {
        // Newer kernels ask whether the authority's maximum covers it: the new thread's own is 0.
        tcb.cap::<cap_type::Tcb>()
            .tcb_set_priority(slot::TCB.cap(), priority.into())
            .map_err(KernelError::from)
    }

    fn tcb_resume(&mut self, tcb: CPtr) -> KernelResult {
        tcb.cap::<cap_type::Tcb>().tcb_resume().map_err(KernelError::from)?;
        // It runs at once if its priority is the higher one, and now if it is the same.
        sel4::r#yield();
        Ok(())
    }

    fn note_own_badge(&mut self, tcb: CPtr, badge: usize) {
        own_threads::note_badge(badge, tcb.bits());
    }

    fn note_own_buffer(&mut self, tcb: CPtr, vaddr: usize) {
        own_threads::note_buffer(tcb.bits(), vaddr);
    }
}

#[allow(unsafe_code)]
impl Memory<'static> for Sel4 {
    fn zero(&mut self, vaddr: usize, bytes: usize) {
        // SAFETY: the manager has just mapped these bytes, writable, at an address of its own that
        // it hands out to nobody (or hands out only after this).
        unsafe { ptr::write_bytes(vaddr as *mut u8, 0, bytes) }
    }

    fn copy(&mut self, dst: usize, src: usize, bytes: usize) {
        // SAFETY: both are mapped at addresses of the manager's own, and do not overlap.
        unsafe { ptr::copy_nonoverlapping(src as *const u8, dst as *mut u8, bytes) }
    }

    fn write(&mut self, vaddr: usize, bytes: &[u8]) {
        // SAFETY: as for `copy`; `bytes` is no part of what the manager maps for a moment.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), vaddr as *mut u8, bytes.len()) }
    }

    fn read(&mut self, vaddr: usize, bytes: &mut [u8]) {
        // SAFETY: as for `write`. Where it is a stack that its thread still writes to, the bytes
        // may be of before or after; any will do.
        unsafe { ptr::copy_nonoverlapping(vaddr as *const u8, bytes.as_mut_ptr(), bytes.len()) }
    }

    fn is_zero(&mut self, vaddr: usize, bytes: usize) -> bool {
        const WORDS: usize = 8;
        (vaddr..vaddr + bytes).step_by(WORDS * size_of::<usize>()).all(|at| {
            let at = at as *const usize;
            // SAFETY: as for `read`; the bytes are whole pages, and a thread may still write to
            // them: so each word is read once, as it is then.
            let words = (0..WORDS).map(|word| unsafe { at.add(word).read_volatile() });
            words.fold(0, |all, word| all | word) == 0
        })
    }

    fn adopt<T: Default + 'static>(&mut self, vaddr: usize) -> &'static [T] {
        const { assert!(size_of::<T>() != 0 && align_of::<T>() <= 4096) };
        let count = 4096 / size_of::<T>();
        let first = vaddr as *mut T;
        for index in 0..count {
            // SAFETY: the page at `vaddr` is mapped, writable, page-aligned and used by nothing
            // else, now or later; `count` values of `T` fit in it.
            unsafe { first.add(index).write(T::default()) };
        }
        // SAFETY: as above, and all `count` values are initialised now. The page stays mapped.
        unsafe { core::slice::from_raw_parts(first, count) }
    }
}
