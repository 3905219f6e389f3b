// SPDX-License-Identifier: BSD-2-Clause
//! Badges of capabilities: what is sent by one that ended is nobody's, however soon the badge
//! serves again.

use vmm::Invocation;
use vmm_service::objects::protocol::Request;
use vmm_service::objects::{Arrived, OBJECT_BADGE, Turnstile};

use crate::world::{A, B, Program, World};

impl World {
    /// Makes memory; returns the badge of the capability to it, and how often the kernel was asked
    /// for each of what that takes.
    fn made(&mut self, program: Program, slot: u32) -> (usize, [u64; 3]) {
        let before = self.fixture.vmm.kernel_calls();
        self.memory(program, 1, slot);
        let calls = self.fixture.vmm.kernel_calls().since(&before);
        let [Arrived::Own(badge)] = self.arrive(program, &[slot])[..] else { panic!() };
        let asked =
            [Invocation::CNodeMint, Invocation::CNodeCopy, Invocation::CNodeCancelBadgedSends];
        (badge, asked.map(|one| calls.of(one)))
    }
}

/// A93: a server tells badges apart by their numbers alone, whatever these are.
#[test]
fn no_badge_of_an_object_or_a_fault_is_a_turnstiles() {
    let (mut world, program) = World::one();
    let (object, _) = world.made(program, A);
    let fault = OBJECT_BADGE - 1;
    for badge in [0, 1, fault, OBJECT_BADGE, object] {
        assert_eq!(Turnstile::of_badge(badge), None, "{badge:#x}");
    }
    for number in 0..=u8::MAX {
        let badge = Turnstile(number).badge();
        assert_eq!(Turnstile::of_badge(badge), Some(Turnstile(number)));
        // It has the bit of objects, and as many bits as a badge has on IA32.
        assert!(badge & OBJECT_BADGE != 0 && badge >> 28 == 0, "{badge:#x}");
    }
    for badge in [Turnstile(0).badge() - 1, Turnstile(255).badge() + 1, usize::MAX] {
        assert_eq!(Turnstile::of_badge(badge), None, "{badge:#x}");
    }
}

/// A238, I41: a badge that was nobody's is not cancelled, which would take a kernel call for
/// nothing; one that serves again is. So nothing that was sent by an old one is taken for the new
/// one's.
#[test]
fn a_badge_is_cancelled_where_it_served_before() {
    let (mut world, program) = World::one();
    let (first, calls) = world.made(program, A);
    assert_eq!(calls, [1, 1, 0]);
    assert!(world.fixture.kernel().send(program.slot(A), 1));
    world.finish(program, Request::Destroy {}, &[A]);
    // Another one: what waits is nobody's.
    let (second, calls) = world.made(program, A);
    assert!(second != first);
    assert_eq!(calls, [1, 1, 0]);
    let endpoint = world.endpoint;
    assert_eq!(world.fixture.kernel().receive(endpoint), Some((first, 1)));
    let nobody = world.send(first, &Request::Info {}.encode(), &[]);
    assert!(nobody.answer.is_none() && nobody.act.is_none() && nobody.event.is_none());
    // From now on badges are given out again.
    assert!(world.fixture.kernel().send(program.slot(A), 2));
    world.finish(program, Request::Destroy {}, &[A]);
    let number = |badge: usize| (badge & 0xff) as u32;
    world.objects.narrow_numbers(number(second));
    loop {
        let (badge, calls) = world.made(program, B);
        assert_eq!(calls, [1, 1, 1], "{badge:#x}");
        if badge == second {
            break;
        }
        assert!(number(badge) < number(second));
        world.finish(program, Request::Destroy {}, &[B]);
    }
    assert_eq!(world.fixture.kernel().receive(endpoint), None, "it was sent by the old one");
    assert!(world.fixture.kernel().send(program.slot(B), 3));
    assert_eq!(world.fixture.kernel().receive(endpoint), Some((second, 3)));
}
