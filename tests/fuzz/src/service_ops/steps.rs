// SPDX-License-Identifier: BSD-2-Clause
//! The steps: what clients, their threads and others may do next.

use vmm::{Access, PageFault, Quota, RegionOptions, Resolution};
use vmm_service::protocol::Request;
use vmm_service::{ClientId, Program};
use vmm_tests::support::PAGE;

use super::decode;
use super::world::{Known, World};
use crate::bytes::Bytes;

/// Clients that live at the most.
const MAX_CLIENTS: usize = 5;

impl World<'_> {
    /// One step.
    pub fn step(&mut self, bytes: &mut Bytes<'_>) {
        let kind = bytes.below(24);
        self.failing = decode::arm(bytes, &mut self.host.kernel());
        if self.trace {
            eprintln!("step {}: kind {kind}, failing: {}", self.steps, self.failing);
        }
        match kind {
            0..=1 => self.make_client(bytes),
            2..=11 => self.request(bytes),
            12 => self.noise(bytes),
            13..=16 => self.touch(bytes),
            17..=18 => self.reap(),
            19 => {
                if let Some(client) = self.some_client(bytes) {
                    self.kill(client);
                }
            }
            20 => self.queue_message(bytes),
            21 => self.receive_message(),
            22 => self.squeeze_memory(bytes),
            _ => self.squeeze_slots(bytes),
        }
        self.host.kernel().disarm();
        self.do_deferred();
    }

    fn make_client(&mut self, bytes: &mut Bytes<'_>) {
        if self.clients.len() >= MAX_CLIENTS {
            return;
        }
        let parent = if bytes.one_in(3) { self.some_client(bytes) } else { None };
        let limits = bytes.pick(&[
            Quota { frames: 60, tables: 5, slots: 60, objects: 4 },
            Quota { frames: 20, tables: 4, slots: 10, objects: 3 },
            Quota { frames: 400, tables: 8, slots: 300, objects: 12 },
            Quota { frames: 6, tables: 2, slots: 3, objects: 1 },
            Quota { frames: 0, tables: 0, slots: 0, objects: 0 },
        ]);
        let vmm = &mut self.host.vmm;
        let made = self.service.create_client(vmm, "client", limits, parent);
        let Ok(id) = made else { return };
        let known =
            Known { id, regions: Vec::new(), buffers: Vec::new(), faults: Vec::new(), waits: None };
        self.clients.push(known);
        assert!(!self.former.contains(&id), "{id:?} has come again");
        if bytes.one_in(4) {
            return;
        }
        let (file, stack_pages) = (decode::program(bytes), 1 + bytes.below(2));
        let program = Program { file, stack_pages, writable_code: false };
        if self.service.load(&mut self.host.vmm, id, &program).is_err() {
            self.kill(id);
        }
    }

    /// A message that is meant, or nearly.
    fn request(&mut self, bytes: &mut Bytes<'_>) {
        let Some(client) = self.some_client(bytes) else { return };
        let request = decode::request(self, client, bytes);
        let message = request.encode();
        let (label, mut words) = (message.label(), message.words().to_vec());
        if self.trace {
            eprintln!("  {client:?}: {request:x?}");
        }
        if bytes.one_in(16) && !words.is_empty() {
            let place = bytes.below(words.len());
            words[place] ^= 1 << bytes.below(32);
        }
        self.message(client.badge(), label, &words, usize::from(bytes.one_in(64)));
    }

    /// A message that nobody means, with any badge.
    fn noise(&mut self, bytes: &mut Bytes<'_>) {
        let badge = match bytes.below(4) {
            0 => bytes.wild(),
            1 => bytes.below(32),
            2 => self.former.get(bytes.below(self.former.len())).map_or(1, |client| client.badge()),
            _ => self.some_client(bytes).map_or(0, ClientId::badge),
        };
        let words: Vec<usize> = (0..bytes.below(40)).map(|_| bytes.wild()).collect();
        let label = match bytes.below(2) {
            0 => bytes.wild() as u32 & 0xf_ffff,
            _ => Request::Statistics.encode().label() & !0xfff | bytes.below(32) as u32,
        };
        self.message(badge, label, &words, bytes.below(4) / 3);
    }

    /// A thread of a client's touches a page, mostly of a region of its client's.
    fn touch(&mut self, bytes: &mut Bytes<'_>) {
        let Some(client) = self.some_client(bytes) else { return };
        let Some(thread) = self.some_thread(client, bytes) else { return };
        let known = self.clients.iter().find(|known| known.id == client).expect("it lives");
        let region = known.regions.get(bytes.below(known.regions.len()));
        let address = match region {
            Some(&(_, first, pages)) if !bytes.one_in(16) => {
                first.wrapping_add(bytes.below(pages as usize + 1) * PAGE)
            }
            _ => bytes.wild(),
        };
        let access = bytes.pick(&[Access::Write, Access::Read, Access::Execute]);
        let vspace = self.host.vmm.vspace(client.space()).expect("it lives");
        let mapped = self.host.kernel().mapping(vspace, address as usize & !0xfff);
        if mapped.is_some_and(|page| page.rights.bits() & 2 != 0) {
            return;
        }
        let present = mapped.is_some();
        let fault = PageFault { address: address as usize, access, present, ip: 0 };
        if self.trace {
            eprintln!("  {thread:?} of {client:?}: {fault:x?}");
        }
        let before = self.usages();
        let handled = self.host.vmm.handle_fault(thread.badge(), &fault);
        self.nobody_else_pays(&before, &[client.space()]);
        let asked = match handled.map(|handled| (handled.thread.id, handled.resolution)) {
            Ok((found, Resolution::Resolved(_))) => return assert_eq!(found, thread),
            Ok((_, Resolution::AskPager { token, page })) => {
                let vmm = &mut self.host.vmm;
                self.service.ask_pager(vmm, thread, fault, token, page).ok().flatten()
            }
            _ => None,
        };
        // Whoever waited before has been set going by others; a refused call leaves it.
        if self.host.vmm.request_of(thread) != Ok(None) && asked.is_none() {
            self.asleep.retain(|(other, _)| *other != thread);
        }
        match asked {
            Some(slot) => {
                self.asleep.retain(|(other, _)| *other != thread);
                self.asleep.push((thread, slot));
            }
            None => {
                self.asleep.retain(|(other, _)| *other != thread);
                self.kill(client);
            }
        }
    }

    fn reap(&mut self) {
        let before = self.usages();
        // Refused for a kernel call that failed: it is made again later.
        match self.service.reap_step(&mut self.host.vmm) {
            Ok(_) => {}
            Err(error) => assert!(self.failing, "{error:?}"),
        }
        self.nobody_else_pays(&before, &[]);
        // Some may have ended by it: those that waited for a page of who ended.
        let service = &self.service;
        self.clients.retain(|known| service.client_in(known.id.space()).is_some());
    }

    /// Others take memory, or give it back.
    fn squeeze_memory(&mut self, bytes: &mut Bytes<'_>) {
        if bytes.one_in(2) {
            if let Some(region) = self.regions.pop() {
                if self.host.vmm.release(region).is_err() {
                    self.regions.push(region);
                }
            }
            return;
        }
        let (own, pages) = (self.host.own(), bytes.pick(&[1, 60, 300, 1000]));
        if let Ok(region) = self.host.vmm.map(own, &RegionOptions::new(pages)) {
            self.regions.push(region);
        }
    }

    /// Others take slots, or give them back.
    fn squeeze_slots(&mut self, bytes: &mut Bytes<'_>) {
        if bytes.one_in(2) {
            if let Some((first, count)) = self.slots.pop() {
                self.host.vmm.free_slots(first, count).expect("they are ours");
            }
            return;
        }
        let count = bytes.pick(&[1, 30, 500]);
        if let Ok(first) = self.host.vmm.alloc_slots(count) {
            self.slots.push((first, count));
        }
    }
}
