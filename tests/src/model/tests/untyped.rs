//! `src/object/untyped.c`

use untyped_alloc::kernel::{Blueprint, Kernel, KernelError};

use super::support::*;

#[test]
fn the_first_retype_of_a_boot_untyped_clears_all_of_it() {
    let mut host = Host::small();
    host.make(host.untyped(1), FRAME);
    assert_eq!(host.kernel.bytes_cleared(), 1 << 16);
    host.make(host.untyped(1), FRAME);
    assert_eq!(
        host.kernel.bytes_cleared(),
        1 << 16,
        "with a child nothing is cleared again"
    );
    host.kernel.check_manager();
}

#[test]
fn an_untyped_without_children_starts_over_at_its_next_retype() {
    let mut host = Host::small();
    let (untyped, first) = (host.untyped(1), host.slots(1));
    host.retype(untyped, Blueprint::Untyped { size_bits: 16 }, first, 1)
        .unwrap();
    assert_eq!(
        host.retype(untyped, FRAME, first.offset(1), 1),
        Err(KernelError::NotEnoughMemory)
    );
    host.kernel.cnode_revoke(at(untyped)).unwrap();
    assert_eq!(host.retype(untyped, FRAME, first, 16), Ok(()));
    host.kernel.check_manager();
}
