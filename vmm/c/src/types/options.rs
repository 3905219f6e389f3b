// SPDX-License-Identifier: BSD-2-Clause
//! What a caller asks for: read, and checked, before the manager is asked.

use core::ffi::{c_char, c_int, c_void};
use core::ptr::null;

use untyped_alloc::{Blueprint, CachePolicy, Rights};
use vmm::{Backing, PageSize, RegionOptions, StackOptions};

use super::size_t;
use crate::types::code::vmm_code_t::{self, *};

/// Pages may be read.
pub const VMM_READ: u32 = 1;
/// Pages may be written, and so also read.
pub const VMM_WRITE: u32 = 2;
/// Pages may not be touched. Alone, since 0 stands for what is usual.
pub const VMM_NO_ACCESS: u32 = 4;
/// Pages may be run, and so also read. Without it no instruction is fetched from them, where the
/// processor and the kernel can forbid that; x86 as seL4 5.0.0 uses it cannot.
pub const VMM_EXECUTE: u32 = 8;

/// How pages are cached.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum vmm_cache_t {
    /// As ordinary memory.
    VMM_WRITE_BACK = 0,
    /// Writes go through to memory at once.
    VMM_WRITE_THROUGH = 1,
    /// Not at all: for the registers of devices.
    VMM_UNCACHED = 2,
    /// Writes are gathered: for frame buffers.
    VMM_WRITE_COMBINING = 3,
}

/// The kinds of kernel objects.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum vmm_kind_t {
    /// A thread control block.
    VMM_TCB = 1,
    /// An endpoint.
    VMM_ENDPOINT = 2,
    /// A notification.
    VMM_NOTIFICATION = 3,
    /// A CNode of 2^bits slots; bits is 1 or more.
    VMM_CNODE = 4,
    /// A frame of 2^bits bytes: 12 or 22 on IA32, 12 or 21 on x86_64.
    VMM_FRAME = 5,
    /// Untyped memory of 2^bits bytes: 4 to 29 on IA32, to 47 on x86_64.
    VMM_UNTYPED = 6,
}

/// What a region is to be. All zero but `pages`: anywhere, readable and writable, without guards.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct vmm_map_options_t {
    /// How many pages of 4096 bytes, guard pages not counted; 1 or more.
    pub pages: size_t,
    /// Where its first page behind the guard below is to be, in bytes, a multiple of 4096; 0 for
    /// anywhere.
    pub address: usize,
    /// A name for people, of which the first 15 bytes count; or NULL.
    pub name: *const c_char,
    /// What its pages may be used for: VMM_READ, VMM_WRITE and VMM_EXECUTE, or VMM_NO_ACCESS; 0 for
    /// reading and writing.
    pub rights: u32,
    /// The most that its pages may ever be used for, as `rights`; 0 for reading and writing, and
    /// executing if `rights` has that.
    pub ceiling: u32,
    /// How its pages are cached: a vmm_cache_t.
    pub cache: c_int,
    /// Guard pages below, which are never mapped: 0 to 65535.
    pub guard_below: u16,
    /// Guard pages above.
    pub guard_above: u16,
    /// Its alignment: to 2^align_bits bytes; 0 for that of a page.
    pub align_bits: u8,
    /// The size of its pages: 0 or 12 for pages of 4096 bytes; 22 on IA32 and 21 on x86_64 for
    /// large ones, of which `address` and `pages` must be multiples.
    pub page_bits: u8,
    /// For vmm_reserve: how many pages are mapped when one of them is touched, 1 to 16, rounded
    /// down to a power of two. 0: none, a touch is a fault that is reported.
    pub on_demand: u8,
}

/// What a stack is to be. All zero but `pages`: mapped at once, with one guard page below.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct vmm_stack_options_t {
    /// How many pages of 4096 bytes, guard pages not counted; 1 or more.
    pub pages: size_t,
    /// A name for people, of which the first 15 bytes count; or NULL.
    pub name: *const c_char,
    /// Guard pages below, which are never mapped; 0 for 1, which is the least.
    pub guard_pages: u16,
    /// For a stack that is mapped when it is touched, by the fault handler: how many pages for one
    /// touch, 1 to 16. 0 for a stack that is mapped at once. A thread on a stack that grows must
    /// make no requests: its own touch would wait for the handler, which would wait for it.
    pub on_demand: u8,
}

