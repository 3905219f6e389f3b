// SPDX-License-Identifier: BSD-2-Clause
//! `vmm_fuzz::state`, for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vmm_fuzz::state::run(data));
