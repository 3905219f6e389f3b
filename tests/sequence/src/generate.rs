// SPDX-License-Identifier: BSD-2-Clause
//! Which call comes next.

use untyped_alloc::kernel::{Blueprint, CachePolicy, KernelError, KernelResult, Rights};

use crate::call::{Call, SlotPath, Target};
use crate::config::{Config, PASSIVE, SOURCES, VADDRS, WINDOW};
use crate::guess::{Guesses, Kind};
use crate::rng::Rng;

/// How often, in a hundred, something is chosen because it should fit. The rest is chosen blindly.
const FITTING: u32 = 88;

/// Makes calls from a seed and from what became of the calls before.
#[derive(Clone, Debug)]
pub struct Generator {
    rng: Rng,
    guesses: Guesses,
    config: Config,
    /// Whether something that should have been there was not found for the last call.
    missed: bool,
}

/// Whether something may lie in an active slot, from which it may be invoked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    Active,
    Passive,
}

impl Generator {
    /// A sequence that works in `config`.
    pub fn new(seed: u64, config: &Config) -> Generator {
        Generator { rng: Rng::new(seed), guesses: Guesses::new(), config: *config, missed: false }
    }

    /// The next call.
    pub fn next_call(&mut self) -> Call {
        // Most calls for which nothing fits are not worth making.
        for _ in 0..8 {
            self.missed = false;
            let call = self.any_call();
            if !self.missed {
                return call;
            }
        }
        self.any_call()
    }

    fn any_call(&mut self) -> Call {
        match self.rng.below(102) {
            0..=22 => self.retype(),
            23..=25 => self.retype_into(),
            26..=34 => self.copy(),
            35..=37 => self.mint_badge(),
            38..=41 => self.mint_guard(),
            42..=49 => Call::Delete { slot: self.occupied_path() },
            50..=51 => self.revoke(),
            52..=65 => self.page_map(),
            66..=70 => self.page_remap(),
            71..=75 => Call::PageUnmap { frame: self.active(is_mapped_frame) },
            76..=77 => Call::PageGetAddress { frame: self.active(is_frame) },
            78..=84 => self.table_map(),
            85..=87 => {
                let table = self.active(is_mapped_table);
                Call::TableUnmap { table, level: self.level_of(table) }
            }
            88..=89 => self.make_pool(),
            90..=92 => self.assign(),
            93..=96 => self.set_ipc_buffer(),
            100..=101 => self.cancel_sends(),
            _ => self.set_space(),
        }
    }

    /// Tells what became of `call`.
    pub fn note(&mut self, call: &Call, result: KernelResult<usize>) {
        match (result, call) {
            (Ok(_), _) => self.guesses.succeeded(call),
            (Err(KernelError::InvalidCapability), _) => self.guesses.refused(call, true),
            (Err(KernelError::IllegalOperation), _) => self.guesses.refused(call, false),
            (
                Err(KernelError::FailedLookup),
                Call::Copy { src, .. } | Call::MintBadge { src, .. } | Call::MintGuard { src, .. },
            ) => self.guesses.missing(*src),
            (
                Err(KernelError::DeleteFirst),
                Call::Retype { offset: slot, count: 1, .. }
                | Call::Copy { dst: SlotPath::Direct { target: Target::Window(slot), .. }, .. },
            ) if *slot < WINDOW => self.guesses.occupied(*slot),
            _ => {}
        }
    }

    fn retype(&mut self) -> Call {
        let blueprint = self.blueprint();
        let passive = matches!(blueprint, Blueprint::Endpoint | Blueprint::Notification);
        let (first, end) = if passive { (PASSIVE, WINDOW) } else { (0, WINDOW) };
        let mut offset = self.empty_slot(first, end);
        let room = u32::from(end - offset);
        let mut count =
            if self.rng.chance(70) { 1 } else { 1 + self.rng.below(room.min(8)) as u16 };
        if self.rng.chance(2) {
            // Beyond the limits, where the kernel refuses before it touches a slot.
            (offset, count) = (first, self.rng.pick(&[0, 257, u16::MAX]));
        }
        Call::Retype { untyped: self.untyped_for(blueprint), blueprint, offset, count }
    }