/// What becomes of a thread whose fault cannot be resolved.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum vmm_verdict_t {
    /// It stops where it is.
    VMM_SUSPEND = 0,
    /// What was wrong has been put right: it repeats its instruction.
    VMM_RESUME = 1,
}

/// What kind of fault it is.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum vmm_fault_kind_t {
    /// A page fault: `value` is the address.
    VMM_PAGE_FAULT = 0,
    /// A capability pointer that leads nowhere: `value` is the pointer.
    VMM_CAP_FAULT = 1,
    /// A system call that the kernel does not have: `value` is its number.
    VMM_UNKNOWN_SYSCALL = 2,
    /// An exception of the processor: `value` is its number.
    VMM_EXCEPTION = 3,
}

/// A fault that cannot be resolved.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct vmm_fault_t {
    /// The thread.
    pub thread: super::vmm_thread_t,
    /// The space it runs in.
    pub space: super::vmm_space_t,
    /// Address or number, by `kind`. On x86_64 the kernel tells of an address its low 32 bits.
    pub value: usize,
    /// The address of the instruction.
    pub ip: usize,
    /// What kind of fault.
    pub kind: vmm_fault_kind_t,
    /// Why a fault was not resolved that could be, such as VMM_OUT_OF_MEMORY; VMM_OK for one that
    /// can never be.
    pub code: vmm_code_t,
    /// Of a page fault, whether the thread was writing.
    pub write: bool,
}

/// Decides what becomes of a thread whose fault cannot be resolved: returns a vmm_verdict_t
/// (anything else is VMM_SUSPEND).
///
/// It runs in the handler's thread, on its stack; no other thread's requests are served meanwhile.
/// It may make requests, but none that stops the handler.
pub type vmm_policy_t =
    Option<extern "C" fn(fault: *const vmm_fault_t, context: *mut c_void) -> c_int>;

/// What the fault handler is to be. All zero: one of the highest priority that prints each fault
/// that it cannot resolve and suspends the thread.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct vmm_handler_options_t {
    /// What decides of faults that cannot be resolved; NULL for printing and suspending.
    pub policy: vmm_policy_t,
    /// What `policy` is called with.
    pub context: *mut c_void,
    /// Pages of its stack, 4096 bytes each; 0 for 8.
    pub stack_pages: size_t,
    /// Its priority, 1 to 255, at least that of the threads whose faults it answers; 0 for 255.
    pub priority: u8,
}

/// The four words of the kernel's message about a page fault (seL4_VMFault_Msg), in their order.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct vmm_fault_words_t {
    /// seL4_VMFault_IP: the address of the instruction.
    pub ip: usize,
    /// seL4_VMFault_Addr: the address that was touched.
    pub address: usize,
    /// seL4_VMFault_PrefetchFault: whether it was a fetch.
    pub prefetch: usize,
    /// seL4_VMFault_FSR: the processor's word on it.
    pub status: usize,
}

/// Rights as the manager knows them; `None` for 0.
pub fn checked_rights(bits: u32) -> Result<Option<Rights>, vmm_code_t> {
    Ok(Some(match bits {
        0 => return Ok(None),
        VMM_NO_ACCESS => Rights::empty(),
        bits if bits & !(VMM_READ | VMM_WRITE | VMM_EXECUTE) != 0 => return Err(VMM_BAD_ARGUMENT),
        bits => {
            let right = |bit, right| if bits & bit != 0 { right } else { Rights::empty() };
            Rights::READ | right(VMM_WRITE, Rights::WRITE) | right(VMM_EXECUTE, Rights::EXECUTE)
        }
    }))
}

/// Rights as C knows them.
pub fn rights_bits(rights: Rights) -> u32 {
    let bit = |right, bit| if rights.contains(right) { bit } else { 0 };
    let readable = bit(Rights::READ, VMM_READ) | bit(Rights::WRITE, VMM_WRITE);
    match readable | bit(Rights::EXECUTE, VMM_EXECUTE) {
        0 => VMM_NO_ACCESS,
        bits => bits,
    }
}

