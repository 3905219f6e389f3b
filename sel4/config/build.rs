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

/// Switches that programs for newer kernels ask for: 0 where the configuration has none.
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
    println!("cargo:rerun-if-changed=build.rs");
    let mut config = configuration().unwrap_or_default();
    for switch in KNOWN_SWITCHES {
        if !config.is_empty() && !config.iter().any(|(name, _)| name == switch) {
            config.push((switch.to_string(), "0".to_string()));
        }
    }
    let mut table = String::from("&[\n");
    for (name, value) in &config {
        let _ = writeln!(table, "    ({name:?}, {value:?}),");
    }
    table.push_str("]\n");
    let path = Path::new(&env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("table.rs");
    fs::write(&path, table).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
}

/// Each option without its `CONFIG_`, and its value as text.
fn configuration() -> Option<Vec<(String, String)>> {
    let path = Path::new(&env::var_os("SEL4_PREFIX")?).join("interface.json");
    println!("cargo:rerun-if-changed={}", path.display());
    let interface: Value = serde_json::from_str(&fs::read_to_string(&path).ok()?).ok()?;
    let options = interface["config"].as_object()?.iter().map(|(name, value)| {
        let value = match value {
            Value::Bool(set) => u8::from(*set).to_string(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        (name.strip_prefix("CONFIG_").unwrap_or(name).to_string(), value)
    });
    Some(options.collect())
}
