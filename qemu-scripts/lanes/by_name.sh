# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# The lanes that run by name only: the oldest Rust that is supported, what a new version may change, and
# figures beside Linux's.

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

# Beside Debian's Linux, which is fetched (30 MB) if it is not there.
linux_lane() {
    check "no dearer than Linux, where that was reached" "$SCRIPTS/linux-compare.sh"
}

# What was promised to users, against the last tag.
semver_lane() {
    check_if_possible "public interfaces, as their versions allow" "$SCRIPTS/semver.sh"
    ! cargo semver-checks --version >/dev/null 2>&1 || check "the check of public interfaces" semver_notices_removal
}

# In a copy of the checkout, with and without one function more: only what is removed is refused.
semver_notices_removal() {
    local copy status=0
    copy=$(mktemp -d)
    (
        git clone --quiet --depth 1 "file://$ROOT" "$copy/tree" && cd "$copy/tree" || exit
        commit() { git -c user.name=test -c user.email=test@localhost commit --quiet --all --message "$1"; }
        semver() { CARGO_TARGET_DIR=$BUILD/semver/target qemu-scripts/semver.sh --since HEAD^ page-tables; }
        printf '/// Of a test.\npub const fn of_a_test() {}\n' >>page-tables/src/lib.rs
        commit more && semver && git revert --no-commit HEAD && commit less || exit
        exits_with 100 semver >"$copy/said" 2>&1 || status=$?
        cat "$copy/said"
        ((status == 0)) && grep -F "function page_tables::of_a_test" "$copy/said"
    ) || status=$?
    rm -rf "$copy"
    return "$status"
}
