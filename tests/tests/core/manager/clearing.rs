// SPDX-License-Identifier: BSD-2-Clause
//! How much the kernel clears by one call, and clearing ahead.

use untyped_alloc::Error::NeedsClearing;
use untyped_alloc::KernelError;
use vmm::{Blame, Error, Invocation, Job, Pages, RegionOptions, Vmm};
use vmm_tests::model::{CallKind, SharedModel};

use crate::support::{Fixture, Machine, PAGE, Snapshot, Target, on_both};

on_both!(
    a_map_of_a_mib_leaves_a_large_untyped_alone,
    what_would_have_too_much_cleared_is_refused,
    memory_that_comes_back_can_be_had_again,
    jobs_clear_what_they_say_until_all_is_ready,
    jobs_leave_room_for_page_tables_where_all_is_frames,
    a_job_that_is_stale_does_nothing,
    so_much_is_cleared_ahead_as_was_asked_for,
    clearing_that_is_refused_loses_nothing,
    who_never_does_a_job_is_served_and_waits,
);

const LIMIT: usize = 1 << 18;

type Manager<'a> = Vmm<'a, SharedModel<'a>>;

fn map(vmm: &mut Manager<'_>, pages: usize) -> vmm::Result<vmm::RegionId> {
    vmm.map(vmm.own_space(), &RegionOptions::new(pages))
}

fn needs(error: Error) -> usize {
    assert_eq!(error.blame(), Blame::Resource);
    match error {
        Error::Allocator(NeedsClearing { bytes }) => bytes,
        other => panic!("{other:?}"),
    }
}

/// A122.
fn a_map_of_a_mib_leaves_a_large_untyped_alone(target: Target) {
    let small = [(0x100_0000, 19), (0x120_0000, 19), (0x140_0000, 18), (0x150_0000, 16)];
    let ram = [&[(0x800_0000, 27)], &small[..]].concat();
    let mut host = Fixture::new(Machine::with_ram(target, ram));
    map(&mut host.vmm, 256).expect("memory");
    let most: u64 = small.iter().map(|&(_, bits)| 1 << bits).sum();
    let cleared = host.kernel().bytes_cleared();
    assert!(cleared <= most, "{cleared} bytes were cleared");
    host.check();
}

/// A121, A123.
fn what_would_have_too_much_cleared_is_refused(target: Target) {
    let ram = vec![(0x100_0000, 24), (0x80_0000, 22), (0x70_0000, 16)];
    let mut host = Fixture::new(Machine::with_ram(target, ram).clearing(LIMIT));
    let before = Snapshot::of(&host);
    let error = map(&mut host.vmm, 64).expect_err("nothing may be cleared for it");
    let bytes = needs(error);
    assert_eq!(bytes, 1 << 22, "the smaller of the two that serve");
    host.check();
    before.assert_same(&Snapshot::of(&host));

    host.kernel().bound_calls(None);
    assert_eq!(host.vmm.next_clearing(bytes), bytes);
    assert_eq!(host.vmm.clear(bytes), Ok(bytes));
    let bound = host.machine.bound();
    host.kernel().bound_calls(bound);
    map(&mut host.vmm, 64).expect("it is cleared");
    host.check();
}

/// A120: the model kernel panics at a call that clears more, or deletes more.
fn memory_that_comes_back_can_be_had_again(target: Target) {
    let mut host = Fixture::new(Machine::in_pieces(target));
    for _ in 0..3 {
        let region = map(&mut host.vmm, 2048).expect("half of what there is");
        host.vmm.release(region).expect("a region");
        host.vmm.trim().expect("nothing is refused");
    }
    let space = host.vmm.create_space().expect("memory");
    host.vmm.map(space, &RegionOptions::new(2048)).expect("half of what there is");
    host.vmm.destroy_space(space).expect("a space");
    let cleared = host.kernel().most_cleared();
    let deleted = host.kernel().most_deleted();
    assert!(cleared > PAGE && cleared <= LIMIT, "{cleared} bytes by one call");
    assert!(deleted > 1 && deleted <= 256, "{deleted} capabilities by one call");
    host.check();
}

