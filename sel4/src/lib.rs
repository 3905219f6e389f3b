// SPDX-License-Identifier: BSD-2-Clause
//! Bindings for the seL4 microkernel, version 5.0.0, on IA32 and x86_64.
//!
//! Names and signatures are those of rust-sel4 (its `sel4` crate, version 5) wherever both kernels
//! have the thing, so a root task written for upstream that uses only what seL4 5.0.0 has compiles
//! here unchanged. "Manual" below is the seL4 reference manual for 5.0.0.
//!
//! ```text
//!   init_thread, BootInfo      what the kernel hands to the first thread
//!          │ Slot::cap()
//!          ▼
//!   Cap<cap_type::X>           a typed capability pointer; its methods are the invocations
//!   (cptr.rs, cap_types.rs)      (invocations/*.rs) and the IPC calls (syscalls.rs)
//!          │ message of words and capabilities
//!          ▼
//!   invocation_context, state  which IPC buffer the message goes through
//!          ▼
//!   sys, arch                  the kernel's own types, numbers and the instruction that enters it
//! ```
//!
//! # What comes from the kernel
//! Invocation labels, system call numbers, object types, sizes and structure layouts are generated
//! at build time from `$SEL4_PREFIX/interface.json`, which the kernel's build writes for its
//! configuration. Layouts are asserted at compile time, field by field.
//!
//! # The IPC buffer
//! With the feature `state` (the default) an invocation finds the calling thread's own IPC buffer
//! by itself, in every thread: see [`set_ipc_buffer`]. Without it, give the buffer explicitly with
//! [`Cap::with`].
//!
//! # Cost
//! An invocation whose message fits the message registers (two on IA32, four on x86_64) and carries
//! no capability does not touch the IPC buffer. Any other costs three instructions to find the
//! buffer and one store for each further word or capability. Errors leave the fast path at one
//! branch.
//!
//! # What seL4 5.0.0 does not have
//! MCS scheduling (`SchedContext`, `Reply` objects, `nb_send_recv`), `tcb_set_tls_base` and
//! `set_tls_base` (only [`UserContext`] carries the TLS base), `tcb_set_flags`, domain schedules,
//! a right to have I/O ports (slot 7 is a capability to all of them, [`cap::IOPort`], of which
//! `ioport_control_issue` makes narrower ones), an authority argument that is honoured by
//! `tcb_set_priority`. `UserContext::c_param` has no meaning on IA32,
//! where C passes arguments on the stack; see [`UserContext::start`]. Pages of 1 GiB are an option
//! of the kernel's that is not chosen here.
//! `IpcBuffer::debug_error` is left out: errors are not put into words by the kernel.
//! `try_with_ipc_buffer_slot` is left out: there is no slot in memory that could be lent.
//! `sel4_cfg_match` is left out: stable Rust has no such attribute
//! ([`sel4_cfg_wrap_match!`] is there).
#![no_std]

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
compile_error!(
    "the sel4 crate is for seL4 on IA32 and x86_64: build for i686-unknown-linux-gnu or \
     x86_64-unknown-linux-gnu (qemu-scripts/run.sh does), and leave this crate out of builds for \
     the host"
);

// Without a kernel that can be used this is the error that says so.
#[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), not(sel4_interface)))]
include!(concat!(env!("OUT_DIR"), "/interface.rs"));

cfg_if::cfg_if! {
    if #[cfg(sel4_interface)] {
        pub mod config;
        pub mod init_thread;
        pub mod sys;

        mod arch;
        mod absolute_cptr;
        mod backtrace;
        mod bootinfo;
        mod cap_rights;
        mod cap_types;
        mod cnode_cap_data;
        mod cptr;
        mod error;
        mod fast_messages;
        mod fault;
        mod invocation_context;
        mod invocations;
        mod ipc_buffer;
        mod message_info;
        mod object;
        mod printing;
        mod program;
        mod reply_authority;
        #[cfg(feature = "state")]
        mod condvar;
        #[cfg(feature = "state")]
        mod lock;
        #[cfg(feature = "state")]
        mod mutex;
        #[cfg(feature = "state")]
        mod state;
        mod syscalls;
        mod user_context;
        mod vm_attributes;
        mod vspace;
        #[cfg(sel4_debug_build)]
        mod debug;

        pub use backtrace::{begin_backtraces, Backtrace};
        pub use absolute_cptr::{AbsoluteCPtr, HasCPtrWithDepth};
        pub use bootinfo::{
            BootInfo, BootInfoExtra, BootInfoExtraId, BootInfoExtraIter, BootInfoPtr, UntypedDesc,
        };
        pub use cap_rights::{CapRights, CapRightsBuilder};
        pub use cap_types::{cap, cap_type, CapType};
        pub use sel4_config::{
            sel4_cfg, sel4_cfg_attr, sel4_cfg_bool, sel4_cfg_enum, sel4_cfg_if, sel4_cfg_str,
            sel4_cfg_struct, sel4_cfg_usize, sel4_cfg_word, sel4_cfg_wrap_match,
        };
        pub use cnode_cap_data::CNodeCapData;
        pub use cptr::{Badge, CPtr, CPtrBits, CPtrWithDepth, Cap, Word, WORD_SIZE};
        #[cfg(sel4_debug_build)]
        pub use debug::{debug_halt, debug_put_char, debug_snapshot};
        pub use error::{Error, Result};
        pub use fast_messages::{CallWithMRs, FastMessages, RecvWithMRs, NUM_FAST_MESSAGE_REGISTERS};
        pub use fault::{CapFault, Fault, NullFault, UnknownSyscall, UserException, VmFault};
        pub use invocation_context::{
            InvocationContext, NoExplicitInvocationContext, NoInvocationContext,
        };
        pub use ipc_buffer::IpcBuffer;
        pub use message_info::{MessageInfo, MessageInfoBuilder};
        pub use object::{
            CapTypeForObject, CapTypeForObjectOfFixedSize, CapTypeForObjectOfVariableSize,
            ObjectBlueprint, ObjectBlueprintArch, ObjectBlueprintSeL4Arch, ObjectBlueprintX86,
            ObjectType, ObjectTypeArch, ObjectTypeSeL4Arch, ObjectTypeX86,
        };
        pub use arch::public::*;
        pub use printing::{debug_put_char_by_port, set_debug_put_char, DebugWrite};
        pub use program::{tls_segment, TlsSegment};
        pub use reply_authority::{ConveysReplyAuthority, ImplicitReplyAuthority, ReplyAuthority};
        #[cfg(feature = "state")]
        pub use condvar::Condvar;
        #[cfg(feature = "state")]
        pub use lock::NotificationLock;
        #[cfg(feature = "state")]
        pub use mutex::{Mutex, MutexGuard};
        #[cfg(feature = "state")]
        pub use state::{
            ipc_buffer_address,
            init_ipc_buffer, ipc_buffer_is_thread_local, set_ipc_buffer, with_ipc_buffer,
            with_ipc_buffer_mut, ImplicitInvocationContext,
        };
        pub use syscalls::{r#yield, reply, WaitMessageInfo, NUM_MESSAGE_REGISTERS};
        pub use user_context::UserContext;
        pub use vm_attributes::VmAttributes;
        pub use vspace::{
            vspace_levels, CapTypeForFrameObject, CapTypeForFrameObjectOfFixedSize,
            CapTypeForTranslationTableObject, FrameObjectType, TranslationTableObjectType,
        };

        #[doc(hidden)]
        pub mod _private {
            pub use crate::printing::debug_print_helper;
        }
    }
}
