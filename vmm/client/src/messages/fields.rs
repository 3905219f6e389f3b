// SPDX-License-Identifier: BSD-2-Clause
//! Single words of messages, and small groups of words: values to words and back. A parser refuses
//! each word that no value encodes to.

use crate::types::items::{Amounts, RegionHandle, Resource, Rights};
use crate::types::limits::MAX_GUARDS;
use crate::types::malformed::Malformed;

/// Parses a number of 32 bits.
pub(super) fn number(word: usize) -> Result<u32, Malformed> {
    u32::try_from(word).map_err(|_| Malformed::Value)
}

/// Parses numbers of 32 bits.
pub(super) fn numbers<const N: usize>(words: [usize; N]) -> Result<[u32; N], Malformed> {
    let mut numbers = [0; N];
    for (place, word) in numbers.iter_mut().zip(words) {
        *place = number(word)?;
    }
    Ok(numbers)
}

/// The words of numbers.
pub(super) fn words<const N: usize>(numbers: [u32; N]) -> [usize; N] {
    numbers.map(|number| number as usize)
}

/// Parses the bits of a set of flags.
pub(super) fn bits(word: usize) -> Result<u32, Malformed> {
    u32::try_from(word).map_err(|_| Malformed::Bits)
}

/// Parses rights.
pub(super) fn rights(word: usize) -> Result<Rights, Malformed> {
    Rights::from_bits(bits(word)?).ok_or(Malformed::Bits)
}

/// Parses a flag, 0 or 1.
pub(super) fn flag(word: usize) -> Result<bool, Malformed> {
    match word {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed::Bits),
    }
}

/// Parses the guard pages below (lower half) and above (upper half).
pub(super) fn guards(word: usize) -> Result<(u32, u32), Malformed> {
    let word = number(word)?;
    let (below, above) = (word & 0xffff, word >> 16);
    let possible = below <= MAX_GUARDS && above <= MAX_GUARDS;
    possible.then_some((below, above)).ok_or(Malformed::Value)
}

/// Parses the pages mapped at a first touch.
pub(super) fn around(word: usize) -> Result<u32, Malformed> {
    match word {
        0 | 1 | 2 | 4 | 8 | 16 => number(word),
        _ => Err(Malformed::Value),
    }
}

/// The words of a number of 64 bits, the lower half first: two also where one would do, so that
/// messages are the same on every machine.
pub(super) fn halves(number: u64) -> [usize; 2] {
    words([number as u32, (number >> 32) as u32])
}

/// Parses a number of 64 bits.
pub(super) fn whole(low: usize, high: usize) -> Result<u64, Malformed> {
    let [low, high] = numbers([low, high])?;
    Ok(u64::from(low) | u64::from(high) << 32)
}

/// The word of guard pages below and above, as [`guards`] parses it.
pub(super) fn guards_word((below, above): (u32, u32)) -> usize {
    (below | above << 16) as usize
}

impl Malformed {
    pub(super) fn parse(word: usize) -> Result<Malformed, Malformed> {
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
    pub(super) fn parse(word: usize) -> Result<Resource, Malformed> {
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
    pub(super) fn words(self) -> [usize; 3] {
        let [low, high] = halves(self.serial);
        [self.start, low, high]
    }

    pub(super) fn parse(words: [usize; 3]) -> Result<RegionHandle, Malformed> {
        let [start, low, high] = words;
        Ok(RegionHandle { start, serial: whole(low, high)? })
    }
}

impl Amounts {
    pub(super) fn words(self) -> [usize; 4] {
        words([self.frames, self.tables, self.slots, self.objects])
    }

    pub(super) fn parse(words: [usize; 4]) -> Result<Amounts, Malformed> {
        let [frames, tables, slots, objects] = numbers(words)?;
        Ok(Amounts { frames, tables, slots, objects })
    }
}
