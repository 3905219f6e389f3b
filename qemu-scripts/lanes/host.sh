# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# The lanes host and thorough: what needs no kernel.

host_clippy() {
    cargo clippy --all-targets -- -D warnings || return
    is_new_enough_for_header || return 0
    cargo clippy -p vmm-c-header -- -D warnings
}

HEADER_MANIFEST=vmm/c/header/Cargo.toml
# The generator of vmm.h depends on what needs a newer Rust than all else.
is_new_enough_for_header() {
    local version
    version=$(rustc --version)
    version=${version#* }
    is_at_least "$(rust_version_of "$HEADER_MANIFEST")" "${version%% *}"
}

header_is_current() {
    if is_new_enough_for_header; then
        cargo run --quiet -p vmm-c-header
    else
        say "skipped: the generator needs Rust $(rust_version_of "$HEADER_MANIFEST")"
    fi
}

# With a configuration of their own.
config_macros() {
    SEL4_PREFIX=$ROOT/sel4/config/tests/kernel cargo test -p sel4-config --features made-up-kernel
}

host_docs() { RUSTDOCFLAGS="-D warnings" cargo doc --no-deps; }

# Set-up leaves Cargo.lock alone, and so must every build.
lock_is_current() { cargo metadata --locked --format-version 1 >/dev/null; }

# Each host test counts. The enumeration of short sequences gets a minute, half of it for either
# architecture.
host_tests() {
    local log=$LOGS/host status=0 passed failed
    begin
    SMALL_SCOPE_SECONDS=30 cargo test --no-fail-fast 2>&1 </dev/null | tee "$log" || status=$?
    read -r passed failed < <(
        awk '/^test result:/ { p += $4; f += $6 } END { print p + 0, f + 0 }' "$log"
    )
    PASSED=$((PASSED + passed))
    count_failures "$log" "$failed"
    echo "host tests: $(timed "host tests")"
    # Such as a test that does not compile, or one that took its whole process with it.
    ((status == 0 || failed > 0)) || fail "cargo test (exit code $status)"
    ((passed + failed > 0)) || fail "cargo test (no test ran)"
}

# The host tests again, on words of 32 bits, as the crates run on. The enumerations are short here.
host_tests_32() {
    if ! installed_rust_has_target; then
        say "skipped: the installed Rust has no library for $TARGET"
    elif ! gcc_links_32_bits; then
        say "skipped: gcc cannot make programs of 32 bits here"
    else
        SMALL_SCOPE_SECONDS=2 cargo test --no-fail-fast --target "$TARGET" --target-dir "$BUILD/host32"
    fi
}

# The host suites as a release build takes them: where a debug assertion ends a test, or an overflow
# check, something worse may come next without it. The enumerations are short here.
host_tests_unchecked() {
    SMALL_SCOPE_SECONDS=2 cargo test --profile unchecked --no-fail-fast
}

host_lane() {
    check "Cargo.lock is current" lock_is_current
    check "formatting" cargo fmt --all --check
    check "formatting, fuzz targets" cargo fmt --manifest-path tests/fuzz/Cargo.toml --check
    check "clippy, host" host_clippy
    check_if_possible "vmm.h is what the sources make" header_is_current
    host_tests
    check "macros of the kernel's configuration" config_macros
    check "documentation, host" host_docs
}

# Each for as long as a change should have to wait; README.md says how to run them for longer.
thorough_lane() {
    local target
    for target in addresses alloc_ops objects_ops objects_ops-unchecked service_ops service_ops-unchecked \
        slots_state state vmm_ops; do
        check_if_possible "fuzzing $target" "$SCRIPTS/fuzz.sh" "$target" --seconds 8
    done
    check "host tests without debug assertions" host_tests_unchecked
    check_if_possible "host tests on 32 bits" host_tests_32
    check_if_possible "Miri" "$SCRIPTS/miri.sh"
}
