// SPDX-License-Identifier: BSD-2-Clause
//! The buddy tree against a list of all its blocks.

use proptest::prelude::*;
use std::vec::Vec;

use super::{explore, std};
use crate::state::{Block, BlockState, Blocks, Chunk, Group};
use crate::types::{CPtr, Mobility, UntypedInfo};

const NODES: usize = 64;
/// What is this large is in no group.
const LARGE: u8 = 7;

/// One operation. A number that chooses among blocks is taken modulo how many there are.
#[derive(Clone, Debug)]
enum Op {
    Boot { place: usize, bits: u8, device: bool },
    Use(usize),
    Free(usize),
    Split(usize, u8, Group),
    Coalesce(usize),
}

/// Boot untypeds of 2^4 to 2^9 bytes within 4 KiB, so that they are close to each other.
fn operation() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => (0..256usize, 4..10u8, any::<bool>())
            .prop_map(|(place, bits, device)| Op::Boot { place, bits, device }),
        4 => any::<usize>().prop_map(Op::Use),
        4 => any::<usize>().prop_map(Op::Free),
        6 => (any::<usize>(), 1..3u8, group())
            .prop_map(|(which, step, group)| Op::Split(which, step, group)),
        4 => any::<usize>().prop_map(Op::Coalesce),
    ]
}

const FOR_EITHER: [Mobility; 2] = [Mobility::Movable, Mobility::Fixed];

fn group() -> impl Strategy<Value = Group> {
    prop_oneof![
        Just(Group::Neutral),
        Just(Group::For(Mobility::Movable)),
        Just(Group::For(Mobility::Fixed)),
    ]
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Free,
    Split(u8),
    Used(usize),
}

/// A block as the model sees it: it lies in the list before its children.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Node {
    paddr: usize,
    bits: u8,
    slot: CPtr,
    dirty: bool,
    device: bool,
    group: Group,
    state: State,
    /// Where and how large its parent is.
    parent: Option<(usize, u8)>,
}

impl Node {
    fn id(&self) -> (usize, u8) {
        (self.paddr, self.bits)
    }

    /// What the best fit is the least of.
    fn fit(&self) -> (u8, bool, usize) {
        (self.bits, self.dirty, self.paddr)
    }

    /// How far it is from being for objects of this mobility.
    fn distance(&self, mobility: Mobility) -> u8 {
        match self.group {
            Group::For(own) if own == mobility => 0,
            Group::Neutral if self.bits < LARGE => 0,
            Group::Neutral => 1,
            _ => 2,
        }
    }

    fn is_leaf(&self) -> bool {
        !matches!(self.state, State::Split(_))
    }

    fn end(&self) -> usize {
        self.paddr + (1 << self.bits)
    }
}

struct Run<'p> {
    blocks: Blocks<'p>,
    chunks: &'p [Chunk<'p>],
    model: Vec<Node>,
    /// Slots and chunks that were used so far.
    next: usize,
}

impl<'p> Run<'p> {
    /// The block of a node that is a leaf.
    fn leaf(&self, node: &Node) -> &'p Block<'p> {
        let block = self.blocks.leaf_at(node.paddr).expect("a leaf covers its first address");
        assert_eq!((block.paddr(), block.size_bits()), node.id());
        block
    }

