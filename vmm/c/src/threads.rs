//! What threads need: stacks and IPC buffers.

use core::mem::MaybeUninit;

use untyped_alloc::CPtr;
use vmm::sel4::faults::Manager;
use vmm::{Error, IpcBuffer};

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
