// SPDX-License-Identifier: BSD-2-Clause
//! Reading the memory of any space, and what is not touched.

use vmm::{Error, Kind, PageSize, Pages, RegionOptions, Rights, StackOptions};
use vmm_tests::support::not_mapped;

use super::{FREE, tagged};
use crate::support::{Fixture, PAGE, Target, on_each};

on_each!(
    what_is_mapped_is_read_as_it_is,
    the_image_is_read_but_for_its_guards,
    what_is_not_there_is_not_touched,
    what_may_be_a_device_s_is_not_touched,
);

/// A110: in the manager's own space without a kernel call.
fn what_is_mapped_is_read_as_it_is(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let other = host.vmm.create_space().expect("memory");
    host.spaces.push(other);
    let data: Vec<u8> = (0..3 * PAGE).map(|byte| (byte / 7) as u8 | 1).collect();
    for space in [own, other] {
        host.vmm.map(space, &RegionOptions::new(3).at(FREE)).expect("memory");
        host.vmm.write(space, FREE, &data).expect("it is mapped");
        // What may be read can be read, whatever else it may be used for.
        host.vmm.protect(space, Pages::at(FREE + PAGE), Rights::READ).expect("a range");
        for (at, bytes) in [(0, 1), (5, 3), (PAGE - 1, 2), (PAGE, PAGE), (PAGE + 7, 2 * PAGE - 7)] {
            let mut found = vec![0; bytes];
            let calls = host.vmm.kernel_calls();
            host.vmm.read(space, FREE + at, &mut found).expect("it is mapped");
            assert!(found == data[at..at + bytes], "{bytes} bytes at {at}");
            if space == own {
                assert_eq!(host.vmm.kernel_calls().since(&calls).total(), 0);
            }
        }
    }
    assert_eq!(host.mappings(own).len(), 3, "nothing is left in the manager's own space");
    host.check();
}

/// A110.
fn the_image_is_read_but_for_its_guards(target: Target) {
    let mut host = Fixture::small(target);
    let own = host.own();
    let (mut at, mut read) = (0, 0);
    while let Some(region) = host.vmm.next_region(own, at).expect("a space") {
        at = region.range.end();
        if region.kind == Kind::Boot {
            let guards = [region.range.start().bits()].into_iter().take(region.guard_below);
            for address in guards {
                host.refuses(not_mapped(address), |vmm| vmm.read(own, address, &mut [0]));
            }
            if region.guard_below < region.range.pages() {
                host.vmm.read(own, region.range.end() - 2, &mut [0; 2]).expect("it is mapped");
                read += 1;
            }
        }
    }
    assert!(read > 0, "there is an image");
    host.check();
}

/// A110, A11.
fn what_is_not_there_is_not_touched(target: Target) {
    let mut host = Fixture::roomy(target);
    let own = host.own();
    let other = host.vmm.create_space().expect("memory");
    host.spaces.push(other);
    tagged(&mut host, FREE, 2);
    for space in [own, other] {
        let stack = host.vmm.allocate_stack_with(space, &StackOptions::new(1)).expect("memory");
        let nothing = RegionOptions::new(1).at(FREE + 8 * PAGE).rights(Rights::empty());
        host.vmm.map(space, &nothing).expect("memory");
        host.vmm.reserve(space, &RegionOptions::new(1).at(FREE + 4 * PAGE)).expect("room");
        for address in [0, stack.guard(), stack.top(), FREE + 4 * PAGE, FREE + 8 * PAGE] {
            host.refuses(not_mapped(address), |vmm| vmm.read(space, address, &mut [0; 8]));
        }
        let end = not_mapped(stack.top());
        let beyond = host.vmm.read(space, stack.top() - 3, &mut [0; 4]);
        assert_eq!(beyond, Err(end), "three of them are there");
        // Between the pages of two IPC buffers.
        let buffers = [(); 2].map(|()| host.vmm.allocate_ipc_buffer(space).expect("memory"));
        let address = buffers[0].address() + PAGE;
        host.refuses(not_mapped(address), |vmm| vmm.read(space, address, &mut [0]));
        host.vmm.read(space, buffers[1].address(), &mut [0; 64]).expect("it is mapped");
    }
    for address in [host.vmm.geometry().user_end, usize::MAX] {
        let refused = host.vmm.read(other, address, &mut [0; 2]);
        assert!(matches!(refused, Err(Error::Address(_))), "{refused:?}");
    }
    let gone = host.vmm.create_space().expect("memory");
    host.vmm.destroy_space(gone).expect("it is unused");
    host.refuses(Error::NoSuchSpace(gone), |vmm| vmm.read(gone, FREE, &mut []));
    host.check();
}

/// A110.
fn what_may_be_a_device_s_is_not_touched(target: Target) {
    let mut host = Fixture::roomy(target);
    let own = host.own();
    let other = host.vmm.create_space().expect("memory");
    host.spaces.push(other);
    let physical = host.machine.device();
    let at = RegionOptions::new(1).at(FREE);
    host.vmm.map_physical(own, physical, &at).expect("it is free");
    let refused = Error::NotManaged { address: FREE };
    host.refuses(refused, |vmm| vmm.read(own, FREE, &mut [0]));
    let bits = target.large_bits();
    let large = RegionOptions::new(1 << (bits - 12)).page_size(PageSize::Large { bits });
    for space in [own, other] {
        let region = host.vmm.map(space, &large.aligned(bits)).expect("memory");
        let address = host.vmm.pages_of(region).expect("a region").start().bits() + 5;
        match space == own {
            true => host.vmm.read(space, address, &mut [0]).expect("it is mapped"),
            false => {
                host.refuses(Error::LargePage { address }, |vmm| vmm.read(space, address, &mut [0]))
            }
        }
    }
    host.check();
}
