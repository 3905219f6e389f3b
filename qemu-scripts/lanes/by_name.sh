# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# The lanes that run by name only: the oldest Rust that is supported, and what a new version may change.

# With the oldest Rust that is supported, Debian's, which is unpacked below build/ (100 MB) if it is not
# there. Compiled in folders of its own, so that the other lanes need not compile again.
oldest_lane() {
    check "set-up with Rust 1.85" env VMM_RUST=debian "$SCRIPTS/setup.sh"
    check "a program built with Rust 1.85 boots" oldest_rust_boots
    check "the target compiles with Rust 1.85" oldest_rust_compiles
}

# use_oldest_rust: from here on, in a subshell.
use_oldest_rust() {
    export VMM_RUST=debian
    choose_target_rust
    target_rustc_version | tee "$LOGS/oldest" || return
    grep -F "rustc $(rust_version_of Cargo.toml)." "$LOGS/oldest" >/dev/null || return
    target_folder() { echo "$BUILD/target-oldest-$ARCH-$1"; }
}

oldest_rust_boots() {
    use_oldest_rust || return
    build_program debug release hello || return
    "$SCRIPTS/run.sh" "$PROGRAM_ELF"
}

oldest_rust_compiles() {
    use_oldest_rust || return
    target_cargo debug cargo check --quiet --release "${TARGET_CRATES[@]}" --lib --bins
}

# What was promised to users, against the last tag.
semver_lane() {
    check_if_possible "public interfaces, as their versions allow" "$SCRIPTS/semver.sh"
}
