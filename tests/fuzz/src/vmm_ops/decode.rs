//! Bytes to operations. What an operation names mostly exists, and lies close to the others:
//! requests that collide are the ones that tell something.

use vmm::{
    Backing, Blueprint, CachePolicy, KernelError, Kind, PageSize, Placement, RegionId, Rights,
    SpaceId, Supply,
};

use super::{Failing, Fault, Run};
use crate::bytes::Bytes;
use crate::machine::{DEVICE, RAM};
use crate::reference::{Ask, PAGE};

/// One request to the manager. Buffers, threads and things are named by number.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    CreateSpace,
    DestroySpace(SpaceId),
    Map(SpaceId, Ask),
    Reserve(SpaceId, Ask),
    ReserveForOthers(SpaceId, Ask),
    Release(RegionId),
    Populate(SpaceId, usize, usize),
    Unmap(SpaceId, usize, usize),
    Protect(SpaceId, usize, usize, Rights),
    Share(SpaceId, usize, usize, SpaceId, Ask),
    Split(RegionId, usize),
    Merge(RegionId, RegionId),
    Move(RegionId, Ask),
    Stack(SpaceId, usize),
    Buffer(SpaceId),
    PackedBuffer(SpaceId),
    ReleaseBuffer(usize),
    SetBuffer(usize, usize),
    Thread(SpaceId, usize, usize),
    ReleaseThread(usize),
    Physical(SpaceId, usize, Ask),
    Allocate(Blueprint),
    AllocateMany(Blueprint, usize),
    MapThing(SpaceId, usize, Ask),
    Free(usize),
    TakeSlots(usize),
    Write(usize),
    Trim,
    CloneRegion(RegionId, SpaceId, Ask),
    CloneSpace(SpaceId),
    Settle(RegionId),
    /// A thread touches an address, to write or to read.
    Touch(SpaceId, usize, bool),
    /// A pager, which is a space here, gives the page at an address of its own.
    Supply(SpaceId, usize, SpaceId, usize, Supply),
    /// So much more than there is, of frames, page tables and slots.
    Quota(SpaceId, [usize; 3]),
    /// The manager writes to the first word of a page.
    Poke(SpaceId, usize, u8),
}

/// The window that most addresses lie in: 24 pages around the end of what one page table covers.
const WINDOW: usize = 0x1040_0000 - 12 * PAGE;
/// Where large pages are put: a few of 4 MiB.
const LARGE: usize = 0x2000_0000;

