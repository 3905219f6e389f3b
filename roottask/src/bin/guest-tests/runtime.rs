// SPDX-License-Identifier: BSD-2-Clause
//! What the runtime prepares: stack, segments, heap, thread-local storage, memory functions.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::arch::global_asm;
use core::hint::black_box;

use roottask::{check, check_eq, Outcome};
use sel4::{BootInfo, Word};

use crate::arch;
use crate::arch::{__m128, _mm_add_ps, _mm_mul_ps, _mm_set1_ps, _mm_storeu_ps};
use crate::arch::{set_first, thread_locals};
use crate::context::Context;

crate::table::tests!("runtime":
    the_stack_is_aligned_for_sse,
    a_second_threads_stack_is_aligned_for_sse,
    sse_registers_survive_other_threads,
    a_segment_leads_to_the_ipc_buffer,
    initialised_and_clear_statics_are_so,
    the_heap_gives_aligned_memory_and_takes_it_back,
    the_heap_says_when_it_is_full,
    thread_locals_start_with_their_values,
    a_second_thread_has_thread_locals_of_its_own,
    thread_locals_lie_where_any_linker_wants_them,
    memory_functions_do_what_they_should,
    the_boot_information_makes_sense,
);

/// Whether a vector spilled to the stack is aligned, and sums are right.
#[inline(never)]
fn use_sse(seed: f32) -> (usize, f32) {
    // SAFETY: the target has SSE, as every processor that seL4 supports.
    let vectors: [__m128; 4] = unsafe {
        core::array::from_fn(|index| _mm_mul_ps(_mm_set1_ps(index as f32), _mm_set1_ps(seed)))
    };
    let vectors = black_box(&vectors);
    let mut sums = [0f32; 4];
    // SAFETY: as above; the destination is four floats.
    unsafe {
        let sum = vectors.iter().fold(_mm_set1_ps(0.0), |sum, &vector| _mm_add_ps(sum, vector));
        _mm_storeu_ps(sums.as_mut_ptr(), sum);
    }
    (vectors.as_ptr() as usize % 16, sums[3])
}

fn the_stack_is_aligned_for_sse(_: &mut Context) -> Outcome {
    let (misalignment, sum) = use_sse(2.0);
    check_eq!(misalignment, 0);
    check!(sum == 12.0);
    Ok(())
}

fn sse_in_a_thread(seed: usize) -> Word {
    let (misalignment, sum) = use_sse(seed as f32);
    (sum as Word) << 8 | misalignment as Word
}

fn a_second_threads_stack_is_aligned_for_sse(context: &mut Context) -> Outcome {
    check_eq!(context.spawn(sse_in_a_thread, 5)?.result()?, 30 << 8);
    Ok(())
}

/// Keeps a value in an SSE register while others run; whether it is still there.
fn keep_in_register(value: usize) -> Word {
    (0..50).fold(value as Word, |kept, _| arch::keep_in_register(kept))
}

fn sse_registers_survive_other_threads(context: &mut Context) -> Outcome {
    let children = [0x1111, 0x2222, 0x3333];
    let mut started = Vec::new();
    for value in children {
        started.push(context.spawn(keep_in_register, value)?);
    }
    for (child, value) in started.iter().zip(children) {
        check_eq!(child.result()? as usize, value);
    }
    Ok(())
}

fn a_segment_leads_to_the_ipc_buffer(context: &mut Context) -> Outcome {
    sel4::with_ipc_buffer_mut(|buffer| buffer.set_user_data(0x0f5_da7a));
    check_eq!(arch::own_buffer_word(), 0x0f5_da7a);
    let address = sel4::with_ipc_buffer(core::ptr::from_ref);
    check_eq!(address, context.bootinfo.ipc_buffer().cast_const());
    Ok(())
}

static INITIALISED: [Word; 3] = [1, 0x8000_0000, Word::MAX];
static CLEAR: [Word; 5000] = [0; 5000];

fn initialised_and_clear_statics_are_so(_: &mut Context) -> Outcome {
    check_eq!(*black_box(&INITIALISED), [1, 0x8000_0000, Word::MAX]);
    check!(black_box(&CLEAR).iter().all(|&word| word == 0));
    Ok(())
}

#[repr(align(1024))]
struct Aligned([u8; 100]);

fn the_heap_gives_aligned_memory_and_takes_it_back(_: &mut Context) -> Outcome {
    for round in 0..200u32 {
        let mut numbers: Vec<u32> = (0..2000).collect();
        let aligned = Box::new(Aligned([round as u8; 100]));
        check_eq!(core::ptr::from_ref(&*aligned) as usize % 1024, 0);
        check!(aligned.0.iter().all(|&byte| byte == round as u8));
        numbers.extend(2000..4000);
        check!(numbers.iter().enumerate().all(|(index, &number)| number == index as u32));
    }
    Ok(())
}

