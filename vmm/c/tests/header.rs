// SPDX-License-Identifier: BSD-2-Clause
//! C and C++ compilers take `vmm.h` for both word sizes, and what it says of layouts and numbers is
//! what the library has. (Whether it is what the sources make, `vmm-c-header` says.)

use std::fs;
use std::mem::{offset_of, size_of};
use std::path::{Path, PathBuf};
use std::process::Command;

use vmm_c::*;

const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Werror", "-pedantic"];

/// Where the header is.
fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("include/vmm.h")
}

/// What `compiler` says of a source that includes the header; nothing when it takes it.
fn complaints(compiler: &str, options: &[&str], source: &str) -> Option<String> {
    let name = format!("{compiler}{}.c", options.concat().replace(['/', ' '], ""));
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&file, source).expect("the folder for this is there");
    let done = Command::new(compiler)
        .args(options)
        .args(WARNINGS)
        .args(["-ffreestanding", "-fsyntax-only", "-I"])
        .arg(path().parent().expect("a file is in a folder"))
        .arg(&file)
        .output()
        .unwrap_or_else(|error| panic!("{compiler}: {error}"));
    (!done.status.success()).then(|| String::from_utf8_lossy(&done.stderr).into_owned())
}

fn is_there(compiler: &str) -> bool {
    Command::new(compiler).arg("--version").output().is_ok_and(|done| done.status.success())
}

#[test]
fn c_takes_the_header_alone_for_both_word_sizes() {
    for word in ["-m32", "-m64"] {
        for standard in ["-std=c99", "-std=c11"] {
            let said = complaints("gcc", &[word, standard], "#include <vmm.h>\n#include <vmm.h>\n");
            assert_eq!(said, None, "gcc {word} {standard}");
        }
    }
}

#[test]
fn the_compilers_are_asked_in_earnest() {
    let said =
        complaints("gcc", &["-m64", "-std=c99", "-O1"], "#include <vmm.h>\nint x = VMM_NOT;\n");
    assert!(said.is_some_and(|text| text.contains("VMM_NOT")));
}

#[test]
fn cpp_takes_the_header_for_both_word_sizes() {
    if !is_there("g++") {
        return;
    }
    for word in ["-m32", "-m64"] {
        let source = "#include <vmm.h>\nvmm_code_t trim() { return vmm_trim(); }\n";
        assert_eq!(complaints("g++", &[word, "-xc++"], source), None, "g++ {word}");
    }
}

/// Statements in C that do not compile unless C lays a structure out as Rust does.
macro_rules! layout {
    ($out:ident, $($name:ident { $($field:ident)* })*) => {$(
        $out.push((format!("sizeof({})", stringify!($name)), size_of::<$name>()));
        $($out.push((
            format!("offsetof({}, {})", stringify!($name), stringify!($field)),
            offset_of!($name, $field),
        ));)*
    )*};
}

#[test]
fn c_lays_out_structures_and_numbers_as_the_library_does() {
    let mut equal: Vec<(String, usize)> = Vec::new();
    layout! { equal,
        vmm_code_t {} vmm_blame_t {} vmm_cache_t {} vmm_kind_t {} vmm_verdict_t {}
        vmm_fault_kind_t {} vmm_region_kind_t {} vmm_cptr_t {}
        vmm_space_t { serial number }
        vmm_region_t { space serial start address }
        vmm_stack_t { region bottom top }
        vmm_ipc_buffer_t { region address frame }
        vmm_object_t { serial cptr }
        vmm_thread_t { serial badge }
        vmm_map_options_t {
            pages address name rights ceiling cache guard_below guard_above align_bits page_bits
            on_demand
        }
        vmm_stack_options_t { pages name guard_pages on_demand }
        vmm_fault_t { thread space value ip kind code write }
        vmm_handler_options_t { policy context stack_pages priority }
        vmm_fault_words_t { ip address prefetch status }
        vmm_region_info_t {
            region pages guard_below guard_above rights ceiling cache kind on_demand name
        }
        vmm_mapping_t { page frame rights cache size_bits copy_on_write }
        vmm_stats_t {
            kernel_calls moved_pages reclaimed_pages total_bytes free_bytes largest_free_bytes
            bookkeeping_bytes bookkeeping_bytes_used free_slots quarantined spaces frames
            large_frames tables tcbs endpoints notifications cnodes
        }
        vmm_space_stats_t { mapped_pages regions tables largest_hole }
    }
    equal.extend(vmm_code_t::ALL.map(|code| (format!("{code:?}"), code as usize)));
    let mut source = String::from("#include <vmm.h>\n");
    for (number, (what, value)) in equal.iter().enumerate() {
        source += &format!("typedef char check_{number}[({what}) == {value} ? 1 : -1];\n");
    }
    let word = if size_of::<usize>() == 4 { "-m32" } else { "-m64" };
    assert_eq!(complaints("gcc", &[word, "-std=c99", "-O2"], &source), None);
}

#[test]
fn every_function_is_used_in_the_guest() {
    let header = fs::read_to_string(path()).expect("vmm.h is there");
    let requests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/requests.c");
    let requests = fs::read_to_string(requests).expect("the program is there");
    let code = header.lines().filter(|line| !line.starts_with("//") && !line.contains("typedef"));
    let words = code.flat_map(|line| line.split(['*', ' ']));
    let called = words.filter_map(|word| word.split_once('(')).map(|(name, _)| name);
    let functions: Vec<&str> = called.filter(|name| name.starts_with("vmm_")).collect();
    assert!(functions.len() > 30, "{functions:?}");
    for name in functions {
        assert!(requests.contains(&format!("{name}(")), "{name}");
    }
}

#[test]
fn every_code_of_the_header_is_known() {
    let header = fs::read_to_string(path()).expect("vmm.h is there");
    let (codes, _) = header.split_once("} vmm_code_t;").expect("the codes are there");
    let (_, codes) = codes.rsplit_once("typedef enum {").expect("they begin");
    let named = codes.lines().filter(|line| line.trim().starts_with("VMM_")).count();
    assert_eq!(named, vmm_code_t::ALL.len());
}
