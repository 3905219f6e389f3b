// SPDX-License-Identifier: BSD-2-Clause
//! Large pages: two programs have memory of them together, which is made, used and ended again and
//! again, beside one that takes all other memory and scatters it.

use roottask::{check, check_eq, Outcome};
use sel4_root_task::debug_println;
use vmm::Rights;
use vmm_service::objects::protocol::{Amounts, Resource};
use vmm_service::server::End;

use super::images;
use super::world::{Part, World, MEETING_SLOT};

const AMOUNTS: Amounts = Amounts([300, 160, 500, 40, 16, 100, 200, 0]);

/// A282 A283 A284 A286: so many times, and that as often as the other scatters its memory.
pub fn run(world: &mut World, rounds: usize) -> Outcome {
    let (limits, _) = world.server.objects().amounts();
    let large = limits.of(Resource::LargePages);
    check!(large > 1);
    let own = AMOUNTS.with(Resource::LargePages, large);
    let part = |name, amounts, argument| Part { name, file: images::BULK, amounts, argument };
    let lends = part("lends", own, (4 * rounds) << 8 | large as usize);
    let is_lent = part("is lent", AMOUNTS, 0);
    // All that these three do not have themselves, with the accounts that they are.
    let left = |nth: usize| limits.0[nth].saturating_sub(2 * (AMOUNTS.0[nth] + 2));
    let most = Amounts(core::array::from_fn(left)).with(Resource::LargePages, 0);
    let (name, file) = ("scatterer", images::SCATTERER);
    let scatterer = Part { name, file, amounts: most, argument: rounds };
    let parts = [lends, is_lent, scatterer].map(|part| (part, End::Exited(0)));
    world.run_with(&parts, |world, programs| {
        let meeting = world.meetings[0];
        let send = Rights::WRITE | Rights::GRANT;
        for (program, rights) in programs.iter().zip([send, Rights::READ | Rights::GRANT]) {
            let Some(program) = *program else { continue };
            let (server, vmm) = (&mut world.server, &mut world.vmm);
            server.give(vmm, program, (MEETING_SLOT, meeting), rights)?;
        }
        Ok(())
    })?;
    world.check_empty()?;
    let (after, used) = world.server.objects().amounts();
    check_eq!((after, used), (limits, Amounts::NONE));
    debug_println!("  {large} large pages are as free as before");
    Ok(())
}
