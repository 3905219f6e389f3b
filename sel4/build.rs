// SPDX-License-Identifier: BSD-2-Clause
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
    run qemu-scripts/setup.sh and take build/kernel/ia32/debug or build/kernel/ia32/release \
    (setup.sh --arch x86_64 and build/kernel/x86_64/... for x86_64), \
    or build through qemu-scripts/run.sh, which does both";

/// An architecture these bindings are for.
struct Arch {
    /// What Rust calls it, and what its programs are compiled for.
    target: &'static str,
    triple: &'static str,
    /// What the scripts call it, and the kernel in its configuration.
    name: &'static str,
    switch: &'static str,
    /// What else the kernel's configuration must have, and why.
    wanted: [(&'static str, &'static str); 2],
}

const ARCHES: [Arch; 2] = [
    Arch {
        target: "x86",
        triple: "i686-unknown-linux-gnu",
        name: "ia32",
        switch: "CONFIG_ARCH_IA32",
        wanted: [
            ("CONFIG_SYSENTER", "system calls are made with sysenter"),
            ("CONFIG_FSGSBASE_GDT", "a thread's IPC buffer is found through a segment selector"),
        ],
    },
    Arch {
        target: "x86_64",
        triple: "x86_64-unknown-linux-gnu",
        name: "x86_64",
        switch: "CONFIG_ARCH_X86_64",
        wanted: [
            ("CONFIG_SYSCALL", "system calls are made with syscall"),
            ("CONFIG_FSGSBASE_MSR", "a thread's IPC buffer is found through a segment's base"),
        ],
    },
];

fn main() {
    println!("cargo:rerun-if-env-changed=SEL4_PREFIX");
    println!("cargo:rerun-if-env-changed=DOCS_RS");
    println!("cargo:rerun-if-changed=build.rs");
    for cfg in ["sel4_interface", "sel4_debug_build", "sel4_multi_node", "sel4_iommu"] {
        println!("cargo:rustc-check-cfg=cfg({cfg})");
    }
    // On any other target the crate is one compile error that says so; it needs no kernel for it.
    let target = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let Some(arch) = ARCHES.iter().find(|arch| arch.target == target) else { return };
    let text = match generate(arch) {
        Ok(text) => text,
        Err(message) => format!("compile_error!({message:?});\n"),
    };
    let path = Path::new(&env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("interface.rs");
    fs::write(&path, text).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
}

/// The text of `interface.rs`, with the cfg flags printed on the way.
fn generate(arch: &Arch) -> Result<String, String> {
    let prefix = match (env::var("SEL4_PREFIX"), env::var("CARGO_MANIFEST_DIR")) {
        (Ok(prefix), _) => prefix,
        // Where documentation is made of crates in a registry there is no kernel: what it says of
        // itself on x86_64 is beside this file.
        (Err(_), Ok(own)) if env::var_os("DOCS_RS").is_some() => format!("{own}/docs-rs"),
        _ => return Err(format!("SEL4_PREFIX is not set: {ADVICE}")),
    };
    let path = Path::new(&prefix).join("interface.json");
    println!("cargo:rerun-if-changed={}", path.display());
    let json = fs::read_to_string(&path)
        .map_err(|e| format!("cannot read {}: {e}. {ADVICE}", path.display()))?;
    let interface: Value = serde_json::from_str(&json)
        .map_err(|e| format!("{} is not JSON: {e}. {ADVICE}", path.display()))?;

    let config = members(&interface, "config")?;
    let is_set = |key: &str| config.iter().any(|(name, value)| *name == key && is_true(value));
    if !is_set(arch.switch) {
        return Err(wrong_kernel(arch, &path, is_set));
    }
    for (key, why) in arch.wanted {
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
    write_bitfields(&mut out, members(&interface, "bitfields")?)?;
    write_layout_assertions(&mut out, members(&interface, "layouts")?)?;
    Ok(out)
}

/// What to do about a kernel of another architecture than the program's.
fn wrong_kernel(arch: &Arch, path: &Path, is_set: impl Fn(&str) -> bool) -> String {
    let has = ARCHES.iter().find(|other| is_set(other.switch));
    let other = has.map_or("of an architecture that these bindings do not have", |arch| arch.name);
    format!(
        "SEL4_PREFIX is the kernel for {other} ({}), and this program is compiled for {}: \
         set SEL4_PREFIX to build/kernel/{}/debug or .../release, or compile for {}",
        path.display(),
        arch.name,
        arch.name,
        has.map_or("another target", |arch| arch.triple),
    )
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
/// numbers are), others as words, which they travel in.
fn write_constants(out: &mut String, constants: Vec<(&str, &Value)>) -> Result<(), String> {
    out.push_str(
        "/// Every named number of the kernel's interface, for the configuration built.\n",
    );
    out.push_str("#[allow(missing_docs, non_upper_case_globals)]\npub mod constants {\n");
    out.push_str("    use crate::sys::seL4_Word;\n");
    for (name, value) in constants {
        let ty = match value {
            Value::Number(n) if n.is_u64() => "seL4_Word",
            Value::Number(n) if n.is_i64() => "i32",
            _ => return Err(format!("constant {name} is not an integer")),
        };
        let _ = writeln!(out, "    pub const {name}: {ty} = {value};");
    }
    out.push_str("}\n");
    Ok(())
}

/// `pub mod bitfields`: where each field of a word lies, and what a word has without any.
fn write_bitfields(out: &mut String, blocks: Vec<(&str, &Value)>) -> Result<(), String> {
    let number = |v: &Value, what: &str| {
        v.as_u64().ok_or_else(|| format!("interface.json: {what} is not a number"))
    };
    out.push_str("/// The fields of the words that have several.\n");
    out.push_str(
        "#[allow(dead_code, missing_docs, non_upper_case_globals)]\npub mod bitfields {\n",
    );
    out.push_str("    use super::super::bit_field::BitField;\n    use crate::sys::seL4_Word;\n");
    for (name, block) in blocks {
        let zero = number(&block["zero"], name)?;
        let _ = writeln!(out, "    pub const {name}_zero: seL4_Word = {zero};");
        for (field, place) in members(block, "fields")? {
            let shift = number(&place["shift"], field)?;
            let bits = number(&place["bits"], field)?;
            let _ = writeln!(
                out,
                "    pub const {name}_{field}: BitField = BitField {{ shift: {shift}, bits: {bits} }};"
            );
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