impl Run<'_> {
    pub(super) fn decode_fault(&self, bytes: &mut Bytes<'_>) -> Fault {
        use KernelError::*;
        let errors = [
            IllegalOperation,
            NotEnoughMemory,
            InvalidCapability,
            DeleteFirst,
            FailedLookup,
            RevokeFirst,
        ];
        bytes.one_in(4).then(|| {
            let (late, lasts) = (bytes.one_in(4), bytes.one_in(3));
            let nth = 1 + bytes.below(if late { 256 } else { 12 });
            Failing { nth, error: bytes.pick(&errors), lasts }
        })
    }

    pub(super) fn decode(&self, bytes: &mut Bytes<'_>) -> Op {
        let space = self.a_space(bytes);
        match bytes.below(50) {
            0..=4 => Op::Map(space, self.an_ask(bytes)),
            5 => Op::Reserve(space, self.an_ask(bytes)),
            6 => Op::ReserveForOthers(space, self.an_ask(bytes)),
            7..=8 => Op::Release(self.a_region(bytes, space)),
            9 => Op::Populate(space, self.an_address(bytes, space), pages(bytes)),
            10..=12 => Op::Unmap(space, self.an_address(bytes, space), pages(bytes)),
            13..=14 => {
                Op::Protect(space, self.an_address(bytes, space), pages(bytes), rights(bytes))
            }
            15..=17 => {
                let (start, pages) = (self.an_address(bytes, space), pages(bytes));
                Op::Share(space, start, pages, self.a_space(bytes), self.an_ask(bytes))
            }
            18 => Op::Split(self.a_region(bytes, space), pages(bytes)),
            19 => Op::Merge(self.a_region(bytes, space), self.a_region(bytes, space)),
            20..=21 => Op::Move(self.a_region(bytes, space), self.an_ask(bytes)),
            22 => Op::Stack(space, pages(bytes)),
            23 => Op::Buffer(space),
            24 => Op::PackedBuffer(space),
            25 => Op::ReleaseBuffer(bytes.below(self.buffers.len())),
            26 => Op::SetBuffer(bytes.below(self.things.len()), bytes.below(self.buffers.len())),
            27 => Op::Thread(space, pages(bytes), bytes.pick(&[0, 8, 4092, 4096, 9000])),
            28 => Op::ReleaseThread(bytes.below(self.threads.len())),
            29 => Op::Physical(space, physical(bytes), self.an_ask(bytes)),
            30 => self.an_allocation(bytes),
            31 => Op::MapThing(space, bytes.below(self.things.len()), self.an_ask(bytes)),
            32 => Op::Free(bytes.below(self.things.len())),
            33..=34 => match bytes.below(6) {
                0 => Op::Trim,
                1 => Op::DestroySpace(space),
                _ => Op::Write(bytes.below(256)),
            },
            35 => Op::CreateSpace,
            36..=37 => Op::Reserve(space, Ask { backing: backing(bytes), ..self.an_ask(bytes) }),
            38..=40 => {
                let region = self.a_region(bytes, space);
                Op::CloneRegion(region, self.a_space(bytes), self.an_ask(bytes))
            }
            41..=42 => match bytes.below(4) {
                0 => Op::CloneSpace(space),
                1 => Op::Settle(self.a_region(bytes, space)),
                2 => Op::Poke(space, self.an_address(bytes, space), bytes.byte()),
                _ => Op::Quota(space, [few(bytes), few(bytes), few(bytes)]),
            },
            43..=47 => Op::Touch(space, self.an_address(bytes, space), !bytes.one_in(4)),
            _ => {
                let (at, from) = (self.an_address(bytes, space), self.a_space(bytes));
                let how = bytes.pick(&[Supply::Share, Supply::Transfer]);
                Op::Supply(space, at, from, self.an_address(bytes, from), how)
            }
        }
    }

    fn an_allocation(&self, bytes: &mut Bytes<'_>) -> Op {
        let small = [
            Blueprint::Tcb,
            Blueprint::Endpoint,
            Blueprint::Notification,
            Blueprint::Frame { size_bits: 12 },
            Blueprint::Untyped { size_bits: 12 },
            Blueprint::Table { level: 1 },
            Blueprint::CNode { radix_bits: 4 },
            Blueprint::Untyped { size_bits: 16 },
        ];
        let blueprint = bytes.pick(&small);
        match bytes.below(4) {
            0 => Op::Allocate(blueprint),
            1 => Op::AllocateMany(blueprint, bytes.below(20)),
            2 => Op::AllocateMany(Blueprint::Frame { size_bits: 12 }, 1 + bytes.below(8)),
            _ => Op::TakeSlots(bytes.below(256) * 2),
        }
    }

    fn a_space(&self, bytes: &mut Bytes<'_>) -> SpaceId {
        match bytes.one_in(16) {
            true => self.spaces[bytes.below(self.spaces.len())],
            false => self.world.spaces[bytes.below(self.world.spaces.len())].id,
        }
    }

    fn a_region(&self, bytes: &mut Bytes<'_>, space: SpaceId) -> RegionId {
        let live = self.world.space(space).map_or(&[][..], |space| &space.regions);
        let number = bytes.below(256);
        match (bytes.one_in(16), live, &self.regions[..]) {
            (false, [_, ..], _) => live[number % live.len()].id,
            (_, _, [_, ..]) => self.regions[number % self.regions.len()],
            // There is always the page of the null pointer.
            _ => self.vmm.next_region(self.vmm.own_space(), 0).unwrap().unwrap().id,
        }
    }

    fn an_address(&self, bytes: &mut Bytes<'_>, space: SpaceId) -> usize {
        let live = self.world.space(space).map_or(&[][..], |space| &space.regions);
        match bytes.below(8) {
            0..=4 if !live.is_empty() => {
                let region = &live[bytes.below(live.len())];
                (region.usable().0 + bytes.below(region.pages + 1)) * PAGE
            }
            7 => bytes.wild(),
            _ => WINDOW + bytes.below(24) * PAGE,
        }
    }

    fn an_ask(&self, bytes: &mut Bytes<'_>) -> Ask {
        let style = bytes.byte();
        let plain = Ask {
            pages: pages(bytes),
            placement: Placement::At(WINDOW + bytes.below(24) * PAGE),
            align_bits: 0,
            guards: (0, 0),
            rights: Rights::READ_WRITE,
            ceiling: None,
            cache: CachePolicy::WriteBack,
            size: PageSize::Small,
            inside: None,
            backing: Backing::Explicit,
        };
        if style.is_multiple_of(8) {
            let large = 22 - self.is_x86_64() as u8;
            let at = Placement::At(LARGE + (bytes.below(4) << large));
            return Ask {
                pages: (1 + bytes.below(2)) << (large - 12),
                placement: bytes.pick(&[at, Placement::Anywhere]),
                align_bits: bytes.pick(&[large, 0]),
                size: bytes.pick(&[PageSize::Auto, PageSize::Large { bits: large }]),
                rights: bytes.pick(&[Rights::READ_WRITE, Rights::READ]),
                ..plain
            };
        }
        let mut ask = plain;
        if style & 1 != 0 {
            ask.placement = self.a_placement(bytes);
        }
        if style & 2 != 0 {
            ask.rights = rights(bytes);
            ask.ceiling = bytes.one_in(3).then(|| rights(bytes));
        }
        if style & 4 != 0 {
            ask.guards = (bytes.pick(&[0, 1, 2]), bytes.pick(&[1, 0, 2, u16::MAX]));
            ask.align_bits = bytes.pick(&[0, 13, 12, 15, 14, 21, 22, 30, 31, 255]);
        }
        if style & 16 != 0 {
            let reservations: Vec<RegionId> = self
                .world
                .spaces
                .iter()
                .flat_map(|space| &space.regions)
                .filter(|region| region.kind == Kind::Reservation)
                .map(|region| region.id)
                .collect();
            if !reservations.is_empty() {
                ask.inside = Some(bytes.pick(&reservations));
            } else if !self.regions.is_empty() {
                ask.inside = bytes.one_in(4).then(|| bytes.pick(&self.regions));
            }
        }
        if style & 32 != 0 {
            use CachePolicy::*;
            ask.cache = bytes.pick(&[WriteBack, WriteThrough, Uncached, WriteCombining]);
            ask.size = bytes.pick(&[
                PageSize::Small,
                PageSize::Auto,
                PageSize::Large { bits: 22 },
                PageSize::Large { bits: 21 },
                PageSize::Large { bits: 12 },
                PageSize::Large { bits: 255 },
            ]);
        }
        ask
    }

    fn a_placement(&self, bytes: &mut Bytes<'_>) -> Placement {
        match bytes.below(6) {
            0..=1 => Placement::Anywhere,
            2 => Placement::At(WINDOW - PAGE + bytes.below(26) * PAGE),
            3 => Placement::At(bytes.wild()),
            4 => {
                let from = WINDOW + bytes.below(24) * PAGE;
                Placement::Within { from, to: from + bytes.below(24) * PAGE }
            }
            _ => Placement::Within { from: bytes.wild(), to: bytes.wild() },
        }
    }

    fn is_x86_64(&self) -> bool {
        self.vmm.geometry().levels.len() == 4
    }
}

