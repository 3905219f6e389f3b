// SPDX-License-Identifier: BSD-2-Clause
//! Makes sequences of invocations, legal and illegal, and prints what the kernel answered: the real
//! half of `qemu-scripts/compare.sh`, which holds the model kernel of `tests/` to it.
//!
//! Arguments: how many calls (at least) and the first seed. First come the written scenarios, then
//! random sequences of 2000 calls from consecutive seeds.
#![no_std]
#![no_main]

use core::fmt;

use call_sequence::{record, scenarios_for, Config, Source};
use roottask::Arguments;
use sel4_root_task::{debug_print, debug_println, exit, root_task, ExitCode, Never};
use vmm::sel4::Sel4;
use vmm::{CPtr, ObjectSizes};

/// Addresses of a sequence's own: 16 MiB for each, used again after 128 of them.
const FIRST_VADDR: usize = 0x1000_0000;
const SPAN: usize = 0x100_0000;
const STEPS: usize = 2000;

#[cfg(target_arch = "x86")]
const SIZES: ObjectSizes = ObjectSizes::IA32;
#[cfg(target_arch = "x86_64")]
const SIZES: ObjectSizes = ObjectSizes::X86_64;
/// What the model calls this architecture.
const ARCH: &str = if sel4::WORD_SIZE == 64 { "x86_64" } else { "ia32" };

/// Untypeds the sequences work on, by the logarithm of their size: three of RAM, one of a device.
const UNTYPEDS: [(usize, bool); 4] = [(23, false), (17, false), (13, false), (22, true)];

#[root_task]
fn main(bootinfo: &sel4::BootInfoPtr) -> Result<Never, &'static str> {
    let arguments = Arguments::read().map_err(|_| "the arguments cannot be had")?;
    let mut words = arguments.words().map(str::parse::<u64>);
    let calls = words.next().unwrap_or(Ok(20_000)).map_err(|_| "calls: not a number")?;
    let seed = words.next().unwrap_or(Ok(0)).map_err(|_| "seed: not a number")?;

    let untypeds = describe(bootinfo)?;
    let window = CPtr::new(bootinfo.empty().start());
    let random = (0..calls.div_ceil(STEPS as u64))
        .map(|index| Source::Random { seed: seed + index, steps: STEPS });
    // SAFETY: this program has no manager, so nothing is handed out that could be taken from it.
    let mut kernel = unsafe { Sel4::new() };
    for (index, source) in scenarios_for(&SIZES).map(Source::Scenario).chain(random).enumerate() {
        let vaddr = FIRST_VADDR + index % 128 * SPAN;
        let config = Config::native(window, untypeds, vaddr);
        record(&source, &mut kernel, &config, &mut Serial, is_mapped)
            .map_err(|_| "no serial output")?;
    }
    exit(ExitCode::Success)
}

/// Prints what the model needs to know of this machine; returns the untypeds to work on.
fn describe(bootinfo: &sel4::BootInfoPtr) -> Result<[CPtr; 4], &'static str> {
    let pages = bootinfo.user_image_frames().len();
    let image = (bootinfo.ipc_buffer() as usize & !4095) - pages * 4096;
    debug_println!("arch {ARCH}");
    debug_println!("image {image:x} {pages}");
    let (list, first) = (bootinfo.untyped_list(), bootinfo.untyped().start());
    for (index, desc) in list.iter().enumerate() {
        let (bits, device) = (desc.size_bits(), u8::from(desc.is_device()));
        debug_println!("untyped {} {:x} {bits} {device}", first + index, desc.paddr());
    }
    let mut slots = [0; 4];
    for (slot, (bits, device)) in slots.iter_mut().zip(UNTYPEDS) {
        let fits = |d: &sel4::UntypedDesc| d.size_bits() == bits && d.is_device() == device;
        let index = list.iter().position(fits).ok_or("no untyped of a size that is needed")?;
        *slot = first + index;
    }
    let [a, b, c, d] = slots;
    debug_println!("window {} {a} {b} {c} {d}", bootinfo.empty().start());
    Ok(slots.map(CPtr::new))
}

/// Whether a page is mapped, by the kernel's own word: it has one of a root that is a page
/// directory, as on IA32.
fn is_mapped(vaddr: usize) -> Option<bool> {
    if sel4::vspace_levels::NUM_LEVELS != 2 {
        return None;
    }
    let vspace = sel4::init_thread::slot::VSPACE.cap();
    let vspace = vspace.cast::<sel4::cap_type::PageDirectory>();
    Some(vspace.page_directory_get_status_bits(vaddr).is_ok())
}

struct Serial;

impl fmt::Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        debug_print!("{text}");
        Ok(())
    }
}
