// SPDX-License-Identifier: BSD-2-Clause
//! Sequences written by hand, for what random ones hardly reach. They are written for IA32;
//! [`Call::on`] makes them those of another architecture: its lowest tables and its large frames.
//! All of them start from a cleared
//! window and fresh addresses, and use the first untyped for large frames only.

use untyped_alloc::kernel::{Blueprint, CachePolicy, ObjectSizes, Rights};

use crate::call::{Call, SlotPath, Target};

/// A sequence with a name.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What it is about; one word.
    pub name: &'static str,
    /// Levels of paging structures of the architecture that it is written for: 2 for IA32, whose
    /// scenarios are made those of others by [`Call::on`].
    pub levels: u8,
    /// Its calls.
    pub calls: &'static [Call],
}

impl Scenario {
    /// The scenario of this name.
    pub fn named(name: &str) -> Option<&'static Scenario> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }
}

const FRAME: Blueprint = Blueprint::Frame { size_bits: 12 };
const LARGE: Blueprint = Blueprint::Frame { size_bits: 22 };
const TABLE: Blueprint = Blueprint::Table { level: 1 };
const ROOT: Blueprint = Blueprint::Table { level: 0 };
const POOL: Blueprint = Blueprint::Untyped { size_bits: 12 };
const CNODE: Blueprint = Blueprint::CNode { radix_bits: 2 };

const OWN: Target = Target::VSpace;
/// Numbers of addresses: the first page, the one after, the last of the address space.
const FIRST: u8 = 0;
const SECOND: u8 = 1;
const LAST: u8 = 18;

const fn w(slot: u8) -> Target {
    Target::Window(slot)
}

/// The window's slot as a path.
const fn at(slot: u8) -> SlotPath {
    SlotPath::Direct { target: w(slot), depth: 32 }
}

/// A slot of the CNode of four slots at `slot`.
const fn inside(slot: u8, index: u16) -> SlotPath {
    SlotPath::Inside { root: w(slot), index, depth: 2 }
}

const fn make(slot: u8, blueprint: Blueprint) -> Call {
    make_from(Target::Source(1), slot, blueprint)
}

const fn make_from(untyped: Target, slot: u8, blueprint: Blueprint) -> Call {
    Call::Retype { untyped, blueprint, offset: slot, count: 1 }
}

const fn make_into(untyped: Target, slot: u8, index: u16, blueprint: Blueprint) -> Call {
    let node = SlotPath::Inside { root: w(slot), index: 0, depth: 0 };
    Call::RetypeInto { untyped, blueprint, node, offset: index, count: 1 }
}

const fn copy(dst: SlotPath, src: SlotPath) -> Call {
    Call::Copy { dst, src, rights: Rights::all() }
}

const fn delete(slot: u8) -> Call {
    Call::Delete { slot: at(slot) }
}

const fn revoke(slot: u8) -> Call {
    Call::Revoke { slot: at(slot) }
}

const fn map(frame: u8, vspace: Target, vaddr: u8) -> Call {
    let (rights, cache) = (Rights::READ_WRITE, CachePolicy::WriteBack);
    Call::PageMap { frame: w(frame), vspace, vaddr, rights, cache }
}

const fn remap(frame: u8, vspace: Target) -> Call {
    let (rights, cache) = (Rights::READ, CachePolicy::WriteBack);
    Call::PageRemap { frame: w(frame), vspace, vaddr: FIRST, rights, cache }
}

const fn unmap(frame: u8) -> Call {
    Call::PageUnmap { frame: w(frame) }
}

const fn map_table(table: u8, vspace: Target) -> Call {
    Call::TableMap { table: w(table), level: 1, vspace, vaddr: FIRST }
}

const fn unmap_table(table: u8) -> Call {
    Call::TableUnmap { table: w(table), level: 1 }
}

const fn make_pool(untyped: u8, slot: u8) -> Call {
    Call::MakePool { untyped: w(untyped), dst: at(slot) }
}

