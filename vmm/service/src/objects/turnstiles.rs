// SPDX-License-Identifier: BSD-2-Clause
//! Turnstiles: threads each of which tells when all others of its priority had their turn.
//!
//! ```text
//!   server: send ──► thread: at the head of its priority's queue ── yield ──► at its tail
//!                                                                              │ all others run
//!   server: came ◄── call ── thread: runs again ◄───────────────────────────────┘
//! ```
//!
//! It runs only when it was sent. When nobody else is ready it comes at once. There are so many at
//! the most; where a program of a further priority is held, it has one that nobody is held by, or one
//! of a lower priority, whose programs do not run anyway: that gets its priority.
//!
//! Each program that is held has one of its own: so it goes on as if its own thread had yielded. If
//! two had one, the second, held while that is on its way, would go on before others had their
//! turn, and they would wait for twice as long.

use sel4::{cap, MessageInfo, MessageInfoBuilder};
use vmm::sel4::faults::{answer_kept, keep_caller, Manager};
use vmm::sel4::{JoinError, JoinHandle, SpawnOptions};
use vmm::AllocatorError::NeedsClearing;
use vmm::CPtr;

use super::service::clearing;
use super::types::Turnstile;
use crate::server::ServerError;

/// The most turnstiles of a server. Where more programs are held at a time, some share one.
pub const MAX_TURNSTILES: usize = 32;

/// The label of the answer that ends a turnstile's thread. That of a call which fails ends it, too.
const END: u64 = 1;

struct Entry {
    priority: u8,
    /// Its capability to the server's endpoint.
    badge: CPtr,
    /// The slot for the right to answer it.
    reply: CPtr,
    /// Whether it waits to be sent; otherwise it is on its way.
    waits: bool,
    thread: JoinHandle<()>,
}

impl Entry {
    /// Gives it another priority.
    fn set_priority(&mut self, priority: u8) -> Result<(), ServerError> {
        let (authority, wanted) = (sel4::init_thread::slot::TCB.cap(), priority.into());
        self.thread.tcb().tcb_set_sched_params(authority, wanted, wanted)?;
        self.priority = priority;
        Ok(())
    }
}

/// The turnstiles of a server.
pub(super) struct Turnstiles([Option<Entry>; MAX_TURNSTILES]);

impl Turnstiles {
    /// None.
    pub fn new() -> Turnstiles {
        Turnstiles([const { None }; MAX_TURNSTILES])
    }

    /// Makes turnstiles until there are `count` of a priority, or no more can be: each a thread
    /// with two pages, which is on its way. `started` says how many programs of a priority there
    /// are: of one with none they can be had, and where this one has none at all, of one that has
    /// several.
    ///
    /// # Errors
    /// What the manager refuses.
    pub fn prepare(
        &mut self,
        vmm: &mut Manager,
        endpoint: CPtr,
        (priority, count): (u8, usize),
        started: impl Fn(u8) -> usize,
    ) -> Result<(), ServerError> {
        let mut all = self.count(priority);
        while all < count {
            match self.0.iter().position(Option::is_none) {
                Some(index) => {
                    let badge = Turnstile(index as u8).badge();
                    self.0[index] = Some(make(vmm, endpoint, (priority, badge))?);
                }
                None => match self.spare(priority, all == 0, &started) {
                    Some(entry) => entry.set_priority(priority)?,
                    None => return Ok(()),
                },
            }
            all += 1;
        }
        Ok(())
    }

    /// How many there are of a priority.
    fn count(&self, priority: u8) -> usize {
        self.0.iter().flatten().filter(|entry| entry.priority == priority).count()
    }

    /// One that waits, so that nobody is held by it, and that another priority can do without: as
    /// it has no programs, or, where one is `needed`, others of these.
    fn spare(
        &mut self,
        priority: u8,
        needed: bool,
        started: impl Fn(u8) -> usize,
    ) -> Option<&mut Entry> {
        let idle = |entry: &Entry| started(entry.priority) == 0;
        let many = |entry: &Entry| needed && self.count(entry.priority) > 1;
        let find = |can: &dyn Fn(&Entry) -> bool| {
            let is = |entry: &Entry| entry.waits && entry.priority != priority && can(entry);
            self.0.iter().position(|place| place.as_ref().is_some_and(is))
        };
        let index = find(&idle).or_else(|| find(&many))?;
        self.0[index].as_mut()
    }

