// SPDX-License-Identifier: BSD-2-Clause
//! `vmm_fuzz::service_ops`, for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vmm_fuzz::service_ops::run(data));
