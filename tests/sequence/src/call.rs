// SPDX-License-Identifier: BSD-2-Clause
//! One invocation, small enough to store and print, and how it is made.

use untyped_alloc::kernel::{
    Blueprint, CPtr, CachePolicy, CapPath, Kernel, KernelResult, ObjectSizes, Rights,
};

use crate::Config;

/// A capability that is invoked or passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// A slot of the window.
    Window(u8),
    /// One of the untypeds the sequence starts from.
    Source(u8),
    /// The caller's VSpace.
    VSpace,
    /// The boot's ASID pool.
    AsidPool,
    /// The caller's root CNode. It is only ever the root of a path.
    Root,
    /// Slot 0, which is empty.
    Null,
}

impl Target {
    /// Where it is in the caller's CSpace.
    pub fn cptr(self, config: &Config) -> CPtr {
        match self {
            Target::Window(slot) => config.window.offset(usize::from(slot)),
            Target::Source(number) => config.sources[usize::from(number)],
            Target::VSpace => config.vspace,
            Target::AsidPool => config.asid_pool,
            Target::Root => config.root,
            Target::Null => CPtr::NULL,
        }
    }
}

/// A slot named by a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SlotPath {
    /// The slot of a target, from the root CNode with `depth` bits: right with all of a word.
    Direct {
        /// What lies in it.
        target: Target,
        /// Bits to resolve.
        depth: u8,
    },
    /// A slot below the capability in a slot of the window.
    Inside {
        /// The capability the path starts from: right if it is a CNode.
        root: Target,
        /// Its address there.
        index: u16,
        /// Bits to resolve: right if as many as guard and radix have.
        depth: u8,
    },
}

impl SlotPath {
    /// The path as the seam has it.
    pub fn cap_path(self, config: &Config) -> CapPath {
        match self {
            SlotPath::Direct { target, depth } => {
                CapPath { root: config.root, index: target.cptr(config).bits(), depth }
            }
            SlotPath::Inside { root, index, depth } => {
                CapPath { root: root.cptr(config), index: usize::from(index), depth }
            }
        }
    }
}

/// An invocation. Addresses are numbers into [`Config::vaddrs`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // The fields are the parameters of `Kernel`'s methods.
pub enum Call {
    /// Into the window: the root CNode with depth 0, `offset` counted from the window's start.
    Retype {
        untyped: Target,
        blueprint: Blueprint,
        offset: u8,
        count: u16,
    },
    /// Into the CNode whose capability is at `node`, or that `node`'s root is at depth 0.
    RetypeInto {
        untyped: Target,
        blueprint: Blueprint,
        node: SlotPath,
        offset: u16,
        count: u16,
    },
    Copy {
        dst: SlotPath,
        src: SlotPath,
        rights: Rights,
    },
    MintBadge {
        dst: SlotPath,
        src: SlotPath,
        rights: Rights,
        badge: u32,
    },
    MintGuard {
        dst: SlotPath,
        src: SlotPath,
        guard: u32,
        guard_bits: u8,
    },
    Delete {
        slot: SlotPath,
    },
    Revoke {
        slot: SlotPath,
    },
    CancelSends {
        slot: SlotPath,
    },
    PageMap {
        frame: Target,
        vspace: Target,
        vaddr: u8,
        rights: Rights,
        cache: CachePolicy,
    },
    PageRemap {
        frame: Target,
        vspace: Target,
        vaddr: u8,
        rights: Rights,
        cache: CachePolicy,
    },
    PageUnmap {
        frame: Target,
    },
    PageGetAddress {
        frame: Target,
    },
    TableMap {
        table: Target,
        level: u8,
        vspace: Target,
        vaddr: u8,
    },
    TableUnmap {
        table: Target,
        level: u8,
    },
    MakePool {
        untyped: Target,
        dst: SlotPath,
    },
    Assign {
        pool: Target,
        vspace: Target,
    },
    SetIpcBuffer {
        tcb: Target,
        vaddr: u8,
        frame: Target,
    },
    SetSpace {
        tcb: Target,
        fault_endpoint: u16,
        cspace: Target,
        vspace: Target,
    },
}

impl SlotPath {
    /// The same on another architecture than IA32: see [`Call::on`].
    fn on(self, sizes: &ObjectSizes) -> SlotPath {
        match self {
            SlotPath::Direct { target, depth } if depth == ObjectSizes::IA32.word_bits => {
                SlotPath::Direct { target, depth: sizes.word_bits }
            }
            other => other,
        }
    }
}

