//! Which answers to an operation are right.

use vmm::{CachePolicy, Kind, Placement, RegionId, Rights};

use super::decode::Op;
use super::{Run, Thing};
use crate::reference::{Ask, Origin, PAGE, Region, Space, Want};

/// What a request asks for that names nothing but pages and guards.
pub(super) fn plain(pages: usize, guards: (u16, u16)) -> Ask {
    Ask {
        pages,
        placement: Placement::Anywhere,
        align_bits: 0,
        guards,
        rights: Rights::READ_WRITE,
        ceiling: None,
        cache: CachePolicy::WriteBack,
        size: vmm::PageSize::Small,
        inside: None,
        backing: vmm::Backing::Explicit,
    }
}

/// What a region asks for when it is moved: only the placement counts.
pub(super) fn moved(region: &Region, ask: &Ask) -> Ask {
    Ask {
        pages: region.pages - region.guards.0 - region.guards.1,
        guards: (region.guards.0 as u16, region.guards.1 as u16),
        rights: region.rights,
        ceiling: Some(region.ceiling),
        cache: region.cache,
        backing: region.backing,
        ..*ask
    }
}

impl Run<'_> {
    /// Which answers to an operation are right.
    pub(super) fn want(&self, op: Op) -> Want {
        let mut want = Want::default();
        let world = &self.world;
        let in_space = match op {
            Op::Map(id, _)
            | Op::Reserve(id, _)
            | Op::ReserveForOthers(id, _)
            | Op::Populate(id, ..)
            | Op::Unmap(id, ..)
            | Op::Protect(id, ..)
            | Op::Share(id, ..)
            | Op::Stack(id, _)
            | Op::Buffer(id)
            | Op::PackedBuffer(id)
            | Op::Thread(id, ..)
            | Op::Physical(id, ..)
            | Op::CloneSpace(id)
            | Op::Touch(id, ..)
            | Op::Supply(id, ..)
            | Op::Quota(id, ..)
            | Op::Poke(id, ..)
            | Op::DestroySpace(id) => Some(id),
            Op::MapThing(id, number, _) => self.frames(number).map(|_| id),
            _ => None,
        };
        let space = in_space.and_then(|id| world.space(id));
        want.refuse(in_space.is_some() && space.is_none(), "NoSuchSpace");
        match (op, space) {
            (Op::DestroySpace(id), Some(space)) => {
                want.refuse(id == self.vmm.own_space(), "OwnSpace");
                want.refuse(space.threads != 0, "SpaceInUse");
            }
            (Op::Map(_, ask), Some(space)) => {
                world.want_place(&mut want, space, &ask);
                self.want_large(&mut want, &ask);
                self.want_frames(&mut want, space, ask.pages);
            }
            (Op::Reserve(_, ask) | Op::ReserveForOthers(_, ask), Some(space)) => {
                world.want_place(&mut want, space, &ask);
            }
            (Op::Stack(_, pages) | Op::Thread(_, pages, _), Some(space)) => {
                world.want_place(&mut want, space, &plain(pages, (1, 1)));
                self.want_frames(&mut want, space, pages);
                if matches!(op, Op::Thread(..)) {
                    want.may.push("OutOfQuota");
                }
            }
            (Op::Buffer(_) | Op::PackedBuffer(_), Some(space)) => {
                world.want_place(&mut want, space, &plain(1, (1, 1)));
                // A packed one may find room in a page that is there.
                match op {
                    Op::Buffer(_) => self.want_frames(&mut want, space, 1),
                    _ => want.may.push("OutOfQuota"),
                }
            }
            (Op::Populate(_, start, pages), Some(space)) => {
                if let Some(range) = world.want_range(&mut want, space, start, pages) {
                    let any = space.pages.range(range.0..range.1).next().is_some();
                    want.refuse(any, "AlreadyMapped");
                    self.want_frames(&mut want, space, pages);
                }
            }
            (Op::Unmap(_, start, pages), Some(space)) => {
                if let Some(range) = world.want_range(&mut want, space, start, pages) {
                    world.want_mapped(&mut want, space, range);
                    self.want_cut(&mut want, space, range);
                }
            }
            (Op::Protect(_, start, pages, rights), Some(space)) => {
                if let Some(range) = world.want_range(&mut want, space, start, pages) {
                    let ceiling = space.region_at(range.0).map_or(rights, |region| region.ceiling);
                    want.refuse(!ceiling.contains(rights), "RightsExceedCeiling");
                    world.want_mapped(&mut want, space, range);
                    self.want_cut(&mut want, space, range);
                }
            }
            (Op::Share(_, start, pages, into, ask), Some(space)) => {
                self.want_share(&mut want, space, (start, pages), into, &ask);
            }
            (Op::Physical(_, paddr, ask), Some(space)) => {
                world.want_place(&mut want, space, &ask);
                want.refuse(paddr % PAGE != 0, "Allocator");
                want.may.push("Allocator");
            }
            (Op::MapThing(_, number, ask), Some(space)) => {
                let count = self.frames(number).map_or(0, |frames| frames.len());
                world.want_place(&mut want, space, &Ask { pages: count, ..ask });
                want.refuse(self.is_mapped(number), "Kernel");
            }
            (
                Op::CloneRegion(..)
                | Op::CloneSpace(_)
                | Op::Settle(_)
                | Op::Touch(..)
                | Op::Supply(..)
                | Op::Poke(..),
                _,
            ) => self.want_lazy(&mut want, op),
            (Op::Release(id), _) => self.want_release(&mut want, id),
            (Op::Split(id, pages), _) => {
                if let Some(region) = self.want_kind(&mut want, id, &[Kind::Memory]) {
                    let (first, end) = region.usable();
                    want.refuse(pages == 0 || pages >= end - first, "OutsideRegion");
                    want.may.push("Shared");
                }
            }
            (Op::Merge(lower, upper), _) => self.want_merge(&mut want, lower, upper),
            (Op::Move(id, ask), _) => {
                if let Some(region) = self.want_kind(&mut want, id, &[Kind::Memory, Kind::Stack]) {
                    if let Some(space) = world.space(id.space()) {
                        world.want_place(&mut want, space, &moved(&region, &ask));
                    }
                    want.may.push("LargePage");
                }
            }
            (Op::ReleaseBuffer(number), _) => {
                let dead = self.buffers.get(number).is_some_and(|buffer| !buffer.live);
                want.refuse(dead, "NoSuchIpcBuffer");
            }
            (Op::SetBuffer(thing, number), _) => {
                let tcb = self.things.get(thing);
                let tcb = matches!(tcb, Some((Thing::One(_, vmm::Blueprint::Tcb), true)));
                let buffer = self.buffers.get(number).filter(|_| tcb);
                want.refuse(buffer.is_some_and(|buffer| !buffer.live), "NoSuchIpcBuffer");
            }
            (Op::ReleaseThread(number), _) => {
                if let Some(thread) = self.threads.get(number) {
                    let gone = world.space(thread.regions[0].space()).is_none();
                    let buffer = thread.memory.ipc_buffer;
                    let live = self.buffers.iter().any(|it| it.handle == buffer && it.live);
                    let any = live || thread.regions.iter().any(|&id| world.region(id).is_some());
                    want.refuse(!any, if gone { "NoSuchSpace" } else { "NoSuchRegion" });
                }
            }
            (Op::Free(number), _) => {
                let dead = self.things.get(number).is_some_and(|thing| !thing.1);
                let slots = matches!(self.things.get(number), Some((Thing::Slots(..), _)));
                want.refuse(dead && !slots && !self.is_mapped(number), "Allocator");
            }
            (Op::AllocateMany(_, count), _) => {
                want.refuse(count == 0, "Allocator");
            }
            (Op::TakeSlots(count), _) => {
                want.refuse(count == 0 || count > 256, "Allocator");
            }
            _ => {}
        }
        self.want_tables(&mut want);
        want
    }

    /// What may be wrong with the page size asked for.
    fn want_large(&self, want: &mut Want, ask: &Ask) {
        let vmm::PageSize::Large { bits } = ask.size else { return };
        if want.refuse(self.vmm.geometry().level_of_frame(bits).is_none(), "NoSuchFrameSize") {
            return;
        }
        let size = 1usize << bits;
        let uneven = !(ask.pages as u128 * PAGE as u128).is_multiple_of(size as u128);
        match ask.placement {
            Placement::At(address) => {
                want.refuse(uneven || !address.is_multiple_of(size), "Address");
            }
            _ if uneven => want.must.push("Address"),
            _ => want.may.push("Address"),
        }
    }

    /// Cutting a large page is refused where it is shared.
    fn want_cut(&self, want: &mut Want, space: &Space, range: (usize, usize)) {
        let vspace = self.vmm.vspace(space.id).expect("the space is alive");
        let cut = [range.0, range.1].into_iter().any(|edge| {
            let mapping = self.vmm.kernel().mapping(vspace, edge * PAGE);
            mapping.is_some_and(|mapping| !(edge * PAGE).is_multiple_of(1 << mapping.size_bits))
        });
        if cut {
            want.may.push("Shared");
        }
    }

    fn want_share(
        &self,
        want: &mut Want,
        space: &Space,
        (start, pages): (usize, usize),
        into: vmm::SpaceId,
        ask: &Ask,
    ) {
        let Some(target) = self.world.space(into) else {
            return want.must.push("NoSuchSpace");
        };
        let Some(range) = self.world.want_range(want, space, start, pages) else { return };
        self.world.want_mapped(want, space, range);
        let limit = space.region_at(range.0).map_or(Rights::all(), |region| region.ceiling);
        let ceiling = ask.ceiling.unwrap_or(limit);
        want.refuse(!limit.contains(ceiling), "RightsExceedCeiling");
        let mut shown = space.pages.range(range.0..range.1).map(|(_, page)| page.origin);
        want.refuse(shown.any(|origin| origin != Origin::Owned), "NotOurs");
        let ask = Ask { pages, ceiling: Some(ceiling), ..*ask };
        self.world.want_place(want, target, &ask);
        self.want_slots(want, target, pages);
        self.want_frames(want, target, pages);
        let vspace = self.vmm.vspace(space.id).expect("the space is alive");
        let large = (range.0..range.1).any(|page| {
            let mapping = self.vmm.kernel().mapping(vspace, page * PAGE);
            mapping.is_some_and(|mapping| mapping.size_bits > 12)
        });
        if large {
            want.may.push("LargePage");
        }
    }

    pub(super) fn want_kind(
        &self,
        want: &mut Want,
        id: RegionId,
        kinds: &[Kind],
    ) -> Option<Region> {
        match self.world.region(id) {
            Some(region) => {
                let wrong = !kinds.contains(&region.kind);
                want.refuse(wrong, "WrongKind");
                (!wrong).then_some(*region)
            }
            None => {
                let null = self.vmm.region_info(id).is_ok();
                want.must.push(if null { "WrongKind" } else { self.world.stale(id).unwrap_or("") });
                None
            }
        }
    }

    fn want_release(&self, want: &mut Want, id: RegionId) {
        let kinds = [Kind::Memory, Kind::Stack, Kind::Reservation];
        let Some(region) = self.want_kind(want, id, &kinds) else { return };
        let space = self.world.space(id.space()).expect("its region is alive");
        let inside = space.regions.iter().any(|other| other.owner == Some(id));
        want.refuse(region.kind == Kind::Reservation && inside, "WrongKind");
    }

    fn want_merge(&self, want: &mut Want, lower: RegionId, upper: RegionId) {
        let kinds = [Kind::Memory, Kind::Stack, Kind::Reservation, Kind::IpcBuffer];
        let first = self.want_kind(want, lower, &kinds);
        let second = self.want_kind(want, upper, &kinds);
        let (Some(a), Some(b)) = (first, second) else {
            // The null page is a region like others, that nothing can be merged with.
            want.must.extend(["OutsideRegion", "Guard"]);
            return;
        };
        want.refuse(lower.space() != upper.space() || a.end() != b.start, "OutsideRegion");
        // The ends of reservations are no regions' ends.
        let reservation = [a, b].iter().any(|region| region.kind == Kind::Reservation);
        if reservation {
            want.must.extend(["OutsideRegion", "Guard"]);
        }
        want.refuse(a.guards.1 != 0 || b.guards.0 != 0, "Guard");
        let like = |r: &Region| (r.rights, r.ceiling, r.cache, r.kind, r.owner, r.backing);
        want.refuse(like(&a) != like(&b) || a.kind != Kind::Memory, "WrongKind");
        // Names differ, which the reference does not know of: those of TLS and of views.
        want.may.push("WrongKind");
    }
}
