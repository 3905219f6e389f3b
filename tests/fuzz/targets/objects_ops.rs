// SPDX-License-Identifier: BSD-2-Clause
//! `vmm_fuzz::objects_ops`, for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    vmm_fuzz::objects_ops::run(data);
});
