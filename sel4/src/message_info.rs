// SPDX-License-Identifier: BSD-2-Clause
//! The word that describes a message.

use core::fmt;

use crate::sys::bitfields::seL4_MessageInfo_label as LABEL;
use crate::sys::seL4_MessageInfo;
use crate::Word;

/// What a message is (manual, "IPC"): label, number of words, number of capabilities.
///
/// ```text
///   31           12 11          9 8        7 6      0
///  ┌───────────────┬─────────────┬──────────┬────────┐
///  │ label         │ unwrapped   │ capabil. │ length │
///  └───────────────┴─────────────┴──────────┴────────┘
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct MessageInfo(seL4_MessageInfo);

impl MessageInfo {
    /// A message with `label` (20 bits), `length` words (up to 120) and `extra_caps` capabilities
    /// (up to 3). What does not fit its field is cut off. `caps_unwrapped` is for the receiver.
    pub const fn new(label: Word, caps_unwrapped: usize, extra_caps: usize, length: usize) -> Self {
        let (caps_unwrapped, extra_caps) = (caps_unwrapped as Word, extra_caps as Word);
        Self(seL4_MessageInfo::new(label, caps_unwrapped, extra_caps, length as Word))
    }

    /// From the kernel's own structure.
    pub const fn from_inner(inner: seL4_MessageInfo) -> Self {
        Self(inner)
    }

    /// The kernel's own structure.
    pub const fn into_inner(self) -> seL4_MessageInfo {
        self.0
    }

    /// The kernel's own structure.
    pub const fn inner(&self) -> &seL4_MessageInfo {
        &self.0
    }

    /// From the kernel's word.
    #[inline(always)]
    pub(crate) const fn from_word(word: Word) -> Self {
        Self(seL4_MessageInfo { words: [word] })
    }

    /// The kernel's word.
    #[inline(always)]
    pub(crate) const fn word(self) -> Word {
        self.0.words[0]
    }

    /// What the message is about: free to the sender, an error number in the kernel's answers, a
    /// fault's type in its faults.
    pub const fn label(&self) -> Word {
        self.0.get_label()
    }

    /// How many words it has.
    pub const fn length(&self) -> usize {
        self.0.get_length() as usize
    }

    /// How many capabilities it carries.
    pub const fn extra_caps(&self) -> usize {
        self.0.get_extraCaps() as usize
    }

    /// Which of the capabilities were unwrapped to badges, as a bit mask.
    pub const fn caps_unwrapped(&self) -> usize {
        self.0.get_capsUnwrapped() as usize
    }

    /// The bits of a label: 20, on x86_64 too.
    pub const fn label_width() -> usize {
        LABEL.bits()
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
#[must_use = "each method returns the builder changed"]
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