const fn assign(pool: Target, vspace: u8) -> Call {
    Call::Assign { pool, vspace: w(vspace) }
}

/// Those for an architecture with these sizes.
pub fn scenarios_for(sizes: &ObjectSizes) -> impl Iterator<Item = &'static Scenario> {
    let levels = sizes.table_levels;
    SCENARIOS.iter().filter(move |scenario| scenario.levels == 2 || scenario.levels == levels)
}

const fn map_level(table: u8, level: u8, vspace: Target, vaddr: u8) -> Call {
    Call::TableMap { table: w(table), level, vspace, vaddr }
}

const fn unmap_level(table: u8, level: u8) -> Call {
    Call::TableUnmap { table: w(table), level }
}

/// Of x86_64's addresses: one 1 GiB and one 512 GiB above the first.
const NEXT_DIRECTORY: u8 = 7;
const NEXT_PDPT: u8 = 8;

/// All of them.
pub static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "first-copy-deleted",
        levels: 2,
        calls: &[
            make(0, TABLE),
            map_table(0, OWN),
            make(1, FRAME),
            map(1, OWN, FIRST),
            copy(at(2), at(1)),
            delete(1),
            map(2, OWN, FIRST),
            map(2, OWN, SECOND),
            copy(at(3), at(2)),
            delete(2),
            delete(3),
        ],
    },
    Scenario {
        name: "copies-revoked",
        levels: 2,
        calls: &[
            make(0, TABLE),
            map_table(0, OWN),
            make(1, FRAME),
            copy(at(2), at(1)),
            map(2, OWN, FIRST),
            revoke(1),
            map(1, OWN, FIRST),
            map(1, OWN, SECOND),
            unmap(1),
            unmap(1),
        ],
    },
    Scenario {
        name: "table-replaced",
        levels: 2,
        calls: &[
            make(0, TABLE),
            map_table(0, OWN),
            make(1, FRAME),
            make(2, FRAME),
            map(1, OWN, FIRST),
            unmap_table(0),
            remap(1, OWN),
            map_table(0, OWN),
            map(2, OWN, FIRST),
            remap(1, OWN),
            unmap(2),
            map(2, OWN, FIRST),
            unmap(1),
            map(2, OWN, FIRST),
            copy(at(3), at(0)),
            unmap_table(0),
            delete(0),
            unmap_table(3),
        ],
    },
    Scenario {
        name: "last-page",
        levels: 2,
        calls: &[
            make(0, ROOT),
            assign(Target::AsidPool, 0),
            make(1, FRAME),
            make(2, FRAME),
            map(1, OWN, LAST),
            map(2, w(0), LAST),
            remap(1, OWN),
            remap(1, w(0)),
            unmap(1),
            map(2, w(0), LAST),
            delete(0),
            map(1, OWN, LAST),
            unmap(2),
            map(1, OWN, LAST),
            delete(1),
            delete(2),
        ],
    },
    Scenario {
        // An ASID that is given again: whoever remembers it finds the new VSpace.
        name: "asid-reused",
        levels: 2,
        calls: &[
            make(0, ROOT),
            assign(Target::AsidPool, 0),
            make(1, TABLE),
            map_table(1, w(0)),
            make(2, FRAME),
            map(2, w(0), FIRST),
            delete(0),
            remap(2, w(0)),
            make(3, ROOT),
            assign(Target::AsidPool, 3),
            remap(2, w(3)),
            make(4, TABLE),
            map_table(4, w(3)),
            remap(2, w(3)),
            make(5, FRAME),
            map(5, w(3), FIRST),
            unmap_table(1),
            map(5, w(3), FIRST),
            unmap(2),
            map(5, w(3), FIRST),
        ],
    },
    Scenario {
        name: "large-frame-remembers",
        levels: 2,
        calls: &[
            make_from(Target::Source(0), 0, LARGE),
            make(1, ROOT),
            assign(Target::AsidPool, 1),
            map(0, w(1), FIRST),
            remap(0, w(1)),
            delete(1),
            make(2, ROOT),
            assign(Target::AsidPool, 2),
            make(3, TABLE),
            map_table(3, w(2)),
            remap(0, w(2)),
            unmap_table(3),
            remap(0, w(2)),
            map_table(3, w(2)),
            delete(0),
            map_table(3, w(2)),
        ],
    },
    Scenario {
        // A pool that is deleted, and another in its place.
        name: "pool-replaced",
        levels: 2,
        calls: &[
            make(0, POOL),
            make(1, POOL),
            make_pool(0, 2),
            make(3, ROOT),
            make(4, ROOT),
            make(5, FRAME),
            make(6, TABLE),
            assign(w(2), 3),
            map_table(6, w(3)),
            map(5, w(3), FIRST),
            copy(at(7), at(2)),
            delete(2),
            remap(5, w(3)),
            delete(7),
            remap(5, w(3)),
            assign(Target::AsidPool, 3),
            make_pool(1, 8),
            assign(w(8), 4),
            remap(5, w(3)),
            remap(5, w(4)),
            unmap_table(6),
            map_table(6, w(3)),
            map_table(6, w(4)),
            remap(5, w(4)),
            delete(3),
            remap(5, w(4)),
            delete(4),
            remap(5, w(4)),
        ],
    },
    Scenario {
        // A CNode whose last capability lies in a destroyed CNode lives on, with what it holds.
        name: "cnode-in-cnode",
        levels: 2,
        calls: &[
            make(0, Blueprint::Untyped { size_bits: 14 }),
            make_from(w(0), 1, CNODE),
            make_into(w(0), 1, 0, CNODE),
            copy(at(2), inside(1, 0)),
            make_into(w(0), 2, 1, FRAME),
            make_into(w(0), 2, 0, FRAME),
            make(3, TABLE),
            map_table(3, OWN),
            copy(at(4), inside(2, 1)),
            map(4, OWN, FIRST),
            delete(4),
            delete(2),
            delete(1),
            make_from(w(0), 5, Blueprint::Untyped { size_bits: 14 }),
            make_from(w(0), 6, FRAME),
            make_from(w(0), 6, FRAME),
            revoke(0),
            make_from(w(0), 5, Blueprint::Untyped { size_bits: 14 }),
        ],
    },
    Scenario {
        name: "thread-in-cnode",
        levels: 2,
        calls: &[
            make(0, Blueprint::Untyped { size_bits: 10 }),
            make(1, CNODE),
            make_into(w(0), 1, 0, Blueprint::Tcb),
            copy(at(2), inside(1, 0)),
            make(3, Blueprint::Untyped { size_bits: 12 }),
            make_from(w(3), 4, FRAME),
            Call::SetIpcBuffer { tcb: w(2), vaddr: FIRST, frame: w(4) },
            Call::SetSpace { tcb: w(2), fault_endpoint: 1, cspace: w(1), vspace: OWN },
            delete(2),
            delete(4),
            delete(1),
            make_from(w(3), 4, FRAME),
            make_from(w(0), 2, Blueprint::Tcb),
            revoke(0),
            make_from(w(3), 4, FRAME),
            make_from(w(0), 2, Blueprint::Tcb),
        ],
    },
    Scenario {
        name: "cnode-in-itself",
        levels: 2,
        calls: &[
            make(0, Blueprint::Untyped { size_bits: 12 }),
            make_from(w(0), 1, CNODE),
            copy(inside(1, 3), at(1)),
            copy(inside(1, 0), at(1)),
            copy(inside(1, 1), at(0)),
            delete(1),
            make_from(w(0), 2, FRAME),
            revoke(0),
            make_from(w(0), 2, FRAME),
        ],
    },
    Scenario {
        name: "untyped-copied",
        levels: 2,
        calls: &[
            make(0, Blueprint::Untyped { size_bits: 13 }),
            make_from(w(0), 1, FRAME),
            copy(at(2), at(0)),
            delete(1),
            copy(at(2), at(0)),
            make_from(w(0), 1, FRAME),
            make_from(w(2), 1, FRAME),
            copy(at(3), at(2)),
            delete(2),
            make_from(w(0), 4, FRAME),
            delete(1),
            make_from(w(0), 4, Blueprint::Untyped { size_bits: 13 }),
        ],
    },
    Scenario {
        // The last capability to a CNode lies in a thread's CSpace slot.
        name: "cspace-held",
        levels: 2,
        calls: &[
            make(0, Blueprint::Tcb),
            make(1, CNODE),
            make(2, CNODE),
            Call::SetSpace { tcb: w(0), fault_endpoint: 0, cspace: w(1), vspace: OWN },
            copy(inside(1, 0), at(0)),
            delete(1),
            Call::SetSpace { tcb: w(0), fault_endpoint: 0, cspace: w(2), vspace: OWN },
            delete(0),
            make(3, Blueprint::Tcb),
        ],
    },
    Scenario {
        // Tables of four levels, mapped from the root down and taken away from the middle.
        name: "four-levels",
        levels: 4,
        calls: &[
            make(0, Blueprint::Table { level: 1 }),
            make(1, Blueprint::Table { level: 2 }),
            make(2, Blueprint::Table { level: 3 }),
            make(3, FRAME),
            make_from(Target::Source(0), 4, Blueprint::Frame { size_bits: 21 }),
            map_level(2, 3, OWN, NEXT_PDPT),
            map_level(1, 2, OWN, NEXT_PDPT),
            map_level(0, 2, OWN, NEXT_PDPT),
            map_level(0, 1, OWN, FIRST),
            map_level(0, 1, OWN, NEXT_PDPT),
            map_level(0, 1, OWN, NEXT_PDPT),
            map(3, OWN, NEXT_PDPT),
            map(4, OWN, NEXT_PDPT),
            map_level(2, 3, OWN, NEXT_PDPT),
            map_level(1, 2, OWN, NEXT_PDPT),
            map(4, OWN, NEXT_PDPT),
            map_level(2, 3, OWN, NEXT_PDPT),
            unmap(4),
            map_level(2, 3, OWN, NEXT_PDPT),
            map(4, OWN, NEXT_PDPT),
            map(3, OWN, NEXT_PDPT),
            unmap_level(1, 2),
            remap(3, OWN),
            unmap(3),
            map(3, OWN, NEXT_PDPT),
            map_level(1, 2, OWN, NEXT_DIRECTORY),
            map_level(2, 3, OWN, NEXT_DIRECTORY),
            unmap_level(2, 3),
            map_level(2, 3, OWN, NEXT_DIRECTORY),
            map(3, OWN, NEXT_DIRECTORY),
            delete(1),
            remap(3, OWN),
            delete(0),
            unmap(3),
            map(3, OWN, NEXT_PDPT),
        ],
    },
    Scenario {
        // The same in a space that has no table yet.
        name: "four-levels-elsewhere",
        levels: 4,
        calls: &[
            make(0, ROOT),
            make(1, Blueprint::Table { level: 1 }),
            make(2, Blueprint::Table { level: 2 }),
            make(3, Blueprint::Table { level: 3 }),
            make(4, FRAME),
            map_level(1, 1, w(0), FIRST),
            assign(Target::AsidPool, 0),
            map_level(2, 2, w(0), FIRST),
            map_level(1, 1, w(0), FIRST),
            map_level(2, 2, w(0), NEXT_PDPT),
            map_level(2, 2, w(0), FIRST),
            map_level(3, 3, w(0), FIRST),
            map(4, w(0), FIRST),
            remap(4, w(0)),
            map_level(0, 0, OWN, FIRST),
            delete(0),
            remap(4, OWN),
            unmap_level(3, 3),
            map_level(3, 3, OWN, FIRST),
            unmap(4),
        ],
    },
];
