//! What requests and answers speak of.

use bitflags::bitflags;

use crate::words::Text;

bitflags! {
    /// Rights on pages.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Rights: u32 {
        /// They can be read (and run: IA32 has no other way).
        const READ = 1;
        /// They can be written.
        const WRITE = 2;
    }

    /// What else a region can be.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Options: u32 {
        /// A stack, which grows down when it is mapped on demand.
        const STACK = 1;
    }
}

impl Rights {
    /// Reading and writing.
    pub const READ_WRITE: Rights = Rights::READ.union(Rights::WRITE);
}

/// What is wrong with a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Malformed {
    /// Another version.
    Version = 1,
    /// An unknown number.
    Number = 2,
    /// Not the length that the number has.
    Length = 3,
    /// A bit that means nothing is set.
    Bits = 4,
    /// A word has a value that it cannot have.
    Value = 5,
    /// It came with a capability.
    Capability = 6,
}

impl Malformed {
    pub(crate) fn parse(word: u32) -> Result<Malformed, Malformed> {
        Ok(match word {
            1 => Malformed::Version,
            2 => Malformed::Number,
            3 => Malformed::Length,
            4 => Malformed::Bits,
            5 => Malformed::Value,
            6 => Malformed::Capability,
            _ => return Err(Malformed::Value),
        })
    }
}

/// What there are limits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Resource {
    /// Pages of its own.
    Frames = 1,
    /// Page tables.
    Tables = 2,
    /// Capability slots: of objects, and of pages that others share with it.
    Slots = 3,
    /// Kernel objects that are neither pages nor page tables.
    Objects = 4,
}

impl Resource {
    pub(crate) fn parse(word: u32) -> Result<Resource, Malformed> {
        Ok(match word {
            1 => Resource::Frames,
            2 => Resource::Tables,
            3 => Resource::Slots,
            4 => Resource::Objects,
            _ => return Err(Malformed::Value),
        })
    }
}

/// How much of everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Amounts {
    /// Pages.
    pub frames: u32,
    /// Page tables.
    pub tables: u32,
    /// Capability slots.
    pub slots: u32,
    /// Kernel objects.
    pub objects: u32,
}

impl Amounts {
    pub(crate) fn words(self) -> [u32; 4] {
        [self.frames, self.tables, self.slots, self.objects]
    }

    pub(crate) fn parse([frames, tables, slots, objects]: [u32; 4]) -> Amounts {
        Amounts { frames, tables, slots, objects }
    }
}

/// A region of the sender's. Goes stale with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RegionHandle {
    /// Where it starts, guards included.
    pub start: u32,
    /// A number that no other region has had.
    pub serial: u32,
}

/// A name of up to 15 bytes.
pub type Name = Text<4>;
/// A line of text.
pub type Line = Text<24>;
