#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Runs host tests under Miri, which sees every misuse of memory: of what holds pointers or unsafe
# code (the trees over shared nodes, above all), as far as that can be done in a few minutes.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

TOOLCHAIN=nightly
# So long each step may take: several times what it needs on an idle machine.
SECONDS_EACH=240

usage() {
    cat <<EOF
Usage: ${0##*/} [--all]

Runs under Miri the tests inside untyped-alloc and page-tables, and the operations of the fuzz
targets on a few inputs (tests/fuzz), which go through every tree of the manager. With --all: the
suites of vmm-tests as well, which takes hours. What is not done in time is cut off.
Where Miri cannot be had, that is said and the exit code is 0.
EOF
}

skip() {
    say "skipped: $*"
    exit 0
}

find_miri() {
    command -v rustup >/dev/null || skip "there is no rustup, and so no nightly Rust"
    rustup toolchain list | grep "^$TOOLCHAIN-" >/dev/null || skip "no nightly Rust is installed"
    if ! cargo "+$TOOLCHAIN" miri --version >/dev/null 2>&1; then
        quietly "adding Miri with rustup" \
            timeout 120 rustup component add miri rust-src --toolchain "$TOOLCHAIN" ||
            skip "rustup cannot add Miri"
    fi
    quietly "preparing Miri's standard library" \
        cargo "+$TOOLCHAIN" miri setup ||
        skip "Miri's standard library cannot be built"
}

# miri NAME ARGUMENT...: runs tests; 1 if one fails. What takes too long is cut off and says so.
miri() {
    local name=$1 log status=0 passed
    log=$BUILD/miri/$1.log
    shift
    # Nodes of the trees keep their colour in a bit of the parent's address, which is a cast from
    # number to pointer: it is allowed, under the stricter of Miri's two models of borrowing.
    attend timeout "$SECONDS_EACH" env -u RUSTFLAGS -u CARGO_TARGET_DIR \
        MIRIFLAGS="-Zmiri-permissive-provenance" \
        cargo "+$TOOLCHAIN" miri test --quiet --target-dir "$BUILD/miri" "$@" >"$log" 2>&1 ||
        status=$?
    passed=$(awk '/^test result:/ { p += $4 } END { print p + 0 }' "$log")
    if ((status == 0)); then
        echo "miri $name: $passed tests passed"
    elif ((status == 124)) && ! grep -qE '^error|FAILED|panicked' "$log"; then
        say "skipped: $name, not finished after $SECONDS_EACH s; $passed tests passed until then"
    else
        cat "$log"
        echo "miri $name: FAILED"
        return 1
    fi
}

main() {
    local failed=0
    case ${1-} in
        "") ;;
        --all) SECONDS_EACH=36000 ;;
        -h | --help) usage && exit ;;
        *) usage_error "unknown option: $1" ;;
    esac
    cd "$ROOT"
    find_miri
    mkdir -p "$BUILD/miri"
    miri crates -p untyped-alloc -p page-tables --lib || failed=1
    miri operations --manifest-path tests/fuzz/Cargo.toml --lib || failed=1
    if ((SECONDS_EACH > 1000)); then
        miri regressions -p vmm-tests --test regressions || failed=1
        miri suites -p vmm -p vmm-tests || failed=1
    fi
    return "$failed"
}

main "$@"
