//! Single words of messages, and small groups of words: values to words and back. A parser refuses
//! each word that no value encodes to.

use crate::types::items::{Amounts, RegionHandle, Resource, Rights};
use crate::types::limits::MAX_GUARDS;
use crate::types::malformed::Malformed;

/// Parses rights.
pub(super) fn rights(word: u32) -> Result<Rights, Malformed> {
    Rights::from_bits(word).ok_or(Malformed::Bits)
}

/// Parses a flag, 0 or 1.
pub(super) fn flag(word: u32) -> Result<bool, Malformed> {
    match word {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed::Bits),
    }
}

/// Parses the guard pages below (lower half) and above (upper half).
pub(super) fn guards(word: u32) -> Result<(u32, u32), Malformed> {
    let (below, above) = (word & 0xffff, word >> 16);
    let possible = below <= MAX_GUARDS && above <= MAX_GUARDS;
    possible.then_some((below, above)).ok_or(Malformed::Value)
}

/// Parses the pages mapped at a first touch.
pub(super) fn around(word: u32) -> Result<u32, Malformed> {
    match word {
        0 | 1 | 2 | 4 | 8 | 16 => Ok(word),
        _ => Err(Malformed::Value),
    }
}

/// The words of a number of 64 bits, the lower one first.
pub(super) fn halves(number: u64) -> [u32; 2] {
    [number as u32, (number >> 32) as u32]
}

/// Parses a number of 64 bits.
pub(super) fn whole(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

/// The word of guard pages below and above, as [`guards`] parses it.
pub(super) fn guards_word((below, above): (u32, u32)) -> u32 {
    below | above << 16
}

impl Malformed {
    pub(super) fn parse(word: u32) -> Result<Malformed, Malformed> {
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

impl Resource {
    pub(super) fn parse(word: u32) -> Result<Resource, Malformed> {
        Ok(match word {
            1 => Resource::Frames,
            2 => Resource::Tables,
            3 => Resource::Slots,
            4 => Resource::Objects,
            _ => return Err(Malformed::Value),
        })
    }
}

impl RegionHandle {
    pub(super) fn words(self) -> [u32; 3] {
        let [low, high] = halves(self.serial);
        [self.start, low, high]
    }

    pub(super) fn parse([start, low, high]: [u32; 3]) -> RegionHandle {
        RegionHandle { start, serial: whole(low, high) }
    }
}

impl Amounts {
    pub(super) fn words(self) -> [u32; 4] {
        [self.frames, self.tables, self.slots, self.objects]
    }

    pub(super) fn parse([frames, tables, slots, objects]: [u32; 4]) -> Amounts {
        Amounts { frames, tables, slots, objects }
    }
}
