// SPDX-License-Identifier: BSD-2-Clause
//! What programs run.

use std::sync::OnceLock;

use vmm_tests::support::Target;

/// The ELF file of a program with one segment, of four bytes.
pub fn program(target: Target) -> &'static [u8] {
    static FILES: [OnceLock<Vec<u8>>; 2] = [const { OnceLock::new() }; 2];
    let wide = target.word_bytes() == 8;
    FILES[usize::from(wide)].get_or_init(|| file(wide))
}

/// Such a file, with words of 64 bits or of 32.
fn file(wide: bool) -> Vec<u8> {
    let start = 0x40_0000;
    let mut file = b"\x7fELF".to_vec();
    file.extend([1 + u8::from(wide), 1, 1]);
    file.resize(16, 0);
    let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
    let word = |file: &mut Vec<u8>, value: u32| file.extend(value.to_le_bytes());
    let long = |file: &mut Vec<u8>, value: u64| file.extend(value.to_le_bytes());
    half(&mut file, 2);
    if wide {
        half(&mut file, 0x3e);
        word(&mut file, 1);
        [start, 64, 0].into_iter().for_each(|value| long(&mut file, value));
        word(&mut file, 0);
        [64, 56, 1, 0, 0, 0].into_iter().for_each(|value| half(&mut file, value));
        [1, 5].into_iter().for_each(|value| word(&mut file, value));
        let segment = [120, start, start, 4, 4096, 0x1000];
        segment.into_iter().for_each(|value| long(&mut file, value));
    } else {
        half(&mut file, 3);
        [1, start as u32, 52, 0, 0].into_iter().for_each(|value| word(&mut file, value));
        [52, 32, 1, 0, 0, 0].into_iter().for_each(|value| half(&mut file, value));
        let segment = [1, 84, start as u32, start as u32, 4, 4096, 5, 0x1000];
        segment.into_iter().for_each(|value| word(&mut file, value));
    }
    file.extend([0x90; 4]);
    file
}
