// SPDX-License-Identifier: BSD-2-Clause
//! The handles: for each kind of object, a slot with a capability to one.

/// A handle: a slot with a capability to an object.
pub trait Handle: Sized {
    /// The handle of the capability in a slot, which somebody put there.
    fn from_slot(slot: u32) -> Self;

    /// Its slot.
    fn slot(&self) -> u32;
}

macro_rules! handles {
    ($( $(#[$doc:meta])* $name:ident )*) => { $(
        $(#[$doc])*
        #[derive(PartialEq, Eq, Debug)]
        #[must_use = "what is not destroyed stays"]
        pub struct $name(u32);

        impl Handle for $name {
            fn from_slot(slot: u32) -> Self {
                $name(slot)
            }

            fn slot(&self) -> u32 {
                self.0
            }
        }
    )* };
}

handles! {
    /// An account, from which what is made is paid.
    Account
    /// A memory object.
    Memory
    /// A memory object whose pages its holder supplies.
    PagedMemory
    /// An address space.
    Space
    /// A kernel endpoint.
    Endpoint
    /// A kernel notification.
    Notification
    /// Where lines for people are said.
    Console
    /// A program that was asked for.
    Child
    /// A thread of this program.
    Thread
}