    fn retype_into(&mut self) -> Call {
        let blueprint = self.blueprint();
        let untyped = self.untyped_for(blueprint);
        let root = self.active(is_cnode);
        let node = match self.rng.below(4) {
            // Never at depth 0: that would be the caller's own CNode, and slot 0 of it is empty.
            0 => SlotPath::Direct { target: root, depth: self.depth().max(1) },
            1 => self.inside(root),
            _ => SlotPath::Inside { root, index: 0, depth: 0 },
        };
        let (offset, count) = (self.rng.below(6) as u16, 1 + self.rng.below(3) as u16);
        Call::RetypeInto { untyped, blueprint, node, offset, count }
    }

    fn copy(&mut self) -> Call {
        let (dst, src) = self.two_paths(|kind| kind != Kind::Empty);
        Call::Copy { dst, src, rights: self.rights() }
    }

    fn mint_badge(&mut self) -> Call {
        let (dst, src) = self.two_paths(|kind| kind == Kind::Passive);
        // 28 bits: a debug kernel stops at more.
        let badge = self.rng.pick(&[0, 1, 1, 2, 3, 0x0fff_ffff, 0x1f << 3]);
        Call::MintBadge { dst, src, rights: self.rights(), badge }
    }

    fn mint_guard(&mut self) -> Call {
        let (dst, src) = self.two_paths(is_cnode);
        let guard = self.rng.pick(&[0, 1, 2, 5]);
        let guard_bits = self.rng.pick(&[0, 1, 2, 3, 8, 18]);
        Call::MintGuard { dst, src, guard, guard_bits }
    }

    fn revoke(&mut self) -> Call {
        // Untypeds above all, or the memory is used up soon.
        let target = match self.rng.below(10) {
            0 => Target::Source(self.rng.below(SOURCES as u32) as u8),
            1..=3 => {
                Target::Window(self.slot(0, WINDOW, |kind| matches!(kind, Kind::Untyped { .. })))
            }
            _ => self.any_occupied(),
        };
        Call::Revoke { slot: SlotPath::Direct { target, depth: self.depth() } }
    }

    fn cancel_sends(&mut self) -> Call {
        let slot = match self.rng.chance(50) {
            // Endpoints are among these.
            true => {
                let target = Target::Window(self.slot(0, WINDOW, |kind| kind == Kind::Unknown));
                SlotPath::Direct { target, depth: self.depth() }
            }
            false => self.occupied_path(),
        };
        Call::CancelSends { slot }
    }

    fn page_map(&mut self) -> Call {
        let unmapped = Kind::Frame { mapped: false };
        let frame = self.active(|kind| kind == unmapped);
        let (vspace, vaddr) = self.place();
        let (rights, cache) = (self.rights(), self.cache());
        Call::PageMap { frame, vspace, vaddr, rights, cache }
    }

    fn page_remap(&mut self) -> Call {
        let (frame, vspace) = (self.active(is_mapped_frame), self.vspace());
        let (vaddr, rights, cache) = (self.vaddr(), self.rights(), self.cache());
        Call::PageRemap { frame, vspace, vaddr, rights, cache }
    }

    fn table_map(&mut self) -> Call {
        let table = self.active(is_unmapped_table);
        let level = self.level_of(table);
        Call::TableMap { table, level, vspace: self.vspace(), vaddr: self.vaddr() }
    }

    fn make_pool(&mut self) -> Call {
        let bits = self.config.sizes.asid_pool_bits;
        let untyped = self.active(|kind| kind == Kind::Untyped { size_bits: bits });
        Call::MakePool { untyped, dst: self.empty_path(Where::Active) }
    }

    fn assign(&mut self) -> Call {
        let pool = if self.rng.chance(60) {
            Target::AsidPool
        } else {
            self.active(|kind| kind == Kind::Pool)
        };
        Call::Assign { pool, vspace: self.active(is_new_root) }
    }

    fn set_ipc_buffer(&mut self) -> Call {
        let (tcb, frame) = (self.active(|kind| kind == Kind::Tcb), self.in_window(is_frame));
        Call::SetIpcBuffer { tcb, vaddr: self.rng.below(VADDRS as u32) as u8, frame }
    }

    fn set_space(&mut self) -> Call {
        let (tcb, cspace) = (self.active(|kind| kind == Kind::Tcb), self.in_window(is_cnode));
        let fault_endpoint = self.rng.below(8) as u16;
        Call::SetSpace { tcb, fault_endpoint, cspace, vspace: self.vspace() }
    }

