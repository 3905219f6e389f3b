//! Says whether `vmm.h` is what the sources make; with `--write` makes it so.

use std::fs;
use std::process::ExitCode;

use vmm_c_header::{make, path};

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
