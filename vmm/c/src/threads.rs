// SPDX-License-Identifier: BSD-2-Clause
//! What threads need: stacks and IPC buffers; and letting them run.

use core::ffi::c_void;
use core::mem::{size_of, MaybeUninit};

use sel4_root_task::tls;
use untyped_alloc::{CPtr, Rights};
use vmm::sel4::faults::Manager;
use vmm::sel4::{first_registers, let_run};
use vmm::{Error, IpcBuffer, Kind};

use crate::manager::{answer, short_name, with};
use crate::types::vmm_code_t::{self, *};
use crate::types::*;

/// Makes a stack, with guard pages below and one above. vmm_release gives its region back.
///
/// Errors: as vmm_map.
#[no_mangle]
pub extern "C" fn vmm_allocate_stack(
    space: vmm_space_t,
    options: Option<&vmm_stack_options_t>,
    stack: Option<&mut MaybeUninit<vmm_stack_t>>,
) -> vmm_code_t {
    let (Some(options), Some(stack)) = (options, stack) else { return VMM_NULL_POINTER };
    let name = short_name(options.name);
    let wanted = match options.checked(name.as_str()) {
        Ok(wanted) => wanted,
        Err(code) => return code,
    };
    let made = with(|vmm| vmm.allocate_stack_with(space.id(vmm.own_space()), &wanted));
    answer(made.map(|made| {
        stack.write(made.into());
    }))
}

/// Makes an IPC buffer: a frame of its own, full of zeros, with an unmapped page on either side.
///
/// Errors: VMM_NULL_POINTER; VMM_NO_SUCH_SPACE; VMM_NO_ROOM, VMM_OUT_OF_QUOTA, VMM_OUT_OF_MEMORY,
/// VMM_OUT_OF_SLOTS, VMM_OUT_OF_NODES; VMM_KERNEL_REFUSED.
#[no_mangle]
pub extern "C" fn vmm_allocate_ipc_buffer(
    space: vmm_space_t,
    buffer: Option<&mut MaybeUninit<vmm_ipc_buffer_t>>,
) -> vmm_code_t {
    let Some(buffer) = buffer else { return VMM_NULL_POINTER };
    let made = with(|vmm| vmm.allocate_ipc_buffer(space.id(vmm.own_space())));
    answer(made.map(|made| {
        buffer.write(made.into());
    }))
}

/// The manager's id of a buffer that is still there.
fn live(vmm: &Manager, buffer: &vmm_ipc_buffer_t) -> Result<IpcBuffer, Error> {
    let region = buffer.region.id(vmm.own_space());
    let found = vmm.ipc_buffer_at(region.space(), buffer.address)?;
    match found.region() == region && found.frame().bits() == buffer.frame {
        true => Ok(found),
        false => Err(Error::NoSuchIpcBuffer { address: buffer.address }),
    }
}

/// Makes a buffer that of the thread `tcb` (TCB_SetIPCBuffer), which does not run and will run in
/// the buffer's space. A thread of the program's own space can make requests with it.
///
/// Errors: VMM_NO_SUCH_IPC_BUFFER; VMM_KERNEL_REFUSED for what is no thread control block.
#[no_mangle]
pub extern "C" fn vmm_set_ipc_buffer(tcb: vmm_cptr_t, buffer: vmm_ipc_buffer_t) -> vmm_code_t {
    answer(with(|vmm| {
        let found = live(vmm, &buffer)?;
        if found.region().space() == vmm.own_space() {
            // SAFETY: the manager has mapped it writable, and its thread does not run, by the
            // caller's word.
            unsafe { sel4::init_ipc_buffer(found.address() as *mut sel4::IpcBuffer) };
        }
        vmm.set_ipc_buffer(CPtr::new(tcb), found)
    }))
}

