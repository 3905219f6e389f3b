//! Words in and out of a message.

use crate::protocol::{Malformed, MOST_WORDS};

/// A message: a label and up to [`MOST_WORDS`] words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message {
    label: u32,
    len: usize,
    words: [u32; MOST_WORDS],
}

impl Message {
    /// A message of these words. What is beyond [`MOST_WORDS`] of them is left out; no message of
    /// this crate has as many.
    pub fn new(label: u32, words: &[u32]) -> Message {
        let mut message =
            Message { label, len: words.len().min(MOST_WORDS), words: [0; MOST_WORDS] };
        message.words[..message.len].copy_from_slice(&words[..message.len]);
        message
    }

    /// The label, as seL4's message info carries it (20 bits).
    pub fn label(&self) -> u32 {
        self.label
    }

    /// The words.
    pub fn words(&self) -> &[u32] {
        &self.words[..self.len]
    }
}

/// Text in a message: its bytes in words, filled up with zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<const WORDS: usize>([u32; WORDS]);

impl<const WORDS: usize> Text<WORDS> {
    /// As much of `text` as fits, cut at a character's end. A zero byte ends it.
    pub fn new(text: &str) -> Self {
        let fits = (0..=text.len().min(WORDS * 4)).rev().find(|&at| text.is_char_boundary(at));
        let mut words = [0; WORDS];
        for (index, byte) in text.bytes().take(fits.unwrap_or(0)).enumerate() {
            words[index / 4] |= u32::from(byte) << (index % 4 * 8);
        }
        Text(words)
    }

    /// From words of a message.
    pub const fn from_words(words: [u32; WORDS]) -> Self {
        Text(words)
    }

    /// The words.
    pub const fn words(&self) -> &[u32; WORDS] {
        &self.0
    }

    /// The characters up to the first zero byte. Whatever is no printable ASCII comes as `?`: the
    /// sender chose the bytes, and a terminal obeys some of them.
    pub fn chars(&self) -> impl Iterator<Item = char> + '_ {
        let bytes = self.0.iter().flat_map(|word| word.to_le_bytes());
        bytes.take_while(|&byte| byte != 0).map(|byte| match byte {
            b' '..=b'~' => char::from(byte),
            _ => '?',
        })
    }
}

impl<const WORDS: usize> core::fmt::Display for Text<WORDS> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.chars().try_for_each(|char| core::fmt::Write::write_char(f, char))
    }
}

impl<const WORDS: usize> core::fmt::Debug for Text<WORDS> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Exactly `N` words.
pub(crate) fn exactly<const N: usize>(words: &[u32]) -> Result<[u32; N], Malformed> {
    words.try_into().map_err(|_| Malformed::Length)
}
