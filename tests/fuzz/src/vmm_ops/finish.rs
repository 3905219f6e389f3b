//! The end of an input: everything goes back, and nothing may be left.

use super::Run;
use super::decode::Op;
use crate::machine;
use crate::reference::Region;

impl Run<'_> {
    /// Gives everything back, and looks for what is left.
    pub(super) fn give_all_back(&mut self) {
        for number in 0..self.threads.len() {
            let mut regions = self.threads[number].regions.iter();
            if regions.any(|&id| self.world.region(id).is_some()) {
                self.step_well(Op::ReleaseThread(number));
            }
        }
        for number in 0..self.buffers.len() {
            if self.buffers[number].live {
                self.step_well(Op::ReleaseBuffer(number));
            }
        }
        let own = self.vmm.own_space();
        let others: Vec<_> = self.world.spaces.iter().map(|space| space.id).collect();
        for id in others.into_iter().filter(|&id| id != own) {
            self.step_well(Op::DestroySpace(id));
        }
        while let Some(id) = self.world.space(own).and_then(|own| {
            let bare = |r: &&Region| !own.regions.iter().any(|other| other.owner == Some(r.id));
            own.regions.iter().find(bare).map(|region| region.id)
        }) {
            self.step_well(Op::Release(id));
        }
        for number in 0..self.things.len() {
            if self.things[number].1 {
                self.step_well(Op::Free(number));
            }
        }
        self.step_well(Op::Trim);
        assert_eq!(self.vmm.validate(), Ok(()));
        if !machine::CHECKED {
            return;
        }
        self.vmm.kernel().check_manager();
        self.nothing_is_left();
    }

    fn step_well(&mut self, op: Op) {
        let result = self.execute(op);
        if self.trace {
            eprintln!("at the end {op:x?}\n    => {result:x?}");
        }
        match result {
            Ok(made) => self.apply(op, made),
            Err(error) => panic!("at the end: {op:x?}: {error:x?}"),
        }
        self.compare();
    }

    fn nothing_is_left(&mut self) {
        let stats = self.vmm.stats();
        let live = stats.allocator.live;
        assert_eq!(live.frames[0], stats.bookkeeping_pages, "frames that live are book-keeping");
        assert_eq!(live.frames[1] + live.frames[2], 0, "no large frame lives");
        assert_eq!(stats.allocator.quarantined, 0, "nothing is in quarantine");
        let facts = self.vmm.kernel().facts();
        let empty = (facts.free.clone())
            .filter(|&slot| self.vmm.kernel().is_empty_slot(vmm::CPtr::new(slot)))
            .count();
        if self.vmm.allocator().grown_root().is_none() {
            assert_eq!(empty, stats.allocator.free_slots, "slots that are empty are free");
        }
    }
}
