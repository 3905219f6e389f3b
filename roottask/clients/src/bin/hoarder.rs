// SPDX-License-Identifier: BSD-2-Clause
//! Has a heap that grows over several MiB and shrinks: what it took of the account comes back. Its
//! argument says how many milliseconds it sleeps then; 0: it does not, as there may be no clock.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use vmm_client::handles::{Program, Result};
use vmm_client::objects::{Resource, PAGE_BYTES};
use vmm_client::{heap, program, tell};

program!(main);
heap!(HEAP);

/// Entries of the map: some 3 MiB with what is around them.
const ENTRIES: u64 = 40_000;
/// Bytes of the vector, more than the program begins with or any piece has at first.
const BYTES: usize = 2 << 20;

fn main(program: &Program, rest: usize) -> Result {
    let account = program.account();
    let used = || account.amounts().map(|info| info.used);
    let before = used()?;

    let mut map = BTreeMap::new();
    // A prime's multiples: in no order, and each once.
    let key = |number: u64| number * 7919 % 104_729;
    (0..ENTRIES).for_each(|number| assert!(map.insert(key(number), [number; 7]).is_none()));
    let words = BYTES / size_of::<u32>();
    let vector: Vec<u32> = (0..words as u32).collect();
    let grown = used()?.of(Resource::Pages) - before.of(Resource::Pages);
    let held = BYTES + map.len() * size_of::<(u64, [u64; 7])>();
    let most = held * 2;
    let pages = grown as usize * PAGE_BYTES;
    assert!((held..most).contains(&pages), "{pages} bytes of pages for {held}");
    assert!(vector.iter().copied().eq(0..words as u32));
    assert!((0..ENTRIES).all(|number| map.get(&key(number)) == Some(&[number; 7])));
    drop(vector);
    // The even half first: pieces come back as they get empty.
    map.retain(|key, _| key % 2 == 1);
    assert_eq!(map.values().filter(|entry| entry[0] == entry[6]).count(), map.len());
    map.clear();
    let kept = used()?.of(Resource::Pages) - before.of(Resource::Pages);
    assert!(kept < grown / 4, "{kept} pages of {grown} are kept");
    assert_eq!(HEAP.trim(), 0);
    assert_eq!(used()?, before);

    let mut endless: Vec<u8> = Vec::new();
    let limit = account.amounts()?.limits.of(Resource::Pages) as usize * PAGE_BYTES;
    assert!(endless.try_reserve(limit).is_err());
    assert_eq!(used()?, before);
    let (held, pages) = (held >> 10, pages >> 10);
    tell!("{held} KiB in a heap, {pages} KiB of pages for it, all of them given back");
    if rest != 0 {
        program.sleep(rest as u32)?;
        tell!("slept for {rest} ms");
    }
    Ok(())
}
