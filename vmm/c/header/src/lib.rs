//! Makes `include/vmm.h` of the sources of `vmm-c`.

use std::path::{Path, PathBuf};

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
pub fn path() -> PathBuf {
    library().join("include/vmm.h")
}

/// The header that the sources make.
///
/// # Errors
/// What cbindgen cannot read, as a sentence.
pub fn make() -> Result<String, String> {
    let config = Config::from_file(library().join("cbindgen.toml"))?;
    let mut builder = Builder::new().with_config(config);
    for source in SOURCES {
        builder = builder.with_src(library().join("src").join(source));
    }
    let mut text = Vec::new();
    builder.generate().map_err(|error| error.to_string())?.write(&mut text);
    String::from_utf8(text).map_err(|error| error.to_string())
}