fn the_heap_says_when_it_is_full(_: &mut Context) -> Outcome {
    let mut bytes: Vec<u8> = Vec::new();
    check!(bytes.try_reserve(1 << 20).is_err());
    check!(bytes.try_reserve(64 * 1024).is_ok());
    Ok(())
}

// Stable Rust has no word for thread-local variables without std; the linker has.
global_asm!(
    ".section .tdata,\"awT\",@progbits",
    ".p2align 4",
    "guest_tests_tls_first: .long 0x11223344",
    "guest_tests_tls_second: .long 0x55667788",
    ".section .tbss,\"awT\",@nobits",
    ".p2align 6",
    "guest_tests_tls_clear: .zero 64",
    ".text",
);

fn thread_locals_start_with_their_values(_: &mut Context) -> Outcome {
    let (values, clear) = thread_locals();
    check_eq!(values, [0x1122_3344, 0x5566_7788, 0]);
    check_eq!(clear % 64, 0);
    Ok(())
}

fn first_then_set(value: usize) -> Word {
    let ([first, ..], _) = thread_locals();
    set_first(value as u32);
    first as Word
}

fn a_second_thread_has_thread_locals_of_its_own(context: &mut Context) -> Outcome {
    use sel4_root_task::tls;
    let child = context.prepare(254, first_then_set, 77)?;
    let mut block: Vec<u8> = Vec::with_capacity(tls::block_size());
    // SAFETY: that many bytes, for the child alone; it has ended when they are given back.
    let tls_base = unsafe { tls::lay_out(block.as_mut_ptr()) };
    child.start()?;
    let tcb = child.thread.tcb();
    let mut registers = tcb.tcb_read_all_registers(true)?;
    registers.inner_mut().tls_base = tls_base;
    tcb.tcb_write_all_registers(true, &mut registers)?;
    check_eq!(child.result()?, 0x1122_3344);
    tcb.tcb_suspend()?;
    check_eq!(thread_locals().0[0], 0x1122_3344);
    Ok(())
}

/// A43: the thread pointer is aligned, the first variable is at the segment's address modulo its
/// alignment, and no place nearer to the thread pointer would do. All lies in the block.
fn thread_locals_lie_where_any_linker_wants_them(_: &mut Context) -> Outcome {
    use sel4_root_task::tls::Layout;
    for align in [0, 1, 2, 4, 8, 32, 64] {
        let modulus = align.max(1);
        for vaddr in 0x804_9000..0x804_9000 + 66 {
            for memsz in [1, 2, 3, 4, 20, 63, 64, 65, 200] {
                let layout = Layout::new(vaddr, memsz, align);
                let below = (memsz..).find(|below| (vaddr + below) % modulus == 0);
                for block in [0x10_0000, 0x10_0001, 0x10_0004, 0x10_003f] {
                    let (data, pointer) = (layout.data(block), layout.thread_pointer(block));
                    check_eq!(Some(pointer - data), below);
                    check_eq!(pointer % modulus, 0);
                    check_eq!(pointer % size_of::<Word>(), 0);
                    check_eq!(data % modulus, vaddr % modulus);
                    // Room for the thread's own address, and for the words behind it.
                    check!(data >= block && pointer + 64 <= block + layout.block_size());
                }
            }
        }
    }
    Ok(())
}

fn memory_functions_do_what_they_should(_: &mut Context) -> Outcome {
    let mut bytes: [u8; 300] = core::array::from_fn(|index| index as u8);
    for (from, to, count) in [(0, 7, 250), (40, 3, 200), (5, 5, 9), (0, 1, 299), (1, 0, 299)] {
        let (from, to, count) = black_box((from, to, count));
        let expected: Vec<u8> = bytes[from..from + count].to_vec();
        bytes.copy_within(from..from + count, to);
        check!(bytes[to..to + count] == expected[..]);
    }
    for count in [0, 1, 3, 4, 17, 300] {
        let count = black_box(count);
        bytes[..count].fill(0xee);
        check!(bytes[..count].iter().all(|&byte| byte == 0xee));
    }
    let (left, right) = black_box(([1u8, 2, 3, 4, 5], [1u8, 2, 3, 4, 6]));
    check!(left[..] < right[..] && left[..4] == right[..4]);
    Ok(())
}

fn the_boot_information_makes_sense(context: &mut Context) -> Outcome {
    let bootinfo: &BootInfo = &context.bootinfo;
    let (image, buffer) = (bootinfo.user_image_frames(), bootinfo.ipc_buffer() as usize);
    let start = buffer - image.len() * 4096;
    check!((start..buffer).contains(&(use_sse as *const () as usize)));
    check_eq!(bootinfo.empty().end(), 1 << bootinfo.inner().initThreadCNodeSizeBits);
    check!(bootinfo.untyped().end() <= bootinfo.empty().start());
    check_eq!(bootinfo.device_untyped_range().start, bootinfo.kernel_untyped_range().end);
    let extra: usize = context.bootinfo.extra().map(|part| part.content_with_header.len()).sum();
    check!(4096 + extra <= context.bootinfo.footprint_size());
    Ok(())
}
