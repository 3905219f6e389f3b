// SPDX-License-Identifier: BSD-2-Clause
//! The page that tells a program what its starter gave it.
//!
//! ```text
//!   word 0     mark, with the version of this layout
//!   word 1     how many capabilities
//!   word 2     bytes of arguments
//!   byte 16    for each capability: 20 bytes of its name, its kind, its rights, its slot
//!   byte 2048  the arguments, UTF-8
//! ```
//!
//! Words have 32 bits on every machine. The page lies where the argument says that the program
//! begins with. Who starts a program chooses what is in it, and is believed as far as that: a page
//! that is none is told apart by its mark.

use super::items::{Kind, Rights, PAGE_BYTES};

/// `VMM` and the version.
const MARK: u32 = u32::from_le_bytes(*b"VMM\x02");
/// The most bytes of a name: a word and the address of a device's memory, as long as one can be.
pub const NAME_BYTES: usize = 20;
const ENTRIES_AT: usize = 16;
const ENTRY_BYTES: usize = NAME_BYTES + 12;
const ARGUMENTS_AT: usize = 2048;
/// The most capabilities in a page.
pub const MAX_GIVEN: usize = (ARGUMENTS_AT - ENTRIES_AT) / ENTRY_BYTES;

/// The bytes of such a page.
pub type Page = [u8; PAGE_BYTES];

/// A capability that a program was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GivenObject<'a> {
    /// What its starter calls it: [`NAME_BYTES`] at the most.
    pub name: &'a str,
    /// The kind of its object; `None` for a capability that is not to one of the service's.
    pub kind: Option<Kind>,
    /// Its rights.
    pub rights: Rights,
    /// The slot in which it is.
    pub slot: u32,
}

/// What a program was given by its starter.
#[derive(Clone, Copy)]
pub struct Given<'a>(&'a Page);

impl<'a> Given<'a> {
    /// What a page says, if it is one.
    pub fn new(page: &'a Page) -> Option<Given<'a>> {
        let given = Given(page);
        let sound = given.word(0) == MARK
            && given.word(4) as usize <= MAX_GIVEN
            && given.word(8) as usize <= PAGE_BYTES - ARGUMENTS_AT;
        sound.then_some(given)
    }

    fn word(&self, at: usize) -> u32 {
        let bytes = self.0.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_le_bytes)
    }

    /// The capabilities, in the order in which they were given. An entry with a name that is no
    /// text or a kind that there is not is left out.
    pub fn objects(&self) -> impl Iterator<Item = GivenObject<'a>> + use<'a> {
        let given = *self;
        (0..given.word(4) as usize).filter_map(move |index| given.object(index))
    }

    fn object(&self, index: usize) -> Option<GivenObject<'a>> {
        let at = ENTRIES_AT + index * ENTRY_BYTES;
        let name = self.0.get(at..at + NAME_BYTES)?;
        let length = name.iter().position(|&byte| byte == 0).unwrap_or(NAME_BYTES);
        let kind = self.word(at + NAME_BYTES);
        let found = Kind::ALL.into_iter().find(|&known| known as u32 == kind);
        if kind != 0 && found.is_none() {
            return None;
        }
        Some(GivenObject {
            name: core::str::from_utf8(&name[..length]).ok()?,
            kind: found,
            rights: Rights::from_bits_truncate(self.word(at + NAME_BYTES + 4)),
            slot: self.word(at + NAME_BYTES + 8),
        })
    }

    /// The slot of the capability of this name.
    pub fn slot(&self, name: &str) -> Option<u32> {
        self.objects().find(|object| object.name == name).map(|object| object.slot)
    }

    /// The arguments: text of any form that starter and program agree on.
    pub fn arguments(&self) -> &'a str {
        let length = self.word(8) as usize;
        let bytes = self.0.get(ARGUMENTS_AT..ARGUMENTS_AT + length);
        bytes.and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or("")
    }
}

/// Begins such a page.
pub fn begin(page: &mut Page) {
    page.fill(0);
    put(page, 0, &MARK.to_le_bytes());
}

/// Adds a capability; returns whether there is room, and the name is not too long.
pub fn add(page: &mut Page, object: &GivenObject<'_>) -> bool {
    let count = Given(page).word(4) as usize;
    if count >= MAX_GIVEN || object.name.len() > NAME_BYTES {
        return false;
    }
    let at = ENTRIES_AT + count * ENTRY_BYTES;
    put(page, at, object.name.as_bytes());
    let words = [object.kind.map_or(0, |kind| kind as u32), object.rights.bits(), object.slot];
    for (index, word) in words.into_iter().enumerate() {
        put(page, at + NAME_BYTES + 4 * index, &word.to_le_bytes());
    }
    put(page, 4, &(count as u32 + 1).to_le_bytes());
    true
}

/// Sets the arguments; returns whether there is room for them.
pub fn set_arguments(page: &mut Page, arguments: &str) -> bool {
    if arguments.len() > PAGE_BYTES - ARGUMENTS_AT {
        return false;
    }
    put(page, ARGUMENTS_AT, arguments.as_bytes());
    put(page, 8, &(arguments.len() as u32).to_le_bytes());
    true
}

fn put(page: &mut Page, at: usize, bytes: &[u8]) {
    if let Some(place) = page.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}
