//! The targets on inputs from a small generator: no fuzzer is needed for these, so other tools
//! (Miri above all) can run them.

/// A deterministic input of `length` bytes.
fn input(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(next).collect()
}

/// Runs a target on some inputs of so many bytes: fewer under Miri, which takes some thousand times
/// as long.
fn run(target: fn(&[u8]), (inputs, length): (u64, usize), (few, short): (u64, usize)) {
    let (inputs, length) = if cfg!(miri) { (few, short) } else { (inputs, length) };
    (0..inputs).for_each(|seed| target(&input(seed, length)));
}

#[test]
fn addresses() {
    run(crate::addresses::run, (1000, 400), (4, 200));
}

#[test]
fn alloc_ops() {
    run(crate::alloc_ops::run, (200, 300), (1, 30));
}

#[test]
fn slots_state() {
    run(crate::slots_state::run, (100, 300), (1, 40));
}

#[test]
fn vmm_ops() {
    run(crate::vmm_ops::run, (300, 300), (1, 100));
}