    /// One of a priority that waits; if none does, one that is on its way. Where there is none, one
    /// of another that waits; or one that is on its way to programs of a lower priority, which do
    /// not run before this one does: whoever is held by it goes on with this one. One on its way to
    /// a higher priority has this one's programs wait already.
    pub fn choose(&mut self, priority: u8) -> Option<Turnstile> {
        let all = || self.0.iter().enumerate().filter_map(|(at, it)| Some((at, it.as_ref()?)));
        let of = |waits: bool| all().find(|(_, it)| it.priority == priority && it.waits == waits);
        if let Some((index, _)) = of(true).or_else(|| of(false)) {
            return Some(Turnstile(index as u8));
        }
        let lower = || all().filter(|(_, it)| it.priority < priority);
        let found = all().find(|(_, it)| it.waits);
        let (index, _) = found.or_else(|| lower().min_by_key(|(_, it)| it.priority))?;
        self.0[index].as_mut()?.set_priority(priority).ok()?;
        Some(Turnstile(index as u8))
    }

    fn entry(&mut self, turnstile: Turnstile) -> Option<&mut Entry> {
        self.0.get_mut(usize::from(turnstile.0)).and_then(Option::as_mut)
    }

    /// Takes the call of one that came; it waits from now on.
    ///
    /// # Errors
    /// What the kernel refuses: nothing.
    pub fn came(&mut self, vmm: &Manager, turnstile: Turnstile) -> Result<(), ServerError> {
        if let Some(entry) = self.entry(turnstile) {
            keep_caller(vmm, entry.reply)?;
            entry.waits = true;
        }
        Ok(())
    }

    /// Sends one, unless it is on its way.
    pub fn send(&mut self, turnstile: Turnstile) {
        if let Some(entry) = self.entry(turnstile) {
            if core::mem::take(&mut entry.waits) {
                answer_kept(entry.reply, MessageInfoBuilder::default().build());
            }
        }
    }

    /// Ends all of them, which wait or come to wait at the endpoint, where nobody else does.
    ///
    /// # Errors
    /// What the manager refuses.
    pub fn end(mut self, vmm: &mut Manager, endpoint: CPtr) -> Result<(), ServerError> {
        let endpoint: cap::Endpoint = endpoint.cap();
        for index in 0..MAX_TURNSTILES {
            let turnstile = Turnstile(index as u8);
            while self.entry(turnstile).is_some_and(|entry| !entry.waits) {
                if let Some(came) = Turnstile::of_badge(endpoint.recv(()).1 as usize) {
                    self.came(vmm, came)?;
                }
            }
            let Some(entry) = self.0[index].take() else { continue };
            let ended = MessageInfoBuilder::default().label(END as sel4::Word).build();
            answer_kept(entry.reply, ended);
            entry.thread.join(vmm).map_err(|error| match error {
                JoinError::Manager(error) => ServerError::from(error),
                // It touches nothing.
                JoinError::Faulted(_) => vmm::Error::BadBootInfo(0).into(),
            })?;
            vmm.end_badge(entry.badge)?;
            vmm.free_slots(entry.reply, 1)?;
        }
        Ok(())
    }
}

/// Makes one; after an error nothing is left of it.
fn make(
    vmm: &mut Manager,
    endpoint: CPtr,
    (priority, badge): (u8, usize),
) -> Result<Entry, ServerError> {
    let reply = clearing(vmm, |vmm| vmm.alloc_slots(1))?;
    let badge = match clearing(vmm, |vmm| vmm.mint_badge(endpoint, badge)) {
        Ok(badge) => badge,
        Err(error) => {
            vmm.free_slots(reply, 1)?;
            return Err(error.into());
        }
    };
    let options = SpawnOptions::new().named("turnstile").stack(1).priority(priority);
    let made = loop {
        match vmm.spawn(&options, move || go_round(badge.cap())) {
            Err(vmm::sel4::Error::Manager(vmm::Error::Allocator(NeedsClearing { bytes })))
                if vmm.clear(bytes).is_ok_and(|cleared| cleared != 0) => {}
            made => break made,
        }
    };
    match made {
        Ok(thread) => Ok(Entry { priority, badge, reply, waits: false, thread }),
        Err(error) => {
            vmm.end_badge(badge)?;
            vmm.free_slots(reply, 1)?;
            Err(error.into())
        }
    }
}

/// What a turnstile's thread does.
fn go_round(server: cap::Endpoint) {
    let came = || -> MessageInfo { server.call(MessageInfoBuilder::default().build()) };
    while came().label() == 0 {
        sel4::r#yield();
    }
}