/// A cache policy as the manager knows it.
fn cache_policy(number: c_int) -> Result<CachePolicy, vmm_code_t> {
    let all = [
        (vmm_cache_t::VMM_WRITE_BACK, CachePolicy::WriteBack),
        (vmm_cache_t::VMM_WRITE_THROUGH, CachePolicy::WriteThrough),
        (vmm_cache_t::VMM_UNCACHED, CachePolicy::Uncached),
        (vmm_cache_t::VMM_WRITE_COMBINING, CachePolicy::WriteCombining),
    ];
    let found = all.into_iter().find(|&(name, _)| name as c_int == number);
    found.map(|(_, policy)| policy).ok_or(VMM_BAD_ARGUMENT)
}

/// A cache policy as C knows it.
pub fn cache_number(policy: CachePolicy) -> vmm_cache_t {
    match policy {
        CachePolicy::WriteBack => vmm_cache_t::VMM_WRITE_BACK,
        CachePolicy::WriteThrough => vmm_cache_t::VMM_WRITE_THROUGH,
        CachePolicy::Uncached => vmm_cache_t::VMM_UNCACHED,
        CachePolicy::WriteCombining => vmm_cache_t::VMM_WRITE_COMBINING,
    }
}

/// What an object of this kind is made by. `bits` is 0 for a kind of one size.
pub fn blueprint(kind: c_int, bits: u8) -> Result<Blueprint, vmm_code_t> {
    use vmm_kind_t::*;
    let sized = [
        (VMM_CNODE, Blueprint::CNode { radix_bits: bits }),
        (VMM_FRAME, Blueprint::Frame { size_bits: bits }),
        (VMM_UNTYPED, Blueprint::Untyped { size_bits: bits }),
    ];
    let plain = [
        (VMM_TCB, Blueprint::Tcb),
        (VMM_ENDPOINT, Blueprint::Endpoint),
        (VMM_NOTIFICATION, Blueprint::Notification),
    ];
    let of_its_size = sized.into_iter().chain(plain.into_iter().filter(|_| bits == 0));
    let found = of_its_size.into_iter().find(|&(name, _)| name as c_int == kind);
    found.map(|(_, blueprint)| blueprint).ok_or(VMM_BAD_ARGUMENT)
}

impl vmm_map_options_t {
    /// As the manager knows them. `name` is what lies at the address of the same name.
    pub fn checked(&self, name: &str) -> Result<RegionOptions, vmm_code_t> {
        let mut options = RegionOptions::new(self.pages)
            .named(name)
            .guarded(self.guard_below, self.guard_above)
            .aligned(self.align_bits)
            .cached(cache_policy(self.cache)?);
        if u32::from(self.align_bits) >= usize::BITS || self.on_demand > 16 {
            return Err(VMM_BAD_ARGUMENT);
        }
        if self.address != 0 {
            options = options.at(self.address);
        }
        if let Some(rights) = checked_rights(self.rights)? {
            options = options.rights(rights);
        }
        if let Some(ceiling) = checked_rights(self.ceiling)? {
            options = options.ceiling(ceiling);
        }
        if self.on_demand != 0 {
            options = options.backed(Backing::OnDemand { around: self.on_demand });
        }
        if !matches!(self.page_bits, 0 | 12) {
            options = options.page_size(PageSize::Large { bits: self.page_bits });
        }
        Ok(options)
    }
}

impl vmm_stack_options_t {
    /// As the manager knows them. `name` is what lies at the address of the same name.
    pub fn checked<'n>(&self, name: &'n str) -> Result<StackOptions<'n>, vmm_code_t> {
        let options = StackOptions::new(self.pages).named(name).guarded(self.guard_pages);
        match self.on_demand {
            0 => Ok(options),
            1..=16 => Ok(options.growing(self.on_demand)),
            _ => Err(VMM_BAD_ARGUMENT),
        }
    }
}

impl Default for vmm_handler_options_t {
    fn default() -> Self {
        let context = null::<c_void>().cast_mut();
        vmm_handler_options_t { policy: None, context, stack_pages: 0, priority: 0 }
    }
}
