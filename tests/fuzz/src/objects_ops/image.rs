// SPDX-License-Identifier: BSD-2-Clause
//! What programs run.

use std::sync::OnceLock;

/// The ELF file of a program for IA32 with one segment.
pub fn program() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| {
        let words = |values: &[u32]| -> Vec<u8> {
            values.iter().flat_map(|value| value.to_le_bytes()).collect()
        };
        let mut file = b"\x7fELF\x01\x01\x01".to_vec();
        file.resize(16, 0);
        // Two halves each: type and machine, size of this and of an entry, how many entries.
        file.extend(words(&[3 << 16 | 2, 1, 0x40_0000, 52, 0, 0, 32 << 16 | 52, 1, 0]));
        file.extend(words(&[1, 84, 0x40_0000, 0x40_0000, 4, 4096, 5, 0x1000]));
        file.extend([0x90; 4]);
        file
    })
}
