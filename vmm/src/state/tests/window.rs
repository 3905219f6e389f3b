// SPDX-License-Identifier: BSD-2-Clause
//! Windows: what is entered of each page is what is known of it.

use untyped_alloc::{CPtr, CachePolicy, Rights};

use crate::state::window::{Attributes, Window, WindowPage, BLOCK_PAGES};
use crate::types::mapping::Source;

/// The page of a number, abandoned or not.
fn page(index: usize, abandoned: bool) -> WindowPage {
    let attributes =
        Attributes::new(Rights::READ, false, CachePolicy::WriteBack, Source::Owned, false);
    WindowPage { frame: CPtr::new(100 + index), attributes, abandoned }
}

#[test]
fn each_page_is_as_it_was_entered() {
    let window = Window::default();
    window.begin(12);
    // Each set of pages, of which each second is abandoned; entered anew the other way round.
    for turn in [false, true] {
        for index in 0..BLOCK_PAGES {
            window.set(index, page(index, (index % 2 == 0) == turn));
        }
        for index in 0..BLOCK_PAGES {
            let found = window.get(index).expect("it is there");
            assert_eq!(found.frame, CPtr::new(100 + index));
            assert_eq!(found.abandoned, (index % 2 == 0) == turn, "page {index}");
        }
    }
    window.remove(1 << 3);
    assert!(window.get(3).is_none() && window.get(4).is_some());
    assert_eq!((window.first_from(3), window.end()), (Some(4), BLOCK_PAGES));
}