impl Call {
    /// The same on another architecture than IA32, with its words, its large frames, and its
    /// lowest tables for page tables.
    #[must_use]
    pub fn on(mut self, sizes: &ObjectSizes) -> Call {
        let ia32 = ObjectSizes::IA32;
        match &mut self {
            Call::Retype { blueprint, .. } | Call::RetypeInto { blueprint, .. } => {
                match blueprint {
                    Blueprint::Frame { size_bits } if *size_bits == ia32.frame_bits[1] => {
                        *size_bits = sizes.frame_bits[1];
                    }
                    Blueprint::Table { level: level @ 1 } => *level = sizes.table_levels - 1,
                    _ => {}
                }
            }
            Call::TableMap { level, .. } | Call::TableUnmap { level, .. } => {
                *level = sizes.table_levels - 1;
            }
            Call::Copy { dst, src, .. }
            | Call::MintBadge { dst, src, .. }
            | Call::MintGuard { dst, src, .. } => {
                (*dst, *src) = (dst.on(sizes), src.on(sizes));
            }
            Call::Delete { slot } | Call::Revoke { slot } | Call::MakePool { dst: slot, .. } => {
                *slot = slot.on(sizes);
            }
            _ => {}
        }
        self
    }

    /// Makes the invocation. What it returns is 0 where the invocation returns nothing.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn run(&self, kernel: &mut impl Kernel, config: &Config) -> KernelResult<usize> {
        let at = |target: Target| target.cptr(config);
        let path = |slot: SlotPath| slot.cap_path(config);
        let vaddr = |number: u8| config.vaddrs[usize::from(number)];
        match *self {
            Call::Retype { untyped, blueprint, offset, count } => {
                let node = CapPath { root: config.root, index: 0, depth: 0 };
                let offset = config.window.bits() + usize::from(offset);
                kernel.untyped_retype(at(untyped), blueprint, node, offset, usize::from(count))
            }
            Call::RetypeInto { untyped, blueprint, node, offset, count } => kernel.untyped_retype(
                at(untyped),
                blueprint,
                path(node),
                usize::from(offset),
                usize::from(count),
            ),
            Call::Copy { dst, src, rights } => kernel.cnode_copy(path(dst), path(src), rights),
            Call::MintBadge { dst, src, rights, badge } => {
                kernel.cnode_mint_badge(path(dst), path(src), rights, badge as usize)
            }
            Call::MintGuard { dst, src, guard, guard_bits } => {
                kernel.cnode_mint_guard(path(dst), path(src), guard as usize, guard_bits)
            }
            Call::Delete { slot } => kernel.cnode_delete(path(slot)),
            Call::Revoke { slot } => kernel.cnode_revoke(path(slot)),
            Call::CancelSends { slot } => kernel.cnode_cancel_badged_sends(path(slot)),
            Call::PageMap { frame, vspace, vaddr: to, rights, cache } => {
                kernel.page_map(at(frame), at(vspace), vaddr(to), rights, cache)
            }
            Call::PageRemap { frame, vspace, vaddr: to, rights, cache } => {
                kernel.page_remap(at(frame), at(vspace), vaddr(to), rights, cache)
            }
            Call::PageUnmap { frame } => kernel.page_unmap(at(frame)),
            Call::PageGetAddress { frame } => return kernel.page_get_address(at(frame)),
            Call::TableMap { table, level, vspace, vaddr: to } => {
                kernel.table_map(at(table), level, at(vspace), vaddr(to))
            }
            Call::TableUnmap { table, level } => kernel.table_unmap(at(table), level),
            Call::MakePool { untyped, dst } => {
                kernel.asid_control_make_pool(at(untyped), path(dst))
            }
            Call::Assign { pool, vspace } => kernel.asid_pool_assign(at(pool), at(vspace)),
            Call::SetIpcBuffer { tcb, vaddr: to, frame } => {
                kernel.tcb_set_ipc_buffer(at(tcb), vaddr(to), at(frame))
            }
            Call::SetSpace { tcb, fault_endpoint, cspace, vspace } => {
                let fault_endpoint = CPtr::new(usize::from(fault_endpoint));
                kernel.tcb_set_space(at(tcb), fault_endpoint, at(cspace), at(vspace))
            }
        }
        .map(|()| 0)
    }
}
