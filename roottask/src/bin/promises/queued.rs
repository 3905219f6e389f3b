// SPDX-License-Identifier: BSD-2-Clause
//! The server is held elsewhere while programs send, until none of them can go on: then it serves a
//! little, or ends some of them with all that they have sent. Numbers are few meanwhile.

use roottask::{check, check_eq, Outcome};
use sel4::init_thread::slot;
use sel4::Word;
use sel4_root_task::debug_println;
use vmm_service::objects::protocol::{Amounts, FIRST_FREE_SLOT};
use vmm_service::objects::{NewProgram, ProgramId, Served};
use vmm_service::server::End;

use super::world::{World, PRIORITY, STACK_PAGES};
use super::{images, numbers};

const AMOUNTS: Amounts = Amounts([400, 520, 1000, 80, 28, 240, 480, 0]);
/// Programs at a time, and of how many rounds each.
const PROGRAMS: usize = 3;
const ROUNDS: usize = 4;
/// The greatest number of an object, a badge or a token; of a thread or a space.
const MAX: u32 = 200;
const MAX_THREADS: u32 = 100;
/// Requests that are served until the server is held, by turns; and after how many times one
/// program is ended.
const STRETCHES: [u64; 4] = [1, 7, 40, 3];
const KILL: u32 = 100;
/// After how many more another is begun in its place.
const BACK: u32 = KILL / 2;
/// The priority of this thread: as root tasks have it.
const OWN: Word = 255;
/// Objects that a program uses with numbers of their own, when all else is over.
const USED: usize = 100;
/// How often the same is done at the most until it leaves what was there before.
const TIMES: usize = 4;

/// A309: so many programs that are ended from here, and others that end by themselves.
pub fn run(world: &mut World, kills: usize) -> Outcome {
    let left = numbers::left(world, USED)?;
    let mut before = world.check_empty()?;
    for _ in 0..TIMES {
        world.vmm.narrow_numbers(MAX_THREADS);
        world.server.narrow_numbers(Some(MAX));
        // Programs that send without waiting would be held wherever they are.
        world.server.measure_slices(false);
        let ran = crowds(world, kills);
        world.server.measure_slices(true);
        world.server.narrow_numbers(None);
        world.vmm.narrow_numbers(u32::MAX >> 5);
        ran?;
        // As many numbers as before, of each kind.
        check_eq!(numbers::left(world, USED)?, left);
        let after = world.check_empty()?;
        if after == before {
            return Ok(());
        }
        debug_println!("  {after:?} pages and slots are free, and were {before:?}");
        before = after;
    }
    check!(false);
    Ok(())
}

fn crowds(world: &mut World, kills: usize) -> Outcome {
    let before = world.server.counts();
    let mut running = [None; PROGRAMS];
    for place in &mut running {
        *place = Some(begin(world)?);
    }
    let (mut held, mut ended, mut killed, mut again) = (0, 0, 0, false);
    loop {
        let stretch = STRETCHES[held as usize % STRETCHES.len()];
        match world.server.run_some(&mut world.vmm, stretch)? {
            Served::Paused => {
                // Threads of one that ends may run still: by a capability that is gone they send
                // nothing, again and again.
                if !world.server.objects().is_urgent() {
                    hold()?;
                }
                held += 1;
                let place = &mut running[killed % PROGRAMS];
                match held % KILL {
                    0 if killed < kills => {
                        if let Some(program) = place.take() {
                            world.server.kill(&mut world.vmm, program)?;
                        }
                        again = true;
                    }
                    // All that it had is back.
                    BACK if again => {
                        *place = Some(begin(world)?);
                        (again, killed) = (false, killed + 1);
                    }
                    _ => {}
                }
            }
            Served::Ended(program, end) => {
                check_eq!(end, End::Exited(0));
                running.iter_mut().filter(|it| **it == Some(program)).for_each(|it| *it = None);
                ended += 1;
            }
            Served::Nobody => break,
        }
    }
    let after = world.server.counts();
    let requests = after.requests - before.requests;
    debug_println!("  held {held} times in {requests} requests; {killed} programs were ended");
    check_eq!(after.unresolved, before.unresolved);
    check!(killed == kills && ended >= PROGRAMS);
    Ok(())
}

fn begin(world: &mut World) -> Outcome<ProgramId> {
    let World { vmm, server, .. } = world;
    let new = NewProgram::new("crowd", images::CROWD, AMOUNTS);
    let new = NewProgram { stack_pages: STACK_PAGES, ..new };
    let (program, begin) = server.create(vmm, &new)?;
    server.give_file(vmm, program, (FIRST_FREE_SLOT, images::CROWD))?;
    server.start(vmm, &begin, (PRIORITY, ROUNDS))?;
    Ok(program)
}

/// This thread does something else until each thread of each program waits: it runs below them.
fn hold() -> Outcome {
    let me = slot::TCB.cap();
    me.tcb_set_priority(me, Word::from(PRIORITY) - 1)?;
    me.tcb_set_priority(me, OWN)?;
    Ok(())
}
