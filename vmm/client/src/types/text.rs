// SPDX-License-Identifier: BSD-2-Clause
//! Text in messages: the names of regions and the lines that programs say.

use core::fmt::{self, Write};

/// The name of a region.
pub type Name = Text<4>;
/// A line of text for people to read.
pub type Line = Text<24>;

/// Text of at most `4 * WORDS` bytes: its bytes in words, the rest filled with zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<const WORDS: usize>([u32; WORDS]);

impl<const WORDS: usize> Text<WORDS> {
    /// The most bytes that fit.
    pub const BYTES: usize = WORDS * size_of::<u32>();

    /// Takes as much of `text` as fits, cut at a character's end. A zero byte ends the text.
    pub fn new(text: &str) -> Self {
        let fits = (0..=text.len().min(Self::BYTES)).rev().find(|&at| text.is_char_boundary(at));
        let mut words = [0; WORDS];
        for (index, byte) in text.bytes().take(fits.unwrap_or(0)).enumerate() {
            words[index / 4] |= u32::from(byte) << (index % 4 * 8);
        }
        Text(words)
    }

    /// Takes the words of a message.
    pub const fn from_words(words: [u32; WORDS]) -> Self {
        Text(words)
    }

    /// The words.
    pub const fn words(&self) -> &[u32; WORDS] {
        &self.0
    }

    /// The characters up to the first zero byte. A byte that is not printable ASCII becomes `?`:
    /// the sender chose the bytes, and some bytes are commands to a terminal.
    pub fn chars(&self) -> impl Iterator<Item = char> + '_ {
        let bytes = self.0.iter().flat_map(|word| word.to_le_bytes());
        bytes.take_while(|&byte| byte != 0).map(|byte| match byte {
            b' '..=b'~' => char::from(byte),
            _ => '?',
        })
    }
}

impl<const WORDS: usize> fmt::Display for Text<WORDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chars().try_for_each(|char| f.write_char(char))
    }
}

impl<const WORDS: usize> fmt::Debug for Text<WORDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}