/// Does every job there is, each held to what it says.
fn run_jobs(host: &mut Fixture<'_>) -> usize {
    let mut jobs = 0;
    host.kernel().bound_calls(None);
    while let Some(job) = host.vmm.next_job() {
        let before = host.kernel().bytes_cleared();
        assert!(host.vmm.run_job(job).expect("nothing is refused"), "{job:?} did nothing");
        let cleared = host.kernel().bytes_cleared() - before;
        assert!(cleared <= job.cleared_by_one_call() as u64, "{cleared} cleared by {job:?}");
        host.check();
        jobs += 1;
        assert!(jobs < 2000, "there is no end of jobs");
    }
    let bound = host.machine.bound();
    host.kernel().bound_calls(bound);
    jobs
}

/// A124.
fn jobs_clear_what_they_say_until_all_is_ready(target: Target) {
    let ram = vec![(0x100_0000, 24), (0x80_0000, 18), (0x70_0000, 16), (0x60_0000, 13)];
    let mut host = Fixture::new(Machine::with_ram(target, ram).clearing(LIMIT));
    for _ in 0..2 {
        assert_ne!(run_jobs(&mut host), 0);
        let stats = host.vmm.stats().allocator;
        assert_eq!(stats.dirty_ready_bytes, 0);
        assert!(stats.untyped_bytes - stats.clean_bytes < 1 << 17, "{stats:?}");
        let before = host.kernel().bytes_cleared();
        let region = map(&mut host.vmm, 1024).expect("memory");
        let cleared = host.kernel().bytes_cleared() - before;
        assert!(cleared < 1 << 15, "somebody waited for {cleared} bytes");
        host.vmm.write(host.vmm.own_space(), start_of(&host, region), &[1; 64]).expect("mapped");
        host.vmm.release(region).expect("a region");
    }
    // What was written to is zero when it is handed out again.
    run_jobs(&mut host);
    let region = map(&mut host.vmm, 1024).expect("memory");
    for page in 0..1024 {
        assert_eq!(host.read(host.own(), start_of(&host, region) + page * PAGE), 0);
    }
}

fn start_of(host: &Fixture<'_>, region: vmm::RegionId) -> usize {
    host.vmm.pages_of(region).expect("a region").start().bits()
}

/// A129.
fn jobs_leave_room_for_page_tables_where_all_is_frames(target: Target) {
    let mut host = Fixture::new(Machine::in_pieces(target));
    let regions: Vec<_> = core::iter::from_fn(|| map(&mut host.vmm, 64).ok()).collect();
    for region in regions {
        host.vmm.release(region).expect("a region");
    }
    assert!(host.vmm.stats().allocator.largest_free_bytes < 1 << 17, "all of it is frames");
    let given_back = host.vmm.next_job();
    assert_eq!(given_back, Some(Job::GiveBack { bytes: LIMIT }), "before frames are zeroed");
    assert_ne!(run_jobs(&mut host), 0);

    // A page every 4 MiB, each in a table of its own.
    let own = host.vmm.own_space();
    let region = host.vmm.reserve(own, &RegionOptions::new(16 << 10)).expect("room");
    let (start, before) = (start_of(&host, region), host.kernel().bytes_cleared());
    for table in 0..16 {
        host.vmm.populate(own, Pages::at(start + (table << 22))).expect("memory");
    }
    assert_eq!(host.kernel().bytes_cleared(), before, "somebody waited");
    host.check();
}

/// A124.
fn a_job_that_is_stale_does_nothing(target: Target) {
    let ram = vec![(0x100_0000, 24)];
    let mut host = Fixture::new(Machine::with_ram(target, ram));
    let job = Job::Clear { bytes: 1 << 20 };
    assert_eq!(host.vmm.run_job(job), Ok(false), "what is dirty has more bytes");
    assert_eq!(host.vmm.run_job(Job::ZeroFrames { count: 16 }), Ok(false));
    assert_eq!(host.vmm.run_job(Job::MakeFrames { count: 16 }), Ok(false), "nothing is clean");
    assert_eq!(host.vmm.run_job(Job::GiveBack { bytes: 1 << 20 }), Ok(false), "no batch is there");
    for bytes in [0, 1, usize::MAX] {
        assert_eq!(host.vmm.run_job(Job::Clear { bytes }), Ok(false), "{bytes}");
    }
    assert_eq!(host.kernel().bytes_cleared(), 0);
}

