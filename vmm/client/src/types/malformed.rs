// SPDX-License-Identifier: BSD-2-Clause
//! The ways in which a message can be wrong.

/// What is wrong with a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
#[non_exhaustive]
pub enum Malformed {
    /// The version is another one.
    Version = 1,
    /// The number of the message is unknown.
    Number = 2,
    /// The length is not the one that the number prescribes.
    Length = 3,
    /// A bit without a meaning is set.
    Bits = 4,
    /// A word has a value that it cannot have.
    Value = 5,
    /// The message came with a capability.
    Capability = 6,
}
