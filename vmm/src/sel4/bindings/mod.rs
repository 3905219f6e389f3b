//! What differs between kernels, and between their bindings: nothing else of the adapter does.
//!
//! The adapter is written to names that our `sel4` crate and rust-sel4's have in common, without
//! MCS. The feature `kernel-5` (the default) is for seL4 5.0.0 with the bindings of this repository,
//! `kernel-16` for today's seL4 with rust-sel4's; where both are asked for, `kernel-16` counts.
//!
//! | | `kernel-5` | `kernel-16` |
//! |---|---|---|
//! | new rights for a mapped page | `frame_remap` (`Page_Remap`) | `frame_map` again, at its address |
//! | a paging structure is unmapped | one typed method | a method of `sys` for each kind |
//! | a thread's IPC buffer is set | `tcb_set_ipc_buffer` | a method of `sys` |
//! | waiting messages are cancelled | `cancel_badged_sends` | a method of `sys` |
//! | cache policies | constants of `VmAttributes` | words of `sys` |
//!
//! `kernel-16` is written for x86_64: what names its paging structures and its cache policies is in
//! `arch/`. Held to our own bindings, which have these methods of `sys` for that, by `cargo check`.
//! What rust-sel4 does not have at all and the adapter still takes from our bindings, whatever the
//! feature: `thread_entry!` and `UserContext::start`, `init_ipc_buffer` and `ipc_buffer_address`,
//! `NotificationLock`, `tls_segment`, `UserContext::named`, `tls_base` among the registers.

#[cfg(feature = "kernel-16")]
mod arch;
#[cfg(feature = "kernel-16")]
mod kernel_16;
#[cfg(not(feature = "kernel-16"))]
mod kernel_5;

#[cfg(feature = "kernel-16")]
pub(super) use kernel_16::*;
#[cfg(not(feature = "kernel-16"))]
pub(super) use kernel_5::*;
