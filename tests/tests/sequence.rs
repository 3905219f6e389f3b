// SPDX-License-Identifier: BSD-2-Clause
//! Random sequences of invocations on the model: it stays sound, and every kind of answer occurs.

use std::collections::BTreeMap;
use std::convert::Infallible;

use call_sequence::{Config, Source};
use untyped_alloc::kernel::{CPtr, Kernel, KernelError, KernelResult};
use vmm_tests::model::{Arena, BootConfig, CallKind, ModelKernel};

const WINDOW_VADDR: usize = 0x4000_0000;

/// The machine of `BootConfig::ia32`, and a sequence's place on it.
fn machine(arena: &Arena) -> (ModelKernel<'_>, Config) {
    let kernel = ModelKernel::boot(arena, &BootConfig::ia32());
    let facts = kernel.facts();
    let of_size = |bits| {
        let untyped = facts.untypeds.iter().find(|u| u.size_bits == bits && !u.device);
        CPtr::new(untyped.expect("an untyped of each size").slot)
    };
    let device = facts.untypeds.iter().find(|u| u.device).expect("a device");
    let sources = [of_size(23), of_size(17), of_size(13), CPtr::new(device.slot)];
    let config = Config::ia32(CPtr::new(facts.free.start), sources, WINDOW_VADDR);
    (kernel, config)
}

/// Runs `steps` calls, and `each` after every one.
fn run(
    seed: u64,
    steps: usize,
    kernel: &mut ModelKernel<'_>,
    config: &Config,
    mut each: impl FnMut(usize, &mut ModelKernel<'_>, KernelResult<usize>),
) {
    let sequence = Source::Random { seed, steps };
    let Ok(()) = sequence.run(kernel, config, |kernel, step, _, result| {
        each(step, kernel, result);
        Ok::<(), Infallible>(())
    });
}

#[test]
fn the_model_stays_sound_whatever_is_called() {
    let arena = Arena::new();
    for seed in 0..4 {
        let (mut kernel, config) = machine(&arena);
        run(seed, 25_000, &mut kernel, &config, |step, kernel, _| {
            if step % 50 == 0 {
                kernel.check();
            }
        });
        kernel.check();
    }
}

#[test]
fn short_sequences_stay_sound_at_every_step() {
    let arena = Arena::new();
    for seed in 100..130 {
        let (mut kernel, config) = machine(&arena);
        run(seed, 300, &mut kernel, &config, |_, kernel, _| kernel.check());
    }
}

#[test]
fn a_revoke_of_the_sources_gives_all_memory_back() {
    let arena = Arena::new();
    for seed in 200..210 {
        let (mut kernel, config) = machine(&arena);
        let before: Vec<_> = kernel.mappings(config.vspace);
        run(seed, 2_000, &mut kernel, &config, |_, _, _| {});
        for source in config.sources {
            let path = untyped_alloc::kernel::CapPath {
                root: config.root,
                index: source.bits(),
                depth: 32,
            };
            kernel.cnode_revoke(path).unwrap();
        }
        for slot in 0..usize::from(call_sequence::WINDOW) {
            assert!(kernel.is_empty_slot(config.window.offset(slot)), "seed {seed}: slot {slot}");
        }
        kernel.check();
        let left = kernel.mappings(config.vspace);
        assert!(before.iter().all(|mapping| left.contains(mapping)), "the image stays mapped");
    }
}

#[test]
fn a_sequence_depends_on_its_seed_alone() {
    let arena = Arena::new();
    let results = |seed| {
        let (mut kernel, config) = machine(&arena);
        let mut all = Vec::new();
        run(seed, 2_000, &mut kernel, &config, |_, _, result| all.push(result));
        all
    };
    assert_eq!(results(1), results(1));
    assert_ne!(results(1), results(2));
}

#[test]
fn every_answer_occurs_and_a_third_of_the_calls_succeed() {
    let arena = Arena::new();
    let (mut kernel, config) = machine(&arena);
    let mut answers: BTreeMap<String, usize> = BTreeMap::new();
    run(7, 50_000, &mut kernel, &config, |_, _, result| {
        let answer = result.map_or_else(|error| format!("{error:?}"), |_| "Ok".into());
        *answers.entry(answer).or_default() += 1;
    });
    assert!(answers["Ok"] > 16_000, "{answers:?}");
    use KernelError::*;
    for error in [
        InvalidArgument,
        InvalidCapability,
        IllegalOperation,
        RangeError,
        AlignmentError,
        FailedLookup,
        DeleteFirst,
        RevokeFirst,
        NotEnoughMemory,
    ] {
        assert!(
            answers.get(&format!("{error:?}")).is_some_and(|&n| n > 50),
            "{error:?}: {answers:?}"
        );
    }
    assert!(kernel.calls(CallKind::TcbSetSpace) > 300);
}