/// Takes a buffer from its thread, and gives its frame back. A thread that is still to run needs
/// another buffer first.
///
/// Errors: VMM_NO_SUCH_IPC_BUFFER, if it was released before too; VMM_PINNED; VMM_KERNEL_REFUSED,
/// and then it is still there.
#[no_mangle]
pub extern "C" fn vmm_release_ipc_buffer(buffer: vmm_ipc_buffer_t) -> vmm_code_t {
    answer(with(|vmm| {
        let found = live(vmm, &buffer)?;
        vmm.release_ipc_buffer(found)
    }))
}

/// What a thread begins with: at the top of its stack, below its thread-local storage.
struct Start {
    entry: extern "C" fn(*mut c_void),
    argument: *mut c_void,
    tcb: vmm_cptr_t,
}

sel4::thread_entry! {
    /// Where a thread starts.
    fn run(start: usize, _: usize) -> ! {
        // SAFETY: `vmm_run_thread` wrote it there, above this thread's stack pointer.
        let Start { entry, argument, tcb } = unsafe { (start as *const Start).read() };
        entry(argument);
        let tcb = sel4::cap::Tcb::from_bits(tcb as sel4::Word);
        // Without a capability or a buffer there is nothing better to do than to let others run.
        loop {
            if sel4::ipc_buffer_address() != 0 {
                let _ = tcb.tcb_suspend();
            }
            sel4::r#yield();
        }
    }
}

/// Lets a thread run: it calls `entry` with `argument`, and stops when that returns. Before that,
/// vmm_set_ipc_buffer and vmm_register_thread have made it one of the program's own space, and
/// `stack` is a stack of that space, mapped at once, that no other thread has. A few hundred bytes
/// at its top are taken for what the thread begins with, its thread-local storage among them.
/// `priority` is 0 to 255, at most the calling thread's; the first thread has 255. To end it, free
/// its thread control block, after vmm_unregister_thread.
///
/// Errors: VMM_NULL_POINTER for `entry`; VMM_NO_SUCH_REGION, VMM_WRONG_KIND for what is no stack of
/// the program's own space; VMM_NOT_MAPPED for a stack whose top is not mapped, or
/// cannot be written; VMM_KERNEL_REFUSED for what is no thread control block.
#[no_mangle]
pub extern "C" fn vmm_run_thread(
    tcb: vmm_cptr_t,
    stack: vmm_stack_t,
    priority: u8,
    entry: Option<extern "C" fn(argument: *mut c_void)>,
    argument: *mut c_void,
) -> vmm_code_t {
    let Some(entry) = entry else { return VMM_NULL_POINTER };
    answer(with(|vmm| -> Result<(), Refusal> {
        let (own, region) = (vmm.own_space(), stack.region.id(vmm.own_space()));
        let info = vmm.region_info(region)?;
        if region.space() != own || info.kind != Kind::Stack {
            return Err(Error::WrongKind { region, name: info.name }.into());
        }
        let page = info.range.bytes() / info.range.pages();
        let top = info.range.end() - info.guard_above * page;
        let tls_block = (top - tls::block_size()) & !15;
        let start = (tls_block - size_of::<Start>()) & !15;
        for address in [start, top - 1] {
            let mapping = vmm.mapping_at(own, address)?;
            if !mapping.is_some_and(|mapping| mapping.rights.contains(Rights::WRITE)) {
                return Err(Error::NotMapped { address, name: info.name }.into());
            }
        }
        // SAFETY: the upper end of a stack that is mapped and writable, and of no thread that runs,
        // by the caller's word.
        let thread_pointer = unsafe {
            (start as *mut Start).write(Start { entry, argument, tcb });
            tls::lay_out(tls_block as *mut u8)
        };
        let entry = run as *const () as usize;
        let mut registers = first_registers(entry, start, [start, 0], thread_pointer as usize);
        let_run(CPtr::new(tcb), priority.into(), &mut registers).map_err(|_| VMM_KERNEL_REFUSED)?;
        Ok(())
    }))
}

/// Lets another thread of the same priority run, if there is one that can.
#[no_mangle]
pub extern "C" fn vmm_yield() {
    sel4::r#yield();
}
