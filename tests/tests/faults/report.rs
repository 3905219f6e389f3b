// SPDX-License-Identifier: BSD-2-Clause
//! What a person is told of a fault that cannot be resolved.

use vmm::{Access, Backing, PageFault, RegionOptions, Rights, SpaceId};

use crate::support::{Fixture, PAGE, Target};

struct Scene {
    host: Fixture<'static>,
    space: SpaceId,
}

impl Scene {
    /// "heap" at 0x10000, 8 pages; the stack of worker-3, 4 pages from 0x20000 on, guarded.
    fn new() -> Scene {
        let mut host = Fixture::roomy(Target::Ia32);
        let space = host.vmm.create_space().expect("a space");
        let heap = RegionOptions::new(8).named("heap").at(0x10000).rights(Rights::READ);
        host.vmm.map(space, &heap).expect("memory");
        let stack = host.vmm.allocate_growing_stack(space, 4, 1, "worker-3").expect("room");
        let options = RegionOptions::new(1).at(0x20000);
        host.vmm.move_region(stack.region(), options.placement()).expect("nothing is there");
        Scene { host, space }
    }

    fn report(&self, address: usize, access: Access) -> String {
        let fault = PageFault { address, access, present: false, ip: 0x804_900a };
        self.host.vmm.report_fault(self.space, fault, "worker-3").expect("a space").to_string()
    }
}

#[test]
fn a_stack_overflow_says_how_far_below_which_stack() {
    assert_eq!(
        Scene::new().report(0x1fffc, Access::Write),
        "worker-3: page fault, writing 0x1fffc, instruction at 0x804900a\n  \
         0x1fffc is 4 bytes below the stack of worker-3: its guard\n  \
         below: heap 0x10000..0x18000, 32764 bytes away\n"
    );
}

#[test]
fn the_first_byte_past_the_end_is_none_past_it() {
    let report = Scene::new().report(0x24000, Access::Read);
    assert!(
        report.contains("0x24000 is 0 bytes past the end of the stack of worker-3"),
        "{report}"
    );
}

#[test]
fn a_write_to_what_is_read_only_says_so() {
    assert_eq!(
        Scene::new().report(0x10000, Access::Write),
        "worker-3: page fault, writing 0x10000, instruction at 0x804900a\n  \
         0x10000 is in heap, which does not allow it\n  \
         below: null page 0x0..0x1000, 61440 bytes away\n  \
         above: the stack of worker-3 0x1f000..0x25000, 61440 bytes away\n"
    );
}

#[test]
fn a_null_pointer_is_called_that() {
    let report = Scene::new().report(0x8, Access::Read);
    assert!(report.contains("0x8 is in the page of the null pointer"), "{report}");
}

#[test]
fn an_address_of_nobody_s_names_both_neighbours() {
    let report = Scene::new().report(0x18010, Access::Execute);
    assert!(report.contains("executing 0x18010"), "{report}");
    assert!(report.contains("0x18010 belongs to nobody"), "{report}");
    assert!(report.contains("below: heap 0x10000..0x18000, 16 bytes away"), "{report}");
    assert!(report.contains("above: the stack of worker-3"), "{report}");
}

#[test]
fn the_last_and_the_highest_address_can_be_reported() {
    for address in [0xdfff_ffff, 0xe000_0000, 0xffff_ffff] {
        let report = Scene::new().report(address, Access::Write);
        let kernels = address >= 0xe000_0000;
        assert_eq!(report.contains("is the kernel's"), kernels, "{report}");
    }
}

#[test]
fn regions_without_a_name_and_pagers_are_told_too() {
    let mut scene = Scene::new();
    let options = RegionOptions::new(1).at(0x40000);
    scene.host.vmm.reserve(scene.space, &options).expect("room");
    let report = scene.report(0x40000, Access::Read);
    assert!(report.contains("is in a region without a name, with nothing mapped"), "{report}");
    let options = options.at(0x40000 + PAGE).backed(Backing::Pager { token: 9 }).named("disk");
    scene.host.vmm.reserve(scene.space, &options).expect("room");
    let report = scene.report(0x41000, Access::Read);
    assert!(report.contains("is in disk, whose pages a pager supplies"), "{report}");
}