fn pages(bytes: &mut Bytes<'_>) -> usize {
    match bytes.below(32) {
        0 => 0,
        1 => bytes.wild(),
        2 => bytes.pick(&[512, 1024]),
        3 => 16 + bytes.below(256),
        few => 1 + few % 8,
    }
}

fn backing(bytes: &mut Bytes<'_>) -> Backing {
    match bytes.below(4) {
        0 => Backing::Pager { token: bytes.below(3) as u32 },
        _ => Backing::OnDemand { around: 1 << bytes.below(5) },
    }
}

/// How much more a quota allows: mostly any amount.
fn few(bytes: &mut Bytes<'_>) -> usize {
    match bytes.below(3) {
        0 => bytes.below(8),
        _ => usize::MAX,
    }
}

fn rights(bytes: &mut Bytes<'_>) -> Rights {
    bytes.pick(&[
        Rights::READ,
        Rights::READ_WRITE,
        Rights::empty(),
        Rights::WRITE,
        Rights::all(),
        Rights::READ_WRITE,
    ])
}

fn physical(bytes: &mut Bytes<'_>) -> usize {
    match bytes.below(4) {
        0 => DEVICE + bytes.below(32) * PAGE,
        1 => DEVICE + 0x40_0000 - bytes.below(8) * PAGE,
        2 => RAM + bytes.below(256) * PAGE,
        _ => bytes.wild(),
    }
}
