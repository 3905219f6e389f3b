// SPDX-License-Identifier: BSD-2-Clause
//! Each request: which answers are right, how it is made of the manager, what it changes.
//!
//! A request is a method of [`Run`]. It finds out what its numbers mean, says what is right, makes
//! the call through [`Run::call`], which holds the answer against that, and records in the state
//! what was done. Where a kernel call failed it records the part that was done; those that record
//! none undo it.

mod clones;
mod large;
mod objects;
mod pages;
mod regions;
mod reshape;
mod share;
mod spaces;
mod threads;
mod touch;
mod write;

use super::answer::Outcome;
use super::{Request, Run};

impl Run<'_> {
    /// Makes a request of the manager and of the reference.
    pub(super) fn make(&mut self, request: Request) -> Outcome {
        match request {
            Request::Map { space, request } => self.map(space, &request),
            Request::Reserve { space, request } => self.reserve(space, &request),
            Request::ReserveForOthers { space, request } => {
                self.create_reservation(space, &request)
            }
            Request::Populate { space, pages } => self.populate(space, pages),
            Request::PageByPage { space, pages, fill, order, other } => {
                self.page_by_page(space, pages, (fill, order), other)
            }
            Request::Dense { space, large, upper } => self.dense(space, large, upper),
            Request::Promote { space, pages } => self.promote(space, pages),
            Request::PromoteFurther { steps } => self.promote_further(steps),
            Request::Unmap { space, pages } => self.unmap(space, pages),
            Request::Decommit { space, pages } => self.decommit(space, pages),
            Request::Shrink { space, pages } => self.shrink(space, pages),
            Request::Protect { space, pages, rights, on_demand } => {
                self.protect(space, pages, rights, on_demand)
            }
            Request::Release { which } => self.release(which),
            Request::ReleaseDead { which } => self.release_dead(which),
            Request::Share { space, pages, into, request } => {
                self.share(space, pages, into, &request)
            }
            Request::Split { which, pages } => self.split(which, pages),
            Request::Merge { lower, upper } => self.merge(lower, upper),
            Request::Move { which, request } => self.move_region(which, &request),
            Request::Clone { which, into, request, on_demand } => {
                self.clone_region(which, into, &request, on_demand)
            }
            Request::CloneSpace { space, on_demand } => self.clone_space(space, on_demand),
            Request::RestoreWriteAccess { which } => self.restore_write_access(which),
            Request::Touch { space, pages, off, write, tag } => {
                self.touch(space, pages, off, write, tag)
            }
            Request::Supply { space, pages, from, given, how } => {
                self.supply(space, pages, from, given, how)
            }
            Request::Limit { space, more } => self.limit(space, more),
            Request::Write { which, tag } => self.write(which, tag),
            Request::PopulateFrom { space, pages, off, cut, value } => {
                self.populate_from(space, pages, (off, cut), value)
            }
            Request::WriteByte { space, pages, off, value } => {
                self.write_byte(space, pages, off, value)
            }
            Request::Stack { space, pages } => self.stack(space, pages),
            Request::IpcBuffer { space, packed } => self.ipc_buffer(space, packed),
            Request::SetIpcBuffer { thread, buffer } => self.set_ipc_buffer(thread, buffer),
            Request::ReleaseIpcBuffer { which } => self.release_ipc_buffer(which),
            Request::ThreadMemory { space, stack, tls } => self.thread_memory(space, stack, tls),
            Request::ReleaseThreadMemory { which } => self.release_thread_memory(which),
            Request::Physical { space, paddr, request } => self.physical(space, paddr, &request),
            Request::Allocate { blueprint } => self.allocate(blueprint),
            Request::AllocateMany { blueprint, count } => self.allocate_many(blueprint, count),
            Request::TakeSlots { count } => self.alloc_slots(count),
            Request::MapObjects { space, which, request } => {
                self.map_objects(space, which, &request)
            }
            Request::Free { which, threads } => self.free(which, threads),
            Request::Trim => self.trim(),
            Request::Compact { bits } => self.compact(bits),
            Request::CreateSpace => self.create_space(),
            Request::DestroySpace { space } => self.destroy_space(space),
        }
    }
}