    /// A slot of the window where `wanted` should hold, from `from` on, or any below `end`.
    fn slot(&mut self, from: u8, end: u8, wanted: impl Fn(Kind) -> bool) -> u8 {
        let span = u32::from(end - from);
        let start = self.rng.below(span);
        let fitting = self.rng.chance(FITTING);
        let slot = |i: u32| from + ((start + i) % span) as u8;
        let found = (0..span).map(slot).find(|&slot| wanted(self.guesses.kind(slot)));
        self.missed |= fitting && found.is_none();
        found.filter(|_| fitting).unwrap_or(slot(0))
    }

    /// Something to invoke.
    fn active(&mut self, wanted: impl Fn(Kind) -> bool) -> Target {
        if self.rng.chance(1) {
            return self.rng.pick(&[Target::Null, Target::VSpace, Target::AsidPool]);
        }
        Target::Window(self.slot(0, PASSIVE, wanted))
    }

    /// Something to pass along.
    fn in_window(&mut self, wanted: impl Fn(Kind) -> bool) -> Target {
        if self.rng.chance(1) {
            return self.rng.pick(&[Target::Null, Target::VSpace]);
        }
        Target::Window(self.slot(0, WINDOW, wanted))
    }

    fn any_occupied(&mut self) -> Target {
        Target::Window(self.slot(0, WINDOW, |kind| kind != Kind::Empty))
    }

    fn empty_slot(&mut self, from: u8, end: u8) -> u8 {
        self.slot(from, end, |kind| kind == Kind::Empty)
    }

    /// An untyped with room for one object.
    fn untyped_for(&mut self, blueprint: Blueprint) -> Target {
        if self.rng.chance(50) {
            // The first is the largest.
            return Target::Source(self.rng.pick(&[0, 0, 0, 1, 1, 2, SOURCES as u8 - 1]));
        }
        let least = self.config.sizes.size_bits(blueprint).unwrap_or(0);
        self.active(|kind| matches!(kind, Kind::Untyped { size_bits } if size_bits >= least))
    }

    fn vspace(&mut self) -> Target {
        if self.rng.chance(50) {
            Target::VSpace
        } else {
            self.in_window(is_root)
        }
    }

    /// A VSpace and an address: below a table that was mapped, or anywhere.
    fn place(&mut self) -> (Target, u8) {
        if self.rng.chance(30) {
            return (self.vspace(), self.vaddr());
        }
        let (vspace, table) = self.guesses.table(self.rng.next_u32());
        let span =
            |number: u8| self.config.vaddrs[usize::from(number)] >> self.config.sizes.frame_bits[1];
        let mut vaddr = table;
        for _ in 0..4 {
            let other = self.rng.below(VADDRS as u32) as u8;
            if span(other) == span(table) {
                vaddr = other;
            }
        }
        (vspace, vaddr)
    }

    fn occupied_path(&mut self) -> SlotPath {
        if self.rng.chance(12) {
            let root = self.active(is_cnode);
            return self.inside(root);
        }
        SlotPath::Direct { target: self.any_occupied(), depth: self.depth() }
    }

    fn empty_path(&mut self, place: Where) -> SlotPath {
        if self.rng.chance(15) {
            let root = self.active(is_cnode);
            return self.inside(root);
        }
        let from = if place == Where::Passive { PASSIVE } else { 0 };
        let target = Target::Window(self.empty_slot(from, WINDOW));
        SlotPath::Direct { target, depth: self.depth() }
    }

    /// A destination and a source. What comes from a passive slot, or from inside a CNode where
    /// nobody knows what lies, stays passive.
    fn two_paths(&mut self, wanted: impl Fn(Kind) -> bool) -> (SlotPath, SlotPath) {
        let (src, place) = if self.rng.chance(12) {
            let root = self.in_window(is_cnode);
            (self.inside(root), Where::Passive)
        } else if self.rng.chance(4) {
            let target = Target::Source(self.rng.below(SOURCES as u32) as u8);
            (SlotPath::Direct { target, depth: self.depth() }, Where::Active)
        } else {
            let slot = self.slot(0, WINDOW, wanted);
            let place = if slot < PASSIVE { Where::Active } else { Where::Passive };
            (SlotPath::Direct { target: Target::Window(slot), depth: self.depth() }, place)
        };
        (self.empty_path(place), src)
    }

