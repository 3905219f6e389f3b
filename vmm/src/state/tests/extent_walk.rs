// SPDX-License-Identifier: BSD-2-Clause
//! A cursor over extents, compared with a model that is a range and an address.

use page_tables::PageRange;

use super::extent_model::{Model, Run};
use crate::state::extent_cursor::ExtentCursor;
use crate::state::space::Space;

/// A cursor, its range, and the address that it has come to.
pub(super) struct Walk {
    cursor: ExtentCursor,
    range: PageRange,
    at: usize,
}

impl Walk {
    /// A walk over all of a range.
    pub fn over(range: PageRange) -> Walk {
        Walk { cursor: ExtentCursor::over(range), range, at: range.start().bits() }
    }

    /// Goes to an address, back or forth; one outside the range is its start or its end.
    pub fn go_to(&mut self, to: usize) {
        self.at = to.clamp(self.range.start().bits(), self.range.end());
        self.cursor.go_to(to);
    }

    /// Visits the next extent.
    pub fn next(&mut self, space: &Space<'_>, model: &Model) {
        let expected = model.first_in(self.at, self.range.end());
        let expected = expected.filter(|_| self.at < self.range.end());
        let visited = self.cursor.next(space);
        assert_eq!(visited.map(|visited| visited.extent), expected.map(Run::extent));
        let (Some(visited), Some(run)) = (visited, expected) else {
            self.at = self.range.end();
            return;
        };
        let rest = self.range.from(self.at).unwrap();
        let (first, count) = Model::indices_in(run, rest);
        assert_eq!(visited.count, count, "frames that lie in the range, even in part");
        if let Some(first) = first {
            assert_eq!(visited.first, first);
            let (start, capability) = run.frames[first];
            assert_eq!(visited.part(), run.like.extent(start, capability, count));
        }
        self.at = run.end().min(self.range.end());
    }
}
