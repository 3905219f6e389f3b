// SPDX-License-Identifier: BSD-2-Clause
//! Values as words of a message, and back. A reader takes no word that no value is written as.

use super::items::{
    AccountOptions, Amounts, FaultKind, FaultPolicy, ImageFault, Kind, MemoryOptions, Piece,
    ProgramOptions, Registers, Resource, Rights, State, Supply, PIECE_WORDS, REGISTERS, RESOURCES,
};
use crate::messages::message::Message;
use crate::types::malformed::Malformed;
use crate::types::text::Text;

/// The words of a message that is being written.
pub(super) struct Writer(Message);

impl Writer {
    pub fn new() -> Writer {
        Writer(Message::EMPTY)
    }

    /// Adds a word. No message has more than `MAX_WORDS`: the layout's test writes all of them.
    pub fn put(&mut self, word: usize) {
        self.0.push(word);
    }

    /// The message with this label.
    pub fn finish(self, label: u32) -> Message {
        self.0.with_label(label)
    }
}

/// The words of a message that is being read.
pub(super) struct Reader<'w>(core::slice::Iter<'w, usize>);

impl<'w> Reader<'w> {
    pub fn new(words: &'w [usize]) -> Reader<'w> {
        Reader(words.iter())
    }

    /// The next word.
    pub fn take(&mut self) -> Result<usize, Malformed> {
        self.0.next().copied().ok_or(Malformed::Length)
    }

    /// That there are no more words.
    pub fn end(self) -> Result<(), Malformed> {
        match self.0.as_slice() {
            [] => Ok(()),
            _ => Err(Malformed::Length),
        }
    }
}

/// A value in a message.
pub(super) trait Field: Sized {
    /// Adds its words.
    fn put(&self, to: &mut Writer);
    /// Takes its words.
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed>;
}

/// An address, a number of bytes, an argument: all of a word.
impl Field for usize {
    fn put(&self, to: &mut Writer) {
        to.put(*self);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.take()
    }
}

impl Field for u32 {
    fn put(&self, to: &mut Writer) {
        to.put(*self as usize);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        u32::try_from(from.take()?).map_err(|_| Malformed::Value)
    }
}

/// The lower half first: two words also where one would do, so that messages are the same on every
/// machine.
impl Field for u64 {
    fn put(&self, to: &mut Writer) {
        (*self as u32).put(to);
        ((*self >> 32) as u32).put(to);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (low, high) = (u32::take(from)?, u32::take(from)?);
        Ok(u64::from(low) | u64::from(high) << 32)
    }
}

macro_rules! flags {
    ($($flags:ty),*) => { $(
        impl Field for $flags {
            fn put(&self, to: &mut Writer) {
                self.bits().put(to);
            }

            fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                let bits = u32::try_from(from.take()?).map_err(|_| Malformed::Bits)?;
                <$flags>::from_bits(bits).ok_or(Malformed::Bits)
            }
        }
    )* };
}

flags!(Rights, MemoryOptions, AccountOptions, ProgramOptions);

impl Field for bool {
    fn put(&self, to: &mut Writer) {
        to.put((*self).into());
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match from.take()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed::Bits),
        }
    }
}

macro_rules! numbered {
    ($($numbered:ident: $all:expr),*) => { $(
        impl Field for $numbered {
            fn put(&self, to: &mut Writer) {
                (*self as u32).put(to);
            }

            fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                let number = u32::take(from)?;
                $all.into_iter().find(|&value| value as u32 == number).ok_or(Malformed::Value)
            }
        }
    )* };
}

const MALFORMED: [Malformed; 6] = [
    Malformed::Version,
    Malformed::Number,
    Malformed::Length,
    Malformed::Bits,
    Malformed::Value,
    Malformed::Capability,
];

numbered!(
    Kind: Kind::ALL,
    Resource: Resource::ALL,
    State: State::ALL,
    Supply: Supply::ALL,
    ImageFault: ImageFault::ALL,
    FaultKind: FaultKind::ALL,
    FaultPolicy: FaultPolicy::ALL,
    Malformed: MALFORMED
);

impl Field for Amounts {
    fn put(&self, to: &mut Writer) {
        self.0.iter().for_each(|amount| amount.put(to));
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut amounts = [0; RESOURCES];
        for amount in &mut amounts {
            *amount = u32::take(from)?;
        }
        Ok(Amounts(amounts))
    }
}

/// A word for each.
impl Field for Registers {
    fn put(&self, to: &mut Writer) {
        self.0.iter().for_each(|word| word.put(to));
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut words = [0; REGISTERS];
        for word in &mut words {
            *word = from.take()?;
        }
        Ok(Registers(words))
    }
}

/// How many bytes, and a word for each four that there can be.
impl Field for Piece {
    fn put(&self, to: &mut Writer) {
        let (len, words) = self.to_words();
        len.put(to);
        words.iter().for_each(|word| word.put(to));
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (len, mut words) = (u32::take(from)?, [0; PIECE_WORDS]);
        for word in &mut words {
            *word = u32::take(from)?;
        }
        Piece::from_words(len, words).ok_or(Malformed::Value)
    }
}

impl<const WORDS: usize> Field for Text<WORDS> {
    fn put(&self, to: &mut Writer) {
        self.words().iter().for_each(|word| word.put(to));
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut words = [0; WORDS];
        for word in &mut words {
            *word = u32::take(from)?;
        }
        Ok(Text::from_words(words))
    }
}
