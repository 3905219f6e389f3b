// SPDX-License-Identifier: BSD-2-Clause
//! Threads that fault until they get on.

use vmm::{Access, FaultClass, PageFault, Resolution, Result, SpaceId};
use vmm_tests::model::AccessFault;

use crate::support::{Fixture, PAGE};

/// What happened to a thread that touched an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Touched {
    /// Faults that were resolved before it got on.
    pub faults: usize,
    /// The class of the last one.
    pub class: Option<FaultClass>,
    /// Whether it got on.
    pub done: bool,
}

/// The fault that the machine raises where `access` was refused with `fault`.
pub fn page_fault(address: usize, access: Access, fault: AccessFault) -> PageFault {
    let present = match fault {
        AccessFault::NotMapped { .. } => false,
        AccessFault::Rights { .. } => true,
        other => panic!("{address:#x}: {other:?}"),
    };
    PageFault { address, access, present, ip: 0x804_8000 }
}

/// Tries an access, as a thread in the space; says which fault it has.
pub fn try_access(
    host: &Fixture<'_>,
    space: SpaceId,
    address: usize,
    access: Access,
    tag: u64,
) -> Option<PageFault> {
    let vspace = host.vmm.vspace(space).expect("a space");
    let tried = match access {
        Access::Write => {
            let words = tag.to_le_bytes().repeat(PAGE / 8);
            host.kernel().write(vspace, address & !(PAGE - 1), &words)
        }
        Access::Read | Access::Execute => host.kernel().read(vspace, address, &mut [0]),
    };
    tried.err().map(|fault| page_fault(address, access, fault))
}

/// A thread of the space touches an address, and repeats it after each fault that is resolved.
///
/// # Errors
/// What resolving meets.
pub fn touch(
    host: &mut Fixture<'_>,
    space: SpaceId,
    address: usize,
    access: Access,
    tag: u64,
) -> Result<Touched> {
    let mut touched = Touched { faults: 0, class: None, done: false };
    while let Some(fault) = try_access(host, space, address, access, tag) {
        assert!(touched.faults < 2, "{fault:x?} was resolved twice: {touched:?}");
        match host.vmm.resolve_fault(space, &fault)? {
            Resolution::Resolved(class) => touched.class = Some(class),
            Resolution::Unresolved(class) => {
                return Ok(Touched { class: Some(class), ..touched });
            }
            Resolution::AskPager { token, .. } => {
                return Ok(Touched { class: Some(FaultClass::Pager { token }), ..touched });
            }
        }
        touched.faults += 1;
    }
    Ok(Touched { done: true, ..touched })
}
