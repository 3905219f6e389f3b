// SPDX-License-Identifier: BSD-2-Clause
//! User mode's accesses, and the memory of the seam

use untyped_alloc::kernel::Memory;

use super::support::*;
use crate::model::AccessFault;

#[test]
fn what_is_written_is_read_through_every_mapping() {
    let mut host = Host::small();
    let other = host.vspace();
    host.table_over(OWN, FREE);
    host.table_over(other, FREE);
    let frame = host.frame_at(FREE);
    let copy = host.copy_with(frame, Rights::READ).unwrap();
    host.map(copy, other, FREE + 0x5000).unwrap();
    host.kernel.write(OWN, FREE + 10, b"seL4").unwrap();
    let mut read = [0; 6];
    host.kernel.read(other, FREE + 0x5009, &mut read).unwrap();
    assert_eq!(&read, b"\0seL4\0");
    let denied = host.kernel.write(other, FREE + 0x5000, b"x");
    assert_eq!(denied, Err(AccessFault::Rights { vaddr: FREE + 0x5000, rights: Rights::READ }));
}

#[test]
fn an_access_goes_on_to_the_next_page_and_faults_there() {
    let mut host = Host::small();
    host.table_over(OWN, FREE);
    host.frame_at(FREE);
    let fault = AccessFault::NotMapped { vaddr: FREE + 0x1000 };
    assert_eq!(host.kernel.write(OWN, FREE + 0xffe, b"abc"), Err(fault));
    let mut read = [0; 2];
    host.kernel.read(OWN, FREE + 0xffe, &mut read).unwrap();
    assert_eq!(&read, b"ab");
}

#[test]
fn recycled_frames_are_dirty_and_retyped_ones_zero() {
    let mut host = Host::small();
    host.table_over(OWN, FREE);
    let parent = host.make_untyped(12);
    let frame = host.make_from(parent, FRAME);
    host.map(frame, OWN, FREE).unwrap();
    host.kernel.write(OWN, FREE, b"secret").unwrap();
    host.kernel.page_unmap(frame).unwrap();
    host.map(frame, OWN, FREE + 0x1000).unwrap();
    let mut read = [0; 6];
    host.kernel.read(OWN, FREE + 0x1000, &mut read).unwrap();
    assert_eq!(&read, b"secret");
    host.delete(frame);
    let frame = host.make_from(parent, FRAME);
    host.map(frame, OWN, FREE).unwrap();
    host.kernel.read(OWN, FREE, &mut read).unwrap();
    assert_eq!(read, [0; 6]);
}

#[test]
fn a_mapping_left_behind_is_told_when_its_frame_is_gone() {
    let mut host = Host::small();
    host.table_over(OWN, FREE);
    let frame = host.frame_at(FREE);
    let (copy, paddr) = (host.copy(frame).unwrap(), host.base(frame));
    host.delete(frame);
    host.delete(copy);
    let fault = AccessFault::Dangling { vaddr: FREE, paddr };
    assert_eq!(host.kernel.write(OWN, FREE, b"x"), Err(fault));
}

#[test]
fn zero_and_copy_work_on_the_callers_pages() {
    let mut host = Host::small();
    host.table_over(OWN, FREE);
    for page in 0..4 {
        host.frame_at(FREE + page * 0x1000);
    }
    host.kernel.write(OWN, FREE + 0xffc, b"12345678").unwrap();
    host.kernel.copy(FREE + 0x2000, FREE, 0x1004);
    let mut read = [0; 8];
    host.kernel.read(OWN, FREE + 0x2ffc, &mut read).unwrap();
    assert_eq!(&read, b"12345678");
    host.kernel.zero(FREE, 0x1000);
    host.kernel.read(OWN, FREE + 0xffc, &mut read).unwrap();
    assert_eq!(&read, b"\0\0\0\x005678");
}

#[test]
#[should_panic(expected = "faults")]
fn zeroing_what_is_not_mapped_faults() {
    Host::small().kernel.zero(FREE, 4096);
}

#[test]
#[should_panic(expected = "faults")]
fn zeroing_what_is_read_only_faults() {
    let mut host = Host::small();
    host.table_over(OWN, FREE);
    let frame = host.frame_at(FREE);
    host.remap(frame, OWN, Rights::READ).unwrap();
    host.kernel.zero(FREE, 4096);
}

#[test]
fn an_adopted_page_becomes_nodes() {
    let mut host = Host::small();
    let image = host.kernel.facts().image.start;
    let nodes: &'static [u64] = host.kernel.adopt(image);
    assert_eq!(nodes.len(), 512);
    host.kernel.check_manager();
}

#[test]
#[should_panic(expected = "is book-keeping")]
fn a_frame_is_adopted_once() {
    let mut host = Host::small();
    let image = host.kernel.facts().image.start;
    let _: &[u8] = host.kernel.adopt(image);
    let _: &[u8] = host.kernel.adopt(image);
}

#[test]
#[should_panic(expected = "no longer mapped")]
fn adopted_pages_must_stay() {
    let mut host = Host::small();
    host.table_over(OWN, FREE);
    let frame = host.frame_at(FREE);
    let _: &[u8] = host.kernel.adopt(FREE);
    host.delete(frame);
    host.kernel.check_manager();
}
