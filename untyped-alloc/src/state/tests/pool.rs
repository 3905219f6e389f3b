// SPDX-License-Identifier: BSD-2-Clause
//! Pools of nodes against the set of nodes that are free.

use core::cell::Cell;
use std::collections::BTreeSet;
use std::vec::Vec;

use super::{explore, std};
use crate::state::Pool;

#[derive(Default)]
struct Node<'p> {
    next_free: Cell<Option<&'p Node<'p>>>,
    number: Cell<usize>,
}

/// Adds nodes (0 to 3), or takes one, or gives the n-th of those that are taken.
type Op = (usize, usize);

fn run(operations: Vec<Op>) {
    let pages: Vec<Vec<Node<'_>>> =
        operations.iter().map(|_| (0..3).map(|_| Node::default()).collect()).collect();
    let mut pool: Pool<'_, Node<'_>> = Pool::new(|node| &node.next_free);
    let (mut free, mut taken, mut total) = (BTreeSet::new(), Vec::new(), 0);
    for (page, (kind, which)) in pages.iter().zip(operations) {
        match kind {
            0 => {
                let nodes = &page[..which % 4];
                for node in nodes {
                    node.number.set(total);
                    free.insert(total);
                    total += 1;
                }
                pool.add(nodes);
            }
            1 | 2 => match pool.alloc() {
                Some(node) => {
                    assert!(free.remove(&node.number.get()), "a node is handed out once");
                    taken.push(node);
                }
                None => assert!(free.is_empty(), "a node is handed out while there is one"),
            },
            _ if taken.is_empty() => {}
            _ => {
                let node = taken.swap_remove(which % taken.len());
                free.insert(node.number.get());
                pool.free(node);
            }
        }
        let bytes = size_of::<Node<'_>>();
        assert_eq!(pool.available(), free.len());
        assert_eq!(pool.total_bytes(), total * bytes);
        assert_eq!(pool.used_bytes(), taken.len() * bytes);
    }
}

#[test]
fn a_pool_agrees_with_the_set_of_its_free_nodes() {
    explore((0..5usize, 0..64usize), (200, 60), run);
}
