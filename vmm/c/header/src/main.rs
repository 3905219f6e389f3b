// SPDX-License-Identifier: BSD-2-Clause
//! Says whether `include/vmm.h` is what the sources of `vmm-c` make; with `--write` makes it so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cbindgen::{Builder, Config};

/// The sources, in the order in which their items stand in the header.
const SOURCES: [&str; 11] = [
    "types/code.rs",
    "types/ids.rs",
    "types/options.rs",
    "types/info.rs",
    "start.rs",
    "run.rs",
    "memory.rs",
    "objects.rs",
    "threads.rs",
    "faults.rs",
    "inspect.rs",
];

/// The folder of `vmm-c`.
fn library() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Where the header is kept.
fn path() -> PathBuf {
    library().join("include/vmm.h")
}

/// Refuses a source with functions for C that is not listed: they would be missing from the header.
fn check_complete(sources: &Path) -> Result<(), String> {
    let listing = fs::read_dir(sources).map_err(|error| error.to_string())?;
    for entry in listing {
        let path = entry.map_err(|error| error.to_string())?.path();
        let listed = SOURCES.iter().any(|source| path == sources.join(source));
        let exports = || fs::read_to_string(&path).is_ok_and(|text| text.contains("#[no_mangle]"));
        if !listed && exports() {
            return Err(format!("{} is not among SOURCES", path.display()));
        }
    }
    Ok(())
}

/// The header that the sources make, or what cbindgen cannot read, as a sentence.
fn make() -> Result<String, String> {
    let config = Config::from_file(library().join("cbindgen.toml"))?;
    let sources = library().join("src");
    check_complete(&sources)?;
    let mut builder = Builder::new().with_config(config);
    for source in SOURCES {
        builder = builder.with_src(sources.join(source));
    }
    let mut text = Vec::new();
    builder.generate().map_err(|error| error.to_string())?.write(&mut text);
    String::from_utf8(text).map_err(|error| error.to_string())
}

fn main() -> ExitCode {
    let write = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--write") => true,
        Some(other) => return failed(&format!("unknown option: {other} (there is --write)")),
    };
    let made = match make() {
        Ok(made) => made,
        Err(error) => return failed(&error),
    };
    if write {
        return match fs::write(path(), made) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&format!("{}: {error}", path().display())),
        };
    }
    match fs::read_to_string(path()) {
        Ok(kept) if kept == made => ExitCode::SUCCESS,
        _ => failed("vmm.h is not what the sources make: cargo run -p vmm-c-header -- --write"),
    }
}

fn failed(sentence: &str) -> ExitCode {
    eprintln!("vmm-c-header: {sentence}");
    ExitCode::FAILURE
}
