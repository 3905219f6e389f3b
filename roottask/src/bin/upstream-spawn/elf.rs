// SPDX-License-Identifier: BSD-2-Clause
//! The segments of an ELF file of the machine's own word size.

/// The bytes of a word: a field of an address or a size has as many.
const WORD: usize = size_of::<usize>();
/// Where a header's fields lie: behind 16 bytes that identify the file, and behind type, machine
/// and version, entry, program headers, section headers (a word each), flags, the header's size.
const ENTRY: usize = 24;
const HEADERS: usize = ENTRY + WORD;
const HEADER_SIZE: usize = ENTRY + 3 * WORD + 6;
const HEADER_COUNT: usize = HEADER_SIZE + 2;
/// A program header that says what to load.
const LOAD: u32 = 1;
/// Rights in a program header's flags.
pub const EXECUTE: u32 = 1;
pub const WRITE: u32 = 2;
pub const READ: u32 = 4;

/// An ELF file.
pub struct Elf<'a>(&'a [u8]);

/// What is to be loaded: `data` at `address`, and zeros behind it to `size` bytes.
pub struct Segment<'a> {
    pub address: usize,
    pub size: usize,
    pub flags: u32,
    pub data: &'a [u8],
}

impl<'a> Elf<'a> {
    /// The file of these bytes, which the build has made.
    pub fn new(bytes: &'a [u8]) -> Self {
        let class = (WORD / 4) as u8;
        assert!(
            bytes.starts_with(&[0x7f, b'E', b'L', b'F', class]),
            "not a program of this machine"
        );
        Self(bytes)
    }

    /// The address of its first instruction.
    pub fn entry(&self) -> usize {
        self.word(ENTRY)
    }

    /// What is to be loaded.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'a>> + '_ {
        let (first, size) = (self.word(HEADERS), self.half(HEADER_SIZE));
        let headers = (0..self.half(HEADER_COUNT)).map(move |index| first + index * size);
        headers.filter(|&at| self.int(at) == LOAD).map(|at| self.segment(at))
    }

    /// Of the program header at `at`. With words of 8 bytes the flags come before the words, with
    /// words of 4 behind the fifth.
    fn segment(&self, at: usize) -> Segment<'a> {
        let (words, flags) = if WORD == 8 { (at + 8, at + 4) } else { (at + 4, at + 24) };
        let [offset, address, _, in_file, size] =
            [0, 1, 2, 3, 4].map(|n| self.word(words + n * WORD));
        Segment { address, size, flags: self.int(flags), data: &self.0[offset..offset + in_file] }
    }

    fn word(&self, at: usize) -> usize {
        usize::from_le_bytes(self.bytes(at))
    }

    fn int(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes(at))
    }

    fn half(&self, at: usize) -> usize {
        u16::from_le_bytes(self.bytes(at)).into()
    }

    fn bytes<const COUNT: usize>(&self, at: usize) -> [u8; COUNT] {
        *self.0[at..].first_chunk().expect("the build makes whole files")
    }
}
