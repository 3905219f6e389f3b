//! Turns the kernel's description of its own interface into Rust constants.
//!
//! `$SEL4_PREFIX/interface.json` is written by the kernel's build from the kernel's files, for the
//! configuration built: invocation labels, system call numbers, object types, error numbers, sizes
//! and structure layouts. All of it becomes `interface.rs` in `OUT_DIR`, so that no number of the
//! kernel's interface is typed by hand, and a binding for one configuration cannot be linked with
//! the numbers of another.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// What to do about a missing or unusable description; shown as a compile error of the crate.
const ADVICE: &str = "set SEL4_PREFIX to the folder of a kernel build that holds interface.json: \
    run qemu-scripts/setup.sh and take build/kernel/debug or build/kernel/release, \
    or build through qemu-scripts/run.sh, which does both";

/// Configuration keys that upstream programs ask for: 0 where the configuration has none.
const KNOWN_KEYS: &[&str] = &[
    "ARCH_AARCH32",
    "ARCH_AARCH64",
    "ARCH_ARM",
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
    for cfg in ["sel4_interface", "sel4_debug_build", "sel4_multi_node", "sel4_iommu"] {
        println!("cargo:rustc-check-cfg=cfg({cfg})");
    }
    // On any other target the crate is one compile error that says so; it needs no kernel for it.
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() != Ok("x86") {
        return;
    }
    let text = match generate() {
        Ok(text) => text,
        Err(message) => format!("compile_error!({message:?});\n"),
    };
    let path = Path::new(&env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("interface.rs");
    fs::write(&path, text).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
}

/// The text of `interface.rs`, with the cfg flags printed on the way.
fn generate() -> Result<String, String> {
    let prefix =
        env::var("SEL4_PREFIX").map_err(|_| format!("SEL4_PREFIX is not set: {ADVICE}"))?;
    let path = Path::new(&prefix).join("interface.json");
    println!("cargo:rerun-if-changed={}", path.display());
    let json = fs::read_to_string(&path)
        .map_err(|e| format!("cannot read {}: {e}. {ADVICE}", path.display()))?;
    let interface: Value = serde_json::from_str(&json)
        .map_err(|e| format!("{} is not JSON: {e}. {ADVICE}", path.display()))?;

    let config = members(&interface, "config")?;
    let is_set = |key: &str| config.iter().any(|(name, value)| *name == key && is_true(value));
    for (key, why) in [
        ("CONFIG_ARCH_IA32", "these bindings are for IA32"),
        ("CONFIG_SYSENTER", "system calls are made with sysenter"),
        ("CONFIG_FSGSBASE_GDT", "a thread's IPC buffer is found through a segment selector"),
    ] {
        if !is_set(key) {
            return Err(format!("{} lacks {key}: {why}", path.display()));
        }
    }
    println!("cargo:rustc-cfg=sel4_interface");
    if is_set("CONFIG_DEBUG_BUILD") {
        println!("cargo:rustc-cfg=sel4_debug_build");
    }
    if is_set("CONFIG_IOMMU") {
        println!("cargo:rustc-cfg=sel4_iommu");
    }
    if members(&interface, "constants")?.iter().any(|(name, _)| *name == "TCBSetAffinity") {
        println!("cargo:rustc-cfg=sel4_multi_node");
    }

    let mut out = String::new();
    write_constants(&mut out, members(&interface, "constants")?)?;
    write_config(&mut out, config)?;
    write_layout_assertions(&mut out, members(&interface, "layouts")?)?;
    Ok(out)
}

/// The members of the object `interface[key]`, in the file's order.
fn members<'a>(interface: &'a Value, key: &str) -> Result<Vec<(&'a str, &'a Value)>, String> {
    let object = interface[key]
        .as_object()
        .ok_or_else(|| format!("interface.json has no object {key:?}; rebuild the kernel"))?;
    Ok(object.iter().map(|(name, value)| (name.as_str(), value)).collect())
}

fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or(false) || value.as_i64().is_some_and(|n| n != 0)
}

/// `pub mod constants`: every named number of the interface, negative ones as `i32` (system call
/// numbers are), others as the word they travel in.
fn write_constants(out: &mut String, constants: Vec<(&str, &Value)>) -> Result<(), String> {
    out.push_str(
        "/// Every named number of the kernel's interface, for the configuration built.\n",
    );
    out.push_str("#[allow(missing_docs, non_upper_case_globals)]\npub mod constants {\n");
    for (name, value) in constants {
        let n = value.as_i64().ok_or_else(|| format!("constant {name} is not an integer"))?;
        let ty = if n < 0 { "i32" } else { "u32" };
        let _ = writeln!(out, "    pub const {name}: {ty} = {n};");
    }
    out.push_str("}\n");
    Ok(())
}

/// `pub mod consts`: the configuration without its `CONFIG_` prefix. A switch is 1 or 0.
fn write_config(out: &mut String, config: Vec<(&str, &Value)>) -> Result<(), String> {
    out.push_str("/// The kernel's configuration: a switch is 1 when set, 0 when known but not.\n");
    out.push_str("#[allow(missing_docs)]\npub mod consts {\n");
    for (name, value) in &config {
        let name = name.strip_prefix("CONFIG_").unwrap_or(name);
        match value {
            Value::Bool(b) => {
                let _ = writeln!(out, "    pub const {name}: usize = {};", *b as usize);
            }
            Value::Number(n) => {
                let _ = writeln!(out, "    pub const {name}: usize = {n};");
            }
            other => {
                let _ = writeln!(out, "    pub const {name}: &str = {other};");
            }
        }
    }
    for key in KNOWN_KEYS {
        if !config.iter().any(|(name, _)| name.strip_prefix("CONFIG_") == Some(key)) {
            let _ = writeln!(out, "    pub const {key}: usize = 0;");
        }
    }
    out.push_str("}\n");
    Ok(())
}

/// One assertion for the size of each structure and for the offset of each of its fields: a field
/// that this crate lacks, or has elsewhere than the kernel, does not compile.
fn write_layout_assertions(out: &mut String, layouts: Vec<(&str, &Value)>) -> Result<(), String> {
    let number = |v: &Value, what: &str| v.as_u64().ok_or_else(|| format!("layout lacks {what}"));
    for (name, layout) in layouts {
        let size = number(&layout["size"], name)?;
        let align = number(&layout["align"], name)?;
        let _ = writeln!(out, "const _: () = assert!(size_of::<crate::sys::{name}>() == {size});");
        let _ =
            writeln!(out, "const _: () = assert!(align_of::<crate::sys::{name}>() == {align});");
        for (field, place) in members(layout, "fields")? {
            let offset = number(&place["offset"], field)?;
            let _ = writeln!(
                out,
                "const _: () = assert!(core::mem::offset_of!(crate::sys::{name}, {field}) == {offset});"
            );
        }
    }
    Ok(())
}
