// SPDX-License-Identifier: BSD-2-Clause
//! A line that is being written, before it is sent.

use core::fmt::{self, Write};

use super::text::Line;

/// The bytes of a line so far.
pub(crate) struct Pending {
    bytes: [u8; Line::BYTES],
    len: usize,
}

impl Pending {
    /// The line of what is formatted; bytes beyond [`Line::BYTES`] are cut off.
    pub fn line(text: fmt::Arguments<'_>) -> Line {
        let mut pending = Pending { bytes: [0; Line::BYTES], len: 0 };
        // Writing here does not fail; a `Display` may, and then half a line is better than none.
        let _ = pending.write_fmt(text);
        Line::new(core::str::from_utf8(&pending.bytes[..pending.len]).unwrap_or(""))
    }
}

impl Write for Pending {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.len..];
        let fits = (0..=text.len().min(room.len())).rev().find(|&at| text.is_char_boundary(at));
        let fits = fits.unwrap_or(0);
        room[..fits].copy_from_slice(&text.as_bytes()[..fits]);
        self.len += fits;
        Ok(())
    }
}
