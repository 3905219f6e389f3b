// SPDX-License-Identifier: BSD-2-Clause
//! `vmm_fuzz::slots_state`, for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vmm_fuzz::slots_state::run(data));