    /// A slot inside the CNode at `root`.
    fn inside(&mut self, root: Target) -> SlotPath {
        let mut index = self.rng.below(4);
        let mut depth = self.rng.pick(&[1, 2, 3]);
        if let Target::Window(slot) = root {
            if let Kind::CNode { radix, guard, guard_bits } = self.guesses.kind(slot) {
                index = (guard << radix | index & ((1 << radix) - 1)) & 0xffff;
                depth = radix + guard_bits;
            }
        }
        if self.rng.chance(5) {
            let all = self.config.sizes.word_bits;
            depth = self.rng.pick(&[0, 1, 2, 4, all, all + 1]);
        }
        SlotPath::Inside { root, index: index as u16, depth }
    }

    /// How deep a path from the root CNode is. Only all bits of a word are right.
    fn depth(&mut self) -> u8 {
        let all = self.config.sizes.word_bits;
        if self.rng.chance(3) {
            self.rng.pick(&[0, 1, all - 1, all + 1, u8::MAX])
        } else {
            all
        }
    }

    fn blueprint(&mut self) -> Blueprint {
        let sizes = self.config.sizes;
        match self.rng.below(100) {
            0..=24 => {
                let size_bits = self.rng.pick(&[12, 12, 12, 13, 14, 16, 16, 18, 4, 5, 8, 10, 22]);
                Blueprint::Untyped { size_bits }
            }
            25..=54 => Blueprint::Frame { size_bits: sizes.frame_bits[0] },
            55..=58 => Blueprint::Frame { size_bits: sizes.frame_bits[1] },
            59..=68 => Blueprint::Table { level: self.table_level() },
            69..=75 => Blueprint::Table { level: 0 },
            76..=82 => Blueprint::Tcb,
            83..=89 => Blueprint::CNode { radix_bits: self.rng.pick(&[1, 1, 2, 2, 3, 4]) },
            90..=93 => Blueprint::Endpoint,
            94..=96 => Blueprint::Notification,
            _ => self.rng.pick(&[
                Blueprint::Untyped { size_bits: 3 },
                Blueprint::Untyped { size_bits: sizes.untyped_max_bits },
                Blueprint::Untyped { size_bits: sizes.untyped_max_bits + 1 },
                Blueprint::CNode { radix_bits: 0 },
                Blueprint::CNode { radix_bits: sizes.untyped_max_bits - 1 },
                Blueprint::CNode { radix_bits: sizes.untyped_max_bits + 1 },
            ]),
        }
    }

    /// The level of what should be a table, or any where there is a choice.
    fn level_of(&mut self, table: Target) -> u8 {
        let any = self.table_level();
        let Target::Window(slot) = table else { return any };
        match self.guesses.kind(slot) {
            Kind::Table { level: level @ 1.., .. } if self.rng.chance(FITTING) => level,
            _ => any,
        }
    }

    /// Any level below the root. On x86_64 not the first below it: a copy of its capability halts
    /// the kernel of 5.0.0, and what is copied here is not known for certain.
    fn table_level(&mut self) -> u8 {
        let first = if self.config.sizes.table_levels > 2 { 2 } else { 1 };
        first + self.rng.below(u32::from(self.config.sizes.table_levels - first)) as u8
    }

    fn vaddr(&mut self) -> u8 {
        let usual = if self.rng.chance(85) { 11 } else { VADDRS as u32 };
        self.rng.below(usual) as u8
    }

    fn rights(&mut self) -> Rights {
        if self.rng.chance(60) {
            Rights::all()
        } else {
            Rights::from_bits_truncate(self.rng.below(8) as u8)
        }
    }

    fn cache(&mut self) -> CachePolicy {
        self.rng.pick(&[
            CachePolicy::WriteBack,
            CachePolicy::WriteBack,
            CachePolicy::WriteThrough,
            CachePolicy::Uncached,
            CachePolicy::WriteCombining,
        ])
    }
}

fn is_cnode(kind: Kind) -> bool {
    matches!(kind, Kind::CNode { .. })
}

fn is_frame(kind: Kind) -> bool {
    matches!(kind, Kind::Frame { .. })
}

fn is_mapped_frame(kind: Kind) -> bool {
    kind == Kind::Frame { mapped: true }
}

fn is_root(kind: Kind) -> bool {
    kind == Kind::Table { level: 0, mapped: true }
}

fn is_new_root(kind: Kind) -> bool {
    kind == Kind::Table { level: 0, mapped: false }
}

fn is_mapped_table(kind: Kind) -> bool {
    matches!(kind, Kind::Table { level: 1.., mapped: true })
}

fn is_unmapped_table(kind: Kind) -> bool {
    matches!(kind, Kind::Table { level: 1.., mapped: false })
}
