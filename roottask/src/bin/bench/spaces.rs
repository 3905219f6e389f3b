// SPDX-License-Identifier: BSD-2-Clause
//! Address spaces.

use roottask::Manager;
use sel4::init_thread::slot;
use sel4::{cap_type, TranslationTableObjectType};
use vmm::{Blueprint, Result};

use roottask::measure::{cost, Row, Samples};

/// How often a space is made and destroyed.
const TIMES: usize = 256;

/// An empty space, made and destroyed. The floor does that with a root of its own from one untyped
/// that is reset each time, as the manager's is: both sides pay for clearing it.
pub fn create_destroy(vmm: &mut Manager) -> Result {
    let (mut samples, mut raw) = (Samples::new(), Samples::new());
    let (_, spent) = cost(vmm, |vmm| {
        (0..TIMES).try_for_each(|_| {
            samples.take(|| {
                let space = vmm.create_space()?;
                vmm.destroy_space(space)
            })
        })
    })?;

    let root_table =
        TranslationTableObjectType::from_level(0).expect("there is a root").blueprint();
    let size_bits = root_table.physical_size_bits() as u8;
    let untyped = vmm.allocate(Blueprint::Untyped { size_bits })?.slot();
    let untyped = untyped.cap::<cap_type::Untyped>();
    let root = vmm.alloc_slots(1)?;
    let cnode = slot::CNODE.cap();
    let untyped_slot = cnode.absolute_cptr(untyped);
    for _ in 0..TIMES {
        raw.take(|| {
            untyped
                .untyped_retype(&root_table, &cnode.absolute_cptr_for_self(), root.bits(), 1)
                .expect("the untyped has room for one root");
            slot::ASID_POOL.cap().asid_pool_assign(root.cap()).expect("the pool has an identifier");
            untyped_slot.revoke().expect("revoking is not refused");
        });
    }
    let row = Row::new("space_create_destroy", "pair", TIMES);
    row.print_single(&spent, &mut samples, Some(&mut raw), None);
    Ok(())
}
