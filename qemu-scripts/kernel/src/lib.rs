//! Empty: see this folder's `Cargo.toml`.
