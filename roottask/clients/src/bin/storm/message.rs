// SPDX-License-Identifier: BSD-2-Clause
//! A message as it is sent: a label, words, and slots of capabilities.

use vmm_client::objects::MAX_CAPABILITIES;

/// One word more than any message of the protocol has.
pub const WORDS: usize = 27;

/// A message that is to be sent.
pub struct Message {
    pub label: u32,
    /// Room for its words.
    pub words: [usize; WORDS],
    pub length: usize,
    pub slots: [u32; MAX_CAPABILITIES],
    pub came: usize,
}

impl Message {
    pub fn words(&self) -> &[usize] {
        &self.words[..self.length]
    }

    pub fn slots(&self) -> &[u32] {
        &self.slots[..self.came]
    }
}
