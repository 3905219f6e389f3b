//! An operation as the call it is, and what came of it.

use vmm::{IpcBuffer, Object, Objects, RegionId, Result, SpaceId, ThreadMemory, ThreadOptions};
use vmm::{TlsImage, Vmm};
use vmm_tests::model::ModelKernel;

use super::decode::Op;
use super::{Run, Thing};

/// What a call returned.
#[derive(Clone, Copy, Debug)]
pub enum Made {
    Nothing,
    Space(SpaceId),
    Region(RegionId),
    Buffer(IpcBuffer),
    Thread(ThreadMemory),
    Object(Object),
    Objects(Objects),
    Slots(vmm::CPtr),
    /// Whether a thread gets on.
    Touched(bool),
}

/// What thread-local storage starts with.
pub const TLS: [u8; 8] = *b"tls init";

/// The options of a thread with so much stack and so many bytes of thread-local storage.
pub fn thread_options(stack_pages: usize, tls_bytes: usize) -> ThreadOptions<'static> {
    let init = if tls_bytes == 0 { &TLS[..0] } else { &TLS[..] };
    let image = TlsImage { init, memory_bytes: tls_bytes, align: 16 };
    let tls = (tls_bytes != 0).then_some(image);
    ThreadOptions { stack_pages, tls, name: "fuzz" }
}

impl<'p> Run<'p> {
    pub(super) fn execute(&mut self, op: Op) -> Result<Made> {
        let frames = match op {
            Op::MapThing(_, number, _) => self.frames(number),
            _ => None,
        };
        let mapped = matches!(op, Op::Free(number) if self.is_mapped(number));
        let vmm: &mut Vmm<'p, ModelKernel<'p>> = &mut self.vmm;
        let nothing = |()| Made::Nothing;
        match op {
            Op::CreateSpace => vmm.create_space().map(Made::Space),
            Op::DestroySpace(space) => vmm.destroy_space(space).map(nothing),
            Op::Map(space, ask) => vmm.map(space, &ask.options()).map(Made::Region),
            Op::Reserve(space, ask) => vmm.reserve(space, &ask.options()).map(Made::Region),
            Op::ReserveForOthers(space, ask) => {
                vmm.reserve_for_others(space, &ask.options()).map(Made::Region)
            }
            Op::Release(region) => vmm.release(region).map(nothing),
            Op::Populate(space, start, pages) => vmm.populate(space, start, pages).map(nothing),
            Op::Unmap(space, start, pages) => vmm.unmap(space, start, pages).map(nothing),
            Op::Protect(space, start, pages, rights) => {
                vmm.protect(space, start, pages, rights).map(nothing)
            }
            Op::Share(space, start, pages, into, ask) => {
                vmm.share(space, start, pages, into, &ask.options()).map(Made::Region)
            }
            Op::Split(region, pages) => vmm.split_region(region, pages).map(Made::Region),
            Op::Merge(lower, upper) => vmm.merge_regions(lower, upper).map(nothing),
            Op::Move(region, ask) => vmm.move_region(region, &ask.options()).map(Made::Region),
            Op::Stack(space, pages) => {
                vmm.allocate_stack(space, pages, "fuzz").map(|stack| Made::Region(stack.region()))
            }
            Op::Buffer(space) => vmm.allocate_ipc_buffer(space).map(Made::Buffer),
            Op::PackedBuffer(space) => vmm.allocate_packed_ipc_buffer(space).map(Made::Buffer),
            Op::ReleaseBuffer(number) => match self.buffers.get(number) {
                Some(buffer) => vmm.release_ipc_buffer(buffer.handle).map(nothing),
                None => Ok(Made::Nothing),
            },
            Op::SetBuffer(thing, buffer) => {
                match (self.things.get(thing), self.buffers.get(buffer)) {
                    (Some(&(Thing::One(tcb, vmm::Blueprint::Tcb), true)), Some(buffer)) => {
                        vmm.set_ipc_buffer(tcb.slot(), buffer.handle).map(nothing)
                    }
                    _ => Ok(Made::Nothing),
                }
            }
            Op::Thread(space, stack, tls) => {
                vmm.allocate_thread_memory(space, &thread_options(stack, tls)).map(Made::Thread)
            }
            Op::ReleaseThread(number) => match self.threads.get(number) {
                Some(thread) => vmm.release_thread_memory(thread.memory).map(nothing),
                None => Ok(Made::Nothing),
            },
            Op::Physical(space, paddr, ask) => {
                vmm.map_physical(space, paddr, &ask.options()).map(Made::Region)
            }
            Op::Allocate(blueprint) => vmm.allocate(blueprint).map(Made::Object),
            Op::AllocateMany(blueprint, count) => {
                vmm.allocate_many(blueprint, count).map(Made::Objects)
            }
            Op::MapThing(space, _, ask) => match frames {
                Some(frames) => vmm.map_objects(space, frames, &ask.options()).map(Made::Region),
                None => Ok(Made::Nothing),
            },
            Op::Free(number) => match self.things.get(number) {
                Some(_) if mapped => Ok(Made::Nothing),
                Some(&(Thing::One(object, _), _)) => vmm.free(object).map(nothing),
                Some(&(Thing::Many(objects, _), _)) => vmm.free_many(objects).map(nothing),
                // Slots given back twice may be another's by now, so that is not tried.
                Some(&(Thing::Slots(first, count), true)) => {
                    vmm.give_slots(first, count).map(nothing)
                }
                Some((Thing::Slots(..), false)) | None => Ok(Made::Nothing),
            },
            Op::TakeSlots(count) => vmm.take_slots(count).map(Made::Slots),
            Op::Write(_) => Ok(Made::Nothing),
            Op::Trim => vmm.trim().map(nothing),
            Op::CloneRegion(region, into, ask) => {
                vmm.clone_region(region, into, &ask.options()).map(Made::Region)
            }
            Op::CloneSpace(space) => vmm.clone_space(space).map(Made::Space),
            Op::Settle(region) => vmm.settle(region).map(nothing),
            Op::Touch(space, address, write) => self.touch(space, address, write),
            Op::Supply(space, at, from, page, how) => {
                vmm.supply_page(space, at, from, page, how).map(nothing)
            }
            Op::Quota(space, more) => {
                let quota = self.quota(space, more)?;
                self.vmm.set_quota(space, quota).map(nothing)
            }
            Op::Poke(space, address, value) => vmm.write(space, address, &[value; 8]).map(nothing),
        }
    }

    /// The live frames of thing `number`.
    pub(super) fn frames(&self, number: usize) -> Option<Objects> {
        match self.things.get(number) {
            Some(&(Thing::Many(frames, vmm::Blueprint::Frame { size_bits: 12 }), true)) => {
                Some(frames)
            }
            _ => None,
        }
    }

    /// Whether a page shows a frame of thing `number`.
    pub(super) fn is_mapped(&self, number: usize) -> bool {
        let foreign = crate::reference::Origin::Foreign(number);
        let mut pages = self.world.spaces.iter().flat_map(|space| space.pages.values());
        pages.any(|page| page.origin == foreign)
    }
}