/// A47.
#[test]
fn a_kernel_address_is_in_no_region() {
    let mut scene = Scene::new();
    let top = RegionOptions::new(2).at(0xdfff_e000).named("top");
    scene.host.vmm.map(scene.space, &top).expect("memory");
    let report = scene.report(0xe000_0004, Access::Read);
    assert_eq!(
        report,
        "worker-3: page fault, reading 0xe0000004, instruction at 0x804900a\n  \
         0xe0000004 is the kernel's\n  \
         below: top 0xdfffe000..0xe0000000, 4 bytes away\n"
    );
    let report = scene.report(0xdfff_ffff, Access::Execute);
    assert!(report.contains("0xdfffffff is in top"), "{report}");
}

/// A47.
#[test]
fn thread_local_storage_of_a_thread_without_it_is_called_that() {
    let scene = Scene::new();
    for (address, bytes) in [
        (0xffff_fffc, Some(4)),
        (0xffff_ffff, Some(1)),
        (0xffff_0000, Some(0x10000)),
        (0xfffe_fffc, None),
        (0xe000_0000, None),
    ] {
        let report = scene.report(address, Access::Read);
        let told = report.contains("thread-local storage of a thread that has none");
        assert_eq!(told, bytes.is_some(), "{report}");
        if let Some(bytes) = bytes {
            assert!(
                report.contains(&format!("is the kernel's, {bytes} bytes below 0:")),
                "{report}"
            );
        }
    }
    assert!(scene.report(0, Access::Read).contains("page of the null pointer"));
}

/// A48.
#[test]
fn names_are_printed_without_control_characters() {
    let mut scene = Scene::new();
    let options = RegionOptions::new(1).at(0x40000).named("a\x1b[2J\nb\u{202e}\\'");
    scene.host.vmm.map(scene.space, &options.rights(Rights::READ)).expect("memory");
    let stack = scene.host.vmm.allocate_stack(scene.space, 1, "s\r\0").expect("room");
    let fault = PageFault { address: 0x40000, access: Access::Write, present: true, ip: 0x1000 };
    let report = scene.host.vmm.report_fault(scene.space, fault, "t\n\u{9b}").expect("a space");
    let report = report.to_string();
    assert!(report.starts_with("t\\n\\u{9b}: page fault"), "{report}");
    assert!(report.contains("is in a\\u{1b}[2J\\nb\\u{202e}\\\\', which"), "{report}");
    let fault = PageFault { address: stack.bottom() - 1, ..fault };
    let report = scene.host.vmm.report_fault(scene.space, fault, "t").expect("a space").to_string();
    assert!(report.contains("below the stack of s\\r\\0: its guard"), "{report}");
    let mut dump = String::new();
    scene.host.vmm.dump(scene.space, &mut dump).expect("a space");
    for text in [report, dump] {
        assert!(text.chars().all(|char| char == '\n' || !char.is_control()), "{text:?}");
    }
}

#[test]
fn a_page_between_two_buffers_is_a_guard_of_neither_end() {
    let mut scene = Scene::new();
    let space = scene.space;
    let buffers = [0; 2].map(|_| scene.host.vmm.allocate_ipc_buffer(space).expect("memory"));
    assert_eq!(buffers[1].address(), buffers[0].address() + 2 * PAGE);
    let report = scene.report(buffers[0].address() + PAGE + 8, Access::Write);
    assert!(report.contains(", where none is: a guard\n"), "{report}");
    let report = scene.report(buffers[0].address() - 8, Access::Write);
    assert!(report.contains(" is 8 bytes below "), "{report}");
}
