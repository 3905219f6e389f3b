// SPDX-License-Identifier: BSD-2-Clause
//! Makes a table of the kernel's configuration, `$SEL4_PREFIX/interface.json`, for the macros.
//!
//! Without a kernel that can be read the table is empty: the crate `sel4` says what to do about it,
//! and compiles nothing that uses these macros.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// Options that are numbers, of which 1 is one. Any other option that is 1 is a switch: the
/// kernel's configuration writes both alike.
const NUMBERS: &[&str] = &[
    "CACHE_LN_SZ",
    "FPU_MAX_RESTORES_SINCE_SWITCH",
    "KERNEL_STACK_BITS",
    "MAX_NUM_BOOTINFO_UNTYPED_CAPS",
    "MAX_NUM_IOAPIC",
    "MAX_NUM_NODES",
    "MAX_NUM_WORK_UNITS_PER_PREEMPTION",
    "MAX_RMRR_ENTRIES",
    "MAX_VPIDS",
    "NUM_DOMAINS",
    "NUM_PRIORITIES",
    "RESET_CHUNK_BITS",
    "RETYPE_FAN_OUT_LIMIT",
    "ROOT_CNODE_SIZE_BITS",
    "TIMER_TICK_MS",
    "TIME_SLICE",
    "USER_STACK_TRACE_LENGTH",
    "WORD_SIZE",
    "XSAVE_FEATURE_SET",
    "XSAVE_SIZE",
];

/// Switches that programs for newer kernels ask for: not set where the configuration has none.
const KNOWN_SWITCHES: &[&str] = &[
    "ARCH_AARCH32",
    "ARCH_AARCH64",
    "ARCH_ARM",
    "ARCH_IA32",
    "ARCH_RISCV",
    "ARCH_X86_64",
    "DEBUG_BUILD",
    "ENABLE_BENCHMARKS",
    "HARDWARE_DEBUG_API",
    "HUGE_PAGE",
    "IOMMU",
    "KERNEL_INVOCATION_REPORT_ERROR_IPC",
    "KERNEL_MCS",
    "PRINTING",
    "SET_TLS_BASE_SELF",
    "VTX",
];

fn main() {
    println!("cargo:rerun-if-env-changed=SEL4_PREFIX");
    println!("cargo:rerun-if-env-changed=DOCS_RS");
    println!("cargo:rerun-if-changed=build.rs");
    let mut config = configuration().unwrap_or_default();
    for switch in KNOWN_SWITCHES {
        if !config.is_empty() && !config.iter().any(|(name, _)| name == switch) {
            config.push((switch.to_string(), Value::Bool(false)));
        }
    }
    let mut table = String::from("&[\n");
    for (name, value) in &config {
        let _ = match value {
            Value::Bool(set) => writeln!(table, "    ({name:?}, Setting::Switch({set})),"),
            Value::String(text) => writeln!(table, "    ({name:?}, Setting::Text({text:?})),"),
            other => panic!("the kernel's option {name} has an unusable value: {other}"),
        };
    }
    table.push_str("]\n");
    let path = Path::new(&env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("table.rs");
    fs::write(&path, table).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
}

/// Each option without its `CONFIG_`: a switch, or text, which numbers are, too.
fn configuration() -> Option<Vec<(String, Value)>> {
    // Where documentation is made of crates in a registry there is no kernel: its configuration on
    // x86_64 is beside this file.
    let docs_rs = || {
        let own = env::var_os("DOCS_RS").and(env::var_os("CARGO_MANIFEST_DIR"))?;
        Some(Path::new(&own).join("docs-rs").into_os_string())
    };
    let prefix = env::var_os("SEL4_PREFIX").or_else(docs_rs)?;
    let path = Path::new(&prefix).join("interface.json");
    println!("cargo:rerun-if-changed={}", path.display());
    let interface: Value = serde_json::from_str(&fs::read_to_string(&path).ok()?).ok()?;
    let options = interface["config"].as_object()?.iter().map(|(name, value)| {
        let name = name.strip_prefix("CONFIG_").unwrap_or(name);
        let value = match value {
            Value::Number(number) if NUMBERS.contains(&name) => Value::String(number.to_string()),
            Value::Number(number) => match number.as_u64() {
                Some(set @ (0 | 1)) => Value::Bool(set == 1),
                _ => Value::String(number.to_string()),
            },
            other => other.clone(),
        };
        (name.to_string(), value)
    });
    Some(options.collect())
}