/// A124.
fn so_much_is_cleared_ahead_as_was_asked_for(target: Target) {
    let ram = vec![(0x100_0000, 24), (0x80_0000, 20), (0x70_0000, 18)];
    let mut host = Fixture::new(Machine::with_ram(target, ram));
    host.vmm.limit_clearing(LIMIT);
    assert_eq!(host.vmm.clear_ahead(LIMIT), Ok(0), "a request may have this cleared itself");
    assert_eq!(host.vmm.clear_ahead(1 << 20), Ok(1 << 20));
    assert_eq!(host.vmm.clear_ahead(1 << 20), Ok(0), "it is clear");
    assert_eq!(host.vmm.clear_ahead(usize::MAX), Ok(1 << 24), "more than there is: all");
    assert_eq!(host.kernel().bytes_cleared(), (1 << 24) + (1 << 20));
    host.check();
}

/// A125.
fn clearing_that_is_refused_loses_nothing(target: Target) {
    let mut host = Fixture::new(Machine::with_ram(target, vec![(0x100_0000, 24), (0x80_0000, 16)]));
    let before = Snapshot::of(&host);
    for error in [KernelError::NotEnoughMemory, KernelError::FailedLookup] {
        host.kernel().fail_nth_of(CallKind::UntypedRetype, 1, error);
        let refused = Error::Allocator(untyped_alloc::Error::Kernel {
            invocation: Invocation::UntypedRetype,
            error,
        });
        assert_eq!(host.vmm.clear(1 << 20), Err(refused));
        host.check();
        before.assert_same(&Snapshot::of(&host));
    }
    assert_eq!(host.vmm.clear(1 << 20), Ok(1 << 24));
    host.check();
}

/// A map of so many pages, where what a refusal asks for is cleared in words: the memory is zero.
/// Returns the region, and how many bytes its maker waited for.
fn map_clear(host: &mut Fixture<'_>, pages: usize) -> (vmm::RegionId, u64) {
    let before = host.kernel().bytes_cleared();
    let region = loop {
        match map(&mut host.vmm, pages) {
            Ok(region) => break region,
            Err(error) => {
                let bytes = needs(error);
                host.kernel().bound_calls(None);
                assert_ne!(host.vmm.clear(bytes), Ok(0), "{bytes} bytes were asked for in vain");
                let bound = host.machine.bound();
                host.kernel().bound_calls(bound);
            }
        }
    };
    let (own, start) = (host.own(), start_of(host, region));
    for page in 0..pages {
        assert_eq!(host.read(own, start + page * PAGE), 0);
        host.vmm.write(host.vmm.own_space(), start + page * PAGE, &[1; 8]).expect("mapped");
    }
    host.check();
    (region, host.kernel().bytes_cleared() - before)
}

/// A176. The same requests, by who does all jobs there are between them, and by who never does any.
fn who_never_does_a_job_is_served_and_waits(target: Target) {
    let waited = [true, false].map(|jobs| {
        let ram = vec![(0x100_0000, 24), (0x80_0000, 22), (0x70_0000, 18), (0x60_0000, 13)];
        let mut host = Fixture::new(Machine::with_ram(target, ram).clearing(LIMIT));
        let mut waited = 0;
        for pages in [1, 64, 2048, 300, 4096, 7] {
            if jobs {
                run_jobs(&mut host);
            }
            let (first, bytes) = map_clear(&mut host, pages);
            let (second, more) = map_clear(&mut host, 16);
            waited += bytes + more;
            host.vmm.release(first).expect("a region");
            host.vmm.release(second).expect("a region");
        }
        host.vmm.trim().expect("nothing is refused");
        host.check();
        waited
    });
    assert!(waited[0] < waited[1] / 8, "{waited:?} bytes");
}