    fn children<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = &'a Node> {
        self.model.iter().filter(move |child| child.parent == Some(node.id()))
    }

    fn busy(&self, node: &Node) -> usize {
        self.children(node).filter(|child| child.state != State::Free).count()
    }

    fn is_coalescible(&self, node: &Node) -> bool {
        !node.is_leaf() && self.busy(node) == 0
    }

    /// One of the nodes that a test holds for, by number in the model.
    fn pick(&self, which: usize, wanted: impl Fn(&Node) -> bool) -> Option<usize> {
        let found: Vec<usize> =
            (0..self.model.len()).filter(|&index| wanted(&self.model[index])).collect();
        (!found.is_empty()).then(|| found[which % found.len()])
    }

    fn new_slots(&mut self, count: usize) -> CPtr {
        self.next += count;
        CPtr::new(self.next)
    }

    fn step(&mut self, operation: Op) {
        match operation {
            Op::Boot { place, bits, device } => {
                self.boot(((place * 16) >> bits) << bits, bits, device)
            }
            Op::Use(which) => {
                let Some(index) = self.pick(which, |node| node.state == State::Free) else {
                    return;
                };
                let number = which % self.chunks.len();
                let block = self.leaf(&self.model[index]);
                self.blocks.mark_used(block, BlockState::Used(&self.chunks[number]));
                self.model[index].state = State::Used(number);
            }
            Op::Free(which) => {
                let used = |node: &Node| matches!(node.state, State::Used(_));
                let Some(index) = self.pick(which, used) else { return };
                self.blocks.mark_free(self.leaf(&self.model[index]));
                let node = &mut self.model[index];
                (node.state, node.dirty) = (State::Free, true);
            }
            Op::Split(which, step, group) => self.split(which, step, group),
            Op::Coalesce(which) => self.coalesce(which),
        }
    }

    fn boot(&mut self, paddr: usize, bits: u8, device: bool) {
        let slot = self.new_slots(1);
        let (dirty, state, parent) = (true, State::Free, None);
        let group = if device { Group::Device } else { Group::Neutral };
        let node = Node { paddr, bits, slot, dirty, device, group, state, parent };
        let overlaps = |other: &Node| paddr < other.end() && other.paddr < node.end();
        if self.model.iter().any(overlaps) {
            return;
        }
        let Some(block) = self.blocks.pool.alloc() else { return };
        let info = UntypedInfo { slot, paddr, size_bits: bits, is_device: device };
        self.blocks.insert_boot(block, info);
        self.model.push(node);
    }

    fn split(&mut self, which: usize, step: u8, group: Group) {
        let free = |node: &Node| node.state == State::Free && node.bits >= 4 + step;
        let Some(index) = self.pick(which, free) else { return };
        let (node, count) = (self.model[index], 1usize << step);
        if self.blocks.pool.available() < count {
            return;
        }
        let (block, child_bits) = (self.leaf(&node), node.bits - step);
        let nodes: Vec<_> = (0..count).map(|_| self.blocks.pool.alloc()).collect();
        let first = self.new_slots(count);
        self.blocks.split(block, child_bits, group, first, &nodes);
        let node = &mut self.model[index];
        (node.state, node.dirty) = (State::Split(child_bits), true);
        let (paddr, device, parent) = (node.paddr, node.device, Some(node.id()));
        self.model.extend((0..count).map(|number| Node {
            paddr: paddr + (number << child_bits),
            bits: child_bits,
            slot: first.offset(number),
            dirty: false,
            device,
            group: match device {
                true => Group::Device,
                false if child_bits >= LARGE => Group::Neutral,
                false => group,
            },
            state: State::Free,
            parent,
        }));
    }

    fn coalesce(&mut self, which: usize) {
        let Some(index) = self.pick(which, |node| self.is_coalescible(node)) else { return };
        let node = self.model[index];
        let first = *self.children(&node).next().expect("it has children");
        let block = self.leaf(&first).parent().expect("it was split off");
        let count = self.children(&node).count();
        assert_eq!(self.blocks.coalesce(block), (first.slot, count));
        self.model.retain(|child| child.parent != Some(node.id()));
        let node = self.model.iter_mut().find(|other| other.id() == node.id()).expect("it stays");
        (node.state, node.dirty) = (State::Free, true);
    }

    fn check(&self) {
        let mut leaves: Vec<&Node> = self.model.iter().filter(|node| node.is_leaf()).collect();
        leaves.sort_by_key(|leaf| leaf.paddr);
        assert_eq!(self.blocks.leaves().count(), leaves.len());
        for (block, leaf) in self.blocks.leaves().zip(&leaves) {
            self.check_leaf(block, leaf);
        }
        let bytes = |wanted: &dyn Fn(&Node) -> bool| -> usize {
            leaves.iter().filter(|leaf| wanted(leaf)).map(|leaf| 1usize << leaf.bits).sum()
        };
        let free = |leaf: &Node| leaf.state == State::Free && !leaf.device;
        assert_eq!(self.blocks.free_bytes(), bytes(&free));
        assert_eq!(self.blocks.total_bytes(), bytes(&|leaf| !leaf.device));
        assert_eq!(self.blocks.device_bytes(), bytes(&|leaf| leaf.device));
        self.check_fits(&leaves);
        self.check_addresses(&leaves);
    }

    fn check_leaf(&self, block: &'p Block<'p>, leaf: &Node) {
        assert_eq!(
            (block.paddr(), block.size_bits(), block.slot()),
            (leaf.paddr, leaf.bits, leaf.slot)
        );
        assert_eq!((block.is_dirty(), block.is_device()), (leaf.dirty, leaf.device));
        assert_eq!(block.group(), leaf.group);
        match (block.state(), leaf.state) {
            (BlockState::Free, State::Free) => {}
            (BlockState::Used(chunk), State::Used(number)) => {
                assert!(core::ptr::eq(chunk, &self.chunks[number]));
            }
            (state, expected) => panic!("{state:?} where the model has {expected:?}"),
        }
        let parent = block.parent().map(|parent| (parent.paddr(), parent.size_bits()));
        assert_eq!(parent, leaf.parent);
        let above = self.model.iter().find(|node| Some(node.id()) == leaf.parent);
        if let (Some(parent), Some(node)) = (block.parent(), above) {
            assert_eq!(usize::from(parent.busy_children()), self.busy(node));
            let State::Split(child_bits) = node.state else { panic!("a parent is split") };
            assert_eq!(parent.state(), BlockState::Split { child_bits });
            assert_eq!((parent.is_dirty(), parent.slot()), (node.dirty, node.slot));
        }
    }

    fn check_fits(&self, leaves: &[&Node]) {
        let id = |block: &Block<'_>| (block.paddr(), block.size_bits());
        let free = || leaves.iter().filter(|leaf| leaf.state == State::Free && !leaf.device);
        let coalescible =
            || self.model.iter().filter(|node| self.is_coalescible(node) && !node.device);
        for bits in 0..12 {
            self.check_groups(leaves, bits);
            let dirty = free().filter(|leaf| leaf.bits >= bits && leaf.dirty);
            let dirty = dirty.min_by_key(|leaf| leaf.fit()).map(|leaf| leaf.id());
            assert_eq!(self.blocks.dirty_fit(bits).map(id), dirty, "dirty, 2^{bits}");
            let fit = coalescible().filter(|node| node.bits >= bits).min_by_key(|node| node.fit());
            let fit = fit.or_else(|| coalescible().max_by_key(|node| node.fit()));
            let found = self.blocks.coalescible_for(bits, usize::MAX).map(id);
            assert_eq!(found, fit.map(|node| node.id()), "to coalesce for 2^{bits}");
            let smaller = |node: &&Node| matches!(node.state, State::Split(of) if of < bits);
            let pieces = coalescible().filter(|node| node.bits >= bits).filter(smaller);
            let pieces = pieces.min_by_key(|node| node.fit()).map(|node| node.id());
            assert_eq!(self.blocks.free_in_pieces(bits).map(id), pieces, "pieces of 2^{bits}");
            let below = coalescible().any(|node| node.bits < bits);
            assert_eq!(self.blocks.has_coalescible_below(bits), below, "below 2^{bits}");
        }
        let largest = free().map(|leaf| leaf.bits).max().unwrap_or(0);
        assert_eq!(self.blocks.largest_free_bits(), largest);
        assert_eq!(self.blocks.tree_counts(), (free().count(), coalescible().count()));
        let devices = self.model.iter().filter(|node| node.device && self.is_coalescible(node));
        let lowest = devices.min_by_key(|node| node.paddr).map(|node| node.id());
        assert_eq!(self.blocks.coalescible_device().map(id), lowest);
    }

    /// The best fits of at least 2^`bits` bytes, with whatever may be cleared for them.
    fn check_groups(&self, leaves: &[&Node], bits: u8) {
        let id = |block: &Block<'_>| (block.paddr(), block.size_bits());
        let free = leaves.iter().filter(|leaf| leaf.state == State::Free && !leaf.device);
        let fitting = || free.clone().filter(|leaf| leaf.bits >= bits);
        for mobility in FOR_EITHER {
            let best = |most: usize| {
                let may = |leaf: &&&Node| !leaf.dirty || 1 << leaf.bits <= most;
                let order = |leaf: &&&Node| (leaf.distance(mobility), leaf.fit());
                fitting().filter(may).min_by_key(order).map(|leaf| leaf.id())
            };
            let found = self.blocks.best_fit(bits, mobility).map(id);
            assert_eq!(found, best(usize::MAX), "2^{bits}, {mobility:?}");
            for most in [0, 1 << 5, 1 << 7, usize::MAX] {
                let found = self.blocks.best_fit_clearing(bits, mobility, most).map(id);
                assert_eq!(found, best(most), "2^{bits}, {mobility:?}, clearing {most}");
            }
        }
    }

    fn check_addresses(&self, leaves: &[&Node]) {
        let bounds = leaves.iter().flat_map(|leaf| [leaf.paddr, leaf.end()]);
        let near = bounds.flat_map(|at| [at.wrapping_sub(1), at, at + 1]);
        for at in near.chain([0, usize::MAX]) {
            let covering = leaves.iter().find(|leaf| leaf.paddr <= at && at < leaf.end());
            let found = self.blocks.leaf_at(at).map(Block::paddr);
            assert_eq!(found, covering.map(|leaf| leaf.paddr), "{at:#x}");
            let from = leaves.iter().find(|leaf| leaf.paddr >= at);
            let found = self.blocks.leaf_from(at).map(Block::paddr);
            assert_eq!(found, from.map(|leaf| leaf.paddr), "from {at:#x} on");
        }
    }
}

fn run(operations: Vec<Op>) {
    let chunks: Vec<Chunk<'_>> = (0..5).map(|_| Chunk::default()).collect();
    let nodes: Vec<Block<'_>> = (0..NODES).map(|_| Block::default()).collect();
    let mut blocks = Blocks::new(LARGE);
    blocks.pool.add(&nodes);
    let mut run = Run { blocks, chunks: &chunks, model: Vec::new(), next: 1 };
    for operation in operations {
        run.step(operation);
        run.check();
        assert_eq!(run.blocks.pool.available(), NODES - run.model.len(), "no node is lost");
    }
}

#[test]
fn the_buddy_tree_agrees_with_a_list_of_blocks() {
    explore(operation(), (400, 80), run);
}
