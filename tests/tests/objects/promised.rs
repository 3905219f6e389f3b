// SPDX-License-Identifier: BSD-2-Clause
//! What a service promises when it is made: no more than there is.

use untyped_alloc::Blueprint;
use vmm::AllocatorError::{OutOfMemory, OutOfSlots};
use vmm_service::objects::Objects;
use vmm_service::objects::protocol::{Amounts, Resource};

use crate::large::TARGETS;
use crate::support::{Fixture, Machine};
use crate::world::PAGE;

/// A372: one page or one slot more than there are is refused, with what there is, and nothing is
/// taken for it; as many are not.
#[test]
fn a_service_promises_no_more_pages_and_slots_than_there_are() {
    for &target in TARGETS {
        let mut fixture = Fixture::new(Machine::roomy(target));
        let endpoint = fixture.vmm.allocate(Blueprint::Endpoint).unwrap().slot();
        let there = fixture.vmm.stats().allocator;
        let (free, slots) = (there.free_bytes(), there.obtainable_slots);
        let some = Amounts([100, 100, 100, 10, 5, 50, 100, 0]);
        let pages = some.with(Resource::Pages, (free / PAGE) as u32 + 1);
        let mut refused = |amounts| Objects::new(&mut fixture.vmm, endpoint, amounts).err();
        let wanted = pages.of(Resource::Pages) as usize * PAGE;
        let short = OutOfMemory { size_bits: 12, bytes: wanted, free_bytes: free };
        assert_eq!(refused(pages), Some(short.into()), "{target:?}");
        let all_large = some.with(Resource::LargePages, u32::MAX - 1);
        let told = refused(all_large);
        assert!(matches!(told, Some(vmm::Error::Allocator(OutOfMemory { .. }))), "{told:?}");
        let many = some.with(Resource::Slots, slots as u32 + 1);
        let short = OutOfSlots { count: slots + 1, free: slots };
        assert_eq!(refused(many), Some(short.into()), "{target:?}");
        assert_eq!(fixture.vmm.stats().allocator, there, "nothing was taken");

        let most = pages.with(Resource::Pages, (free / PAGE) as u32);
        let most = most.with(Resource::Slots, slots as u32);
        let objects = Objects::new(&mut fixture.vmm, endpoint, most).unwrap();
        assert_eq!(objects.amounts().0, most);
        objects.close(&mut fixture.vmm).unwrap();
        fixture.check();
        // Without a limit nothing is promised.
        let any = Amounts::MAX.with(Resource::LargePages, 0);
        let objects = Objects::new(&mut fixture.vmm, endpoint, any).unwrap();
        objects.close(&mut fixture.vmm).unwrap();
    }
}
