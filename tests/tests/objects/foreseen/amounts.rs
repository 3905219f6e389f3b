// SPDX-License-Identifier: BSD-2-Clause
//! What an account is charged with, as the protocol describes it.

use vmm_service::objects::protocol::{Amounts, Resource};

/// Amounts, which may be compared and subtracted without care.
pub type Many = [i64; 8];
/// Pages of IA32's page tables.
const TABLE_PAGES: i64 = 1024;
pub const NONE: Many = [0; 8];

pub fn many(amounts: Amounts) -> Many {
    amounts.0.map(i64::from)
}

fn of(resource: Resource, amount: i64) -> Many {
    let mut sum = NONE;
    sum[resource as usize - 1] = amount;
    sum
}

pub fn plus(one: Many, other: Many) -> Many {
    std::array::from_fn(|at| one[at] + other[at])
}

pub fn minus(one: Many, other: Many) -> Many {
    std::array::from_fn(|at| one[at] - other[at])
}

/// What each object and mapping costs, and each capability.
fn record() -> Many {
    of(Resource::Nodes, 1)
}

pub fn capability() -> Many {
    plus(record(), plus(of(Resource::Badges, 1), of(Resource::Slots, 1)))
}

/// The page tables that so many pages may need, wherever they begin: one more than they fill.
fn tables(pages: u32) -> Many {
    let behind = i64::from(pages) - 1;
    of(Resource::Tables, 1 + (behind + TABLE_PAGES - 1) / TABLE_PAGES)
}

pub fn memory_cost(pages: u32) -> Many {
    plus(record(), plus(of(Resource::Pages, pages.into()), tables(pages)))
}

/// Memory at a physical address: the service has a capability to each page.
pub fn physical_cost(pages: u32) -> Many {
    plus(record(), plus(of(Resource::Slots, pages.into()), tables(pages)))
}

pub fn mapping_cost(pages: u32) -> Many {
    plus(record(), plus(of(Resource::Slots, pages.into()), tables(pages)))
}

/// An account, beside its record: a space for what it stores, with a root.
pub fn account_cost() -> Many {
    plus(record(), plus(of(Resource::Spaces, 1), of(Resource::Pages, 1)))
}
