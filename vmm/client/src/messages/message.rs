// SPDX-License-Identifier: BSD-2-Clause
//! A message, its label and its length.

use crate::types::limits::{MAX_WORDS, VERSION};
use crate::types::malformed::Malformed;

const VERSION_SHIFT: u32 = 12;
const NUMBER_MASK: u32 = (1 << VERSION_SHIFT) - 1;
/// The number of every refusal.
pub(super) const REFUSED: u32 = 0x200;

/// A message: a label and up to [`MAX_WORDS`] words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message {
    label: u32,
    len: usize,
    words: [usize; MAX_WORDS],
}

impl Message {
    /// The label 0 and no words: the answer to a fault that is resolved.
    pub const EMPTY: Message = Message { label: 0, len: 0, words: [0; MAX_WORDS] };

    /// Makes a message of a label and words. Words beyond [`MAX_WORDS`] are left out; no message
    /// of this crate has that many.
    pub fn new(label: u32, words: &[usize]) -> Message {
        let mut message = Message { label, len: words.len().min(MAX_WORDS), words: [0; MAX_WORDS] };
        message.words[..message.len].copy_from_slice(&words[..message.len]);
        message
    }

    /// Adds a word, unless there are [`MAX_WORDS`].
    pub(crate) fn push(&mut self, word: usize) {
        if let Some(place) = self.words.get_mut(self.len) {
            *place = word;
            self.len += 1;
        }
    }

    /// The same words with another label.
    pub(crate) fn with_label(self, label: u32) -> Message {
        Message { label, ..self }
    }

    /// The label, as seL4's message info carries it (20 bits).
    pub fn label(&self) -> u32 {
        self.label
    }

    /// The words.
    pub fn words(&self) -> &[usize] {
        &self.words[..self.len]
    }

    /// Whether it is a refusal.
    pub fn is_refusal(&self) -> bool {
        number(self.label) == Ok(REFUSED)
    }
}

impl Default for Message {
    fn default() -> Message {
        Message::EMPTY
    }
}

/// The message of this version with a number and words.
pub(super) fn message(number: u32, words: &[usize]) -> Message {
    Message::new(VERSION << VERSION_SHIFT | number, words)
}

/// The number in the label of a message of this version.
pub(super) fn number(label: u32) -> Result<u32, Malformed> {
    if label >> VERSION_SHIFT != VERSION {
        return Err(Malformed::Version);
    }
    Ok(label & NUMBER_MASK)
}

/// Exactly `N` words, or the refusal of another length.
pub(super) fn exactly<const N: usize>(words: &[usize]) -> Result<[usize; N], Malformed> {
    words.try_into().map_err(|_| Malformed::Length)
}
