//! The word that describes a message.

use core::fmt;

use crate::sys::{seL4_MsgExtraCapBits, seL4_MsgLengthBits};
use crate::{Word, WORD_SIZE};

const LENGTH_BITS: usize = seL4_MsgLengthBits as usize;
const EXTRA_CAPS_SHIFT: usize = LENGTH_BITS;
const EXTRA_CAPS_BITS: usize = seL4_MsgExtraCapBits as usize;
const CAPS_UNWRAPPED_SHIFT: usize = EXTRA_CAPS_SHIFT + EXTRA_CAPS_BITS;
/// One bit for each capability that can be unwrapped.
const CAPS_UNWRAPPED_BITS: usize = (1 << EXTRA_CAPS_BITS) - 1;
const LABEL_SHIFT: usize = CAPS_UNWRAPPED_SHIFT + CAPS_UNWRAPPED_BITS;

const fn mask(bits: usize) -> Word {
    (1 << bits) - 1
}

/// What a message is (manual, "IPC"): label, number of words, number of capabilities.
///
/// ```text
///   31           12 11          9 8        7 6      0
///  ┌───────────────┬─────────────┬──────────┬────────┐
///  │ label         │ unwrapped   │ capabil. │ length │
///  └───────────────┴─────────────┴──────────┴────────┘
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct MessageInfo(Word);

impl MessageInfo {
    /// A message with `label` (20 bits), `length` words (up to 120) and `extra_caps` capabilities
    /// (up to 3). What does not fit its field is cut off. `caps_unwrapped` is for the receiver.
    pub const fn new(label: Word, caps_unwrapped: usize, extra_caps: usize, length: usize) -> Self {
        Self(
            label << LABEL_SHIFT
                | (caps_unwrapped as Word & mask(CAPS_UNWRAPPED_BITS)) << CAPS_UNWRAPPED_SHIFT
                | (extra_caps as Word & mask(EXTRA_CAPS_BITS)) << EXTRA_CAPS_SHIFT
                | (length as Word & mask(LENGTH_BITS)),
        )
    }

    /// From the kernel's word.
    pub const fn from_inner(word: Word) -> Self {
        Self(word)
    }

    /// The kernel's word.
    pub const fn into_inner(self) -> Word {
        self.0
    }

    /// The kernel's word.
    pub const fn inner(&self) -> &Word {
        &self.0
    }

    /// What the message is about: free to the sender, an error number in the kernel's answers, a
    /// fault's type in its faults.
    pub const fn label(&self) -> Word {
        self.0 >> LABEL_SHIFT
    }

    /// How many words it has.
    pub const fn length(&self) -> usize {
        (self.0 & mask(LENGTH_BITS)) as usize
    }

    /// How many capabilities it carries.
    pub const fn extra_caps(&self) -> usize {
        (self.0 >> EXTRA_CAPS_SHIFT & mask(EXTRA_CAPS_BITS)) as usize
    }

    /// Which of the capabilities were unwrapped to badges, as a bit mask.
    pub const fn caps_unwrapped(&self) -> usize {
        (self.0 >> CAPS_UNWRAPPED_SHIFT & mask(CAPS_UNWRAPPED_BITS)) as usize
    }

    /// The bits of a label: 20.
    pub const fn label_width() -> usize {
        WORD_SIZE - LABEL_SHIFT
    }
}

impl fmt::Debug for MessageInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageInfo")
            .field("label", &self.label())
            .field("caps_unwrapped", &self.caps_unwrapped())
            .field("extra_caps", &self.extra_caps())
            .field("length", &self.length())
            .finish()
    }
}

/// Makes a [`MessageInfo`] part by part; every part is 0 until set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MessageInfoBuilder {
    label: Word,
    caps_unwrapped: usize,
    extra_caps: usize,
    length: usize,
}

impl MessageInfoBuilder {
    /// Sets the label.
    pub const fn label(self, label: Word) -> Self {
        Self { label, ..self }
    }

    /// Sets the mask of unwrapped capabilities.
    pub const fn caps_unwrapped(self, caps_unwrapped: usize) -> Self {
        Self { caps_unwrapped, ..self }
    }

    /// Sets the number of capabilities.
    pub const fn extra_caps(self, extra_caps: usize) -> Self {
        Self { extra_caps, ..self }
    }

    /// Sets the number of words.
    pub const fn length(self, length: usize) -> Self {
        Self { length, ..self }
    }

    /// The message info.
    pub const fn build(self) -> MessageInfo {
        MessageInfo::new(self.label, self.caps_unwrapped, self.extra_caps, self.length)
    }
}
