// SPDX-License-Identifier: BSD-2-Clause
//! `src/object/tcb.c` and `checkValidIPCBuffer` of `src/arch/x86/kernel/vspace.c`

use super::support::*;

#[test]
fn an_ipc_buffer_is_aligned_to_512_bytes() {
    let mut host = Host::small();
    let (tcb, frame) = (host.make(Blueprint::Tcb), host.make(FRAME));
    let mut set = |vaddr| host.kernel.tcb_set_ipc_buffer(tcb, vaddr, frame);
    assert_eq!(set(FREE + 256), Err(AlignmentError));
    assert_eq!(set(FREE + 512), Ok(()));
    assert_eq!(host.kernel.tcb(tcb).unwrap().ipc_buffer, FREE + 512);
}

#[cfg(target_pointer_width = "64")]
#[test]
fn half_of_a_buffers_alignment_is_enough_for_the_kernel_on_x86_64() {
    let arch = crate::model::Arch::X86_64;
    let mut host = Host::new(&BootConfig { arch, ..BootConfig::small() });
    let (tcb, frame) = (host.make(Blueprint::Tcb), host.make(FRAME));
    let mut set = |vaddr| host.kernel.tcb_set_ipc_buffer(tcb, vaddr, frame);
    assert_eq!(set(FREE + 256), Err(AlignmentError));
    assert_eq!(set(FREE + 0xe00), Ok(()));
}

#[test]
fn an_ipc_buffer_needs_a_frame_of_ram_before_its_address_counts() {
    let mut host = Host::small();
    let (tcb, empty) = (host.make(Blueprint::Tcb), host.slot());
    let device = host.make_from(host.untyped(DEVICE_4M), FRAME);
    let table = host.make(TABLE);
    for frame in [device, tcb, table, empty, OWN] {
        let result = host.kernel.tcb_set_ipc_buffer(tcb, FREE + 1, frame);
        assert_eq!(result, Err(IllegalOperation), "{:?}", host.kernel.cap(frame));
    }
    let parent = host.untyped(RAM_4M);
    assert_eq!(host.kernel.tcb_set_ipc_buffer(tcb, FREE, parent), Err(RevokeFirst));
}

#[test]
fn an_ipc_buffer_need_not_be_mapped_and_may_be_read_only() {
    let mut host = Host::small();
    let (tcb, frame) = (host.make(Blueprint::Tcb), host.make(FRAME));
    let read_only = host.copy_with(frame, Rights::READ).unwrap();
    assert_eq!(host.kernel.tcb_set_ipc_buffer(tcb, FREE, read_only), Ok(()));
}

#[test]
fn address_0_takes_the_ipc_buffer_away_whatever_the_frame() {
    let mut host = Host::small();
    let (tcb, frame) = (host.make(Blueprint::Tcb), host.make(FRAME));
    host.kernel.tcb_set_ipc_buffer(tcb, FREE, frame).unwrap();
    assert_eq!(host.kernel.tcb_set_ipc_buffer(tcb, 0, CPtr::NULL), Ok(()));
    assert_eq!(host.kernel.tcb(tcb).unwrap().ipc_frame, Cap::Null);
}

#[test]
fn a_thread_holds_a_copy_of_its_buffers_capability() {
    let mut host = Host::small();
    let (tcb, frame) = (host.make(Blueprint::Tcb), host.make(FRAME));
    host.kernel.tcb_set_ipc_buffer(tcb, FREE, frame).unwrap();
    assert!(matches!(host.kernel.tcb(tcb).unwrap().ipc_frame, Cap::Frame { mapped: None, .. }));
    host.revoke(frame);
    assert_eq!(host.kernel.tcb(tcb).unwrap().ipc_frame, Cap::Null, "a child like any other");
}

#[test]
fn a_new_buffer_replaces_the_old_one() {
    let mut host = Host::small();
    let (tcb, first, second) = (host.make(Blueprint::Tcb), host.make(FRAME), host.make(FRAME));
    host.kernel.tcb_set_ipc_buffer(tcb, FREE, first).unwrap();
    host.delete(first);
    let frames = host.kernel.live(ObjectKind::Frame);
    host.kernel.tcb_set_ipc_buffer(tcb, FREE, second).unwrap();
    assert_eq!(host.kernel.live(ObjectKind::Frame), frames - 1);
    assert_eq!(host.kernel.tcb_set_ipc_buffer(tcb, FREE, second), Ok(()), "even by the same");
}

#[test]
fn a_space_is_a_cnode_and_a_vspace_with_an_asid() {
    let mut host = Host::small();
    let (tcb, cspace, root) = (host.make(Blueprint::Tcb), host.make(cnode(2)), host.make(ROOT));
    let (frame, empty, table) = (host.make(FRAME), host.slot(), host.make(TABLE));
    let mut set = |c, v| host.kernel.tcb_set_space(tcb, CPtr::new(7), c, v);
    for wrong in [frame, empty, table, OWN] {
        assert_eq!(set(wrong, OWN), Err(IllegalOperation));
    }
    for wrong in [frame, empty, table, root, cspace] {
        assert_eq!(set(cspace, wrong), Err(IllegalOperation));
    }
    assert_eq!(set(cspace, OWN), Ok(()));
    let thread = host.kernel.tcb(tcb).unwrap();
    assert_eq!(thread.cspace, host.kernel.cap(cspace));
    assert_eq!((thread.vspace, thread.fault_endpoint), (host.kernel.cap(OWN), 7));
}

#[test]
fn a_space_is_not_replaced_while_the_thread_holds_its_cnodes_last_capability() {
    let mut host = Host::small();
    let (tcb, first, second) =
        (host.make(Blueprint::Tcb), host.make(cnode(2)), host.make(cnode(2)));
    host.kernel.tcb_set_space(tcb, CPtr::NULL, first, OWN).unwrap();
    assert_eq!(host.kernel.tcb_set_space(tcb, CPtr::NULL, second, OWN), Ok(()));
    host.delete(second);
    let refused = host.kernel.tcb_set_space(tcb, CPtr::NULL, first, OWN);
    assert_eq!(refused, Err(IllegalOperation));
    assert_eq!(host.kernel.tcb_set_space(tcb, CPtr::NULL, OWN, OWN), Err(IllegalOperation));
}

#[test]
fn thread_invocations_need_a_thread() {
    let mut host = Host::small();
    let (frame, cspace) = (host.make(FRAME), host.make(cnode(1)));
    assert_eq!(host.kernel.tcb_set_ipc_buffer(frame, FREE, frame), Err(IllegalOperation));
    let set = host.kernel.tcb_set_space(CPtr::NULL, CPtr::NULL, cspace, OWN);
    assert_eq!(set, Err(InvalidCapability));
}
