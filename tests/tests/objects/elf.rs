// SPDX-License-Identifier: BSD-2-Clause
//! ELF files for tests: segments in pages of the file as they are in memory.

use crate::support::Target;
use crate::world::PAGE;

/// A segment: what it may be used for, where it lies, its bytes, and how many it has in memory.
#[derive(Clone)]
pub struct Segment {
    /// `PT_LOAD`, or `PT_TLS`.
    pub kind: u32,
    pub align: usize,
    pub flags: u32,
    pub address: usize,
    pub bytes: Vec<u8>,
    pub memory: usize,
    /// Where the table says that it lies in the file, if that is wrong.
    pub offset: Option<usize>,
}

impl Segment {
    fn new(flags: u32, address: usize, bytes: Vec<u8>) -> Segment {
        let memory = bytes.len();
        Segment { kind: 1, align: PAGE, flags, address, bytes, memory, offset: None }
    }

    pub fn code(address: usize, bytes: Vec<u8>) -> Segment {
        Segment::new(5, address, bytes)
    }

    pub fn constants(address: usize, bytes: Vec<u8>) -> Segment {
        Segment::new(4, address, bytes)
    }

    pub fn data(address: usize, bytes: Vec<u8>) -> Segment {
        Segment::new(6, address, bytes)
    }

    /// What threads' local storage begins with.
    pub fn tls(address: usize, bytes: Vec<u8>, align: usize) -> Segment {
        Segment { kind: 7, align, ..Segment::new(4, address, bytes) }
    }

    pub fn in_memory(self, memory: usize) -> Segment {
        Segment { memory, ..self }
    }

    pub fn at_offset(self, offset: usize) -> Segment {
        Segment { offset: Some(offset), ..self }
    }
}

/// A file that is put together.
pub struct Elf {
    target: Target,
    entry: usize,
    segments: Vec<Segment>,
}

impl Elf {
    pub fn of(target: Target, entry: usize) -> Elf {
        Elf { target, entry, segments: Vec::new() }
    }

    pub fn with(mut self, segment: Segment) -> Elf {
        self.segments.push(segment);
        self
    }

    pub fn entry(self, entry: usize) -> Elf {
        Elf { entry, ..self }
    }

    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let wide = self.target.word_bytes() == 8;
        let word = |value: usize| -> Vec<u8> {
            match wide {
                true => (value as u64).to_le_bytes().to_vec(),
                false => (value as u32).to_le_bytes().to_vec(),
            }
        };
        let (header, each) = if wide { (64, 56) } else { (52, 32) };
        let machine: u16 = if wide { 62 } else { 3 };
        let mut file = b"\x7fELF".to_vec();
        file.extend([1 + u8::from(wide), 1, 1]);
        file.resize(16, 0);
        file.extend(2u16.to_le_bytes());
        file.extend(machine.to_le_bytes());
        file.extend(1u32.to_le_bytes());
        file.extend([self.entry, header, 0].into_iter().flat_map(word));
        file.extend(0u32.to_le_bytes());
        let halves = [header as u16, each, self.segments.len() as u16, 0, 0, 0];
        file.extend(halves.into_iter().flat_map(u16::to_le_bytes));
        let mut contents = Vec::new();
        let mut behind = PAGE;
        for segment in &self.segments {
            let offset = behind + segment.address % PAGE;
            behind = (offset + segment.bytes.len()).next_multiple_of(PAGE);
            let said = segment.offset.unwrap_or(offset);
            let words =
                [said, segment.address, segment.address, segment.bytes.len(), segment.memory];
            file.extend(segment.kind.to_le_bytes());
            if wide {
                file.extend(segment.flags.to_le_bytes());
                file.extend(words.into_iter().flat_map(word));
            } else {
                file.extend(words.into_iter().flat_map(word));
                file.extend(segment.flags.to_le_bytes());
            }
            file.extend(word(segment.align));
            contents.push((offset, &segment.bytes));
        }
        for (offset, bytes) in contents {
            file.resize(offset, 0);
            file.extend(bytes);
        }
        file
    }
}

/// A program of one page for IA32.
pub fn small() -> Vec<u8> {
    let code = Segment::code(0x40_0000, vec![0x90; 16]);
    Elf::of(Target::Ia32, 0x40_0000).with(code).bytes()
}
