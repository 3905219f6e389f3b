#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Fuzzes the memory crates on the model kernel (tests/fuzz). What the fuzzer learnt is kept below
# build/, so a later run goes on from there.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PACKAGE=$ROOT/tests/fuzz
HOST_TARGET=x86_64-unknown-linux-gnu
TARGETS=(addresses alloc_ops objects_ops objects_ops-unchecked service_ops service_ops-unchecked slots_state state vmm_ops)
# A target with this ending is the one before it without debug assertions and overflow checks, as
# programs are built: what those would stop goes on there. Both share what they learn.
UNCHECKED=-unchecked
# What cargo-fuzz passes, without a sanitizer: the crates have no unsafe code of their own. All of
# it is known to a stable compiler, so no nightly is needed.
COVERAGE="-Cpasses=sancov-module \
-Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares"
# An input that takes longer, in seconds, is a finding.
SLOW=30

usage() {
    cat <<EOF
Usage: ${0##*/} [TARGET] [--seconds N] [--repeat FILE]

Runs one fuzz target, or all: ${TARGETS[*]}.
Prints for each how many inputs it ran and what was found. The exit code is 1 on a finding, which
is printed with the command that repeats it. Where the fuzzer cannot be had, that is said and the
exit code is 0.

  --seconds N     how long each target runs (default 20)
  --repeat FILE   runs TARGET on one input instead, and prints its operations
  -h, --help      this text
EOF
}

skip() {
    say "skipped: $*"
    exit 0
}

# Leaves for want of a tool, not for a mistake in the code.
find_tools() {
    [[ $(uname -s -m) == "Linux x86_64" ]] || skip "the fuzzer is built for x86_64 Linux alone"
    command -v cargo >/dev/null || skip "cargo is missing"
    command -v c++ >/dev/null || skip "libFuzzer needs a C++ compiler (Debian: apt-get install g++)"
    quietly "fetching the crates of the fuzz targets" \
        cargo fetch --manifest-path "$PACKAGE/Cargo.toml" ||
        skip "libFuzzer's crate could not be fetched"
}

# build TARGET...
build() {
    local profile target
    say "building the fuzz targets"
    for target; do
        profile=release
        [[ $target != *"$UNCHECKED" ]] || profile=unchecked
        env -u CARGO_ENCODED_RUSTFLAGS -u CARGO_TARGET_DIR RUSTFLAGS="$COVERAGE" \
            cargo build --quiet --profile "$profile" --manifest-path "$PACKAGE/Cargo.toml" \
            --features libfuzzer --bin "${target%"$UNCHECKED"}" --target "$HOST_TARGET" \
            --target-dir "$BUILD/fuzz/target" ||
            die "building the fuzz target $target failed"
    done
}

# binary TARGET
binary() {
    local profile=release
    [[ $1 != *"$UNCHECKED" ]] || profile=unchecked
    echo "$BUILD/fuzz/target/$HOST_TARGET/$profile/${1%"$UNCHECKED"}"
}

# fuzz TARGET: 1 on a finding.
fuzz() {
    local target=$1 status=0 log runs file
    local corpus=$BUILD/fuzz/corpus/${target%"$UNCHECKED"} findings=$BUILD/fuzz/findings/$target
    log=$BUILD/fuzz/$target.log
    mkdir -p "$corpus" "$findings"
    # Long inputs from the start: an input is a history, and short ones say little.
    attend "$(binary "$target")" -max_total_time="$SECONDS_EACH" -timeout="$SLOW" -max_len=1000 \
        -len_control=0 -print_final_stats=1 -verbosity=1 \
        -artifact_prefix="$findings/" "$corpus" >"$log" 2>&1 || status=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
    if ((status == 0)); then
        echo "fuzz $target: ${runs:-0} inputs, no finding"
        return 0
    fi
    file=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    # The panic and its message, without the fuzzer's own report.
    sed -n '/ panicked at /,/^stack backtrace:\|^note: /p' "$log" | head -n 40
    echo "fuzz $target: a finding after ${runs:-?} inputs (exit code $status; all of it: $log)"
    [[ -z $file ]] || echo "repeat it with: $SCRIPTS/fuzz.sh $target --repeat $file"
    return 1
}

repeat() {
    local target=$1 file=$2
    VMM_FUZZ_TRACE=1 RUST_BACKTRACE=1 "$(binary "$target")" "$file"
}

main() {
    local target repeat="" found=0
    local -a chosen=()
    SECONDS_EACH=20
    spread_options "$@"
    set -- "${WORDS[@]}"
    while (($#)); do
        case $1 in
            -h | --help) usage && exit ;;
            --seconds) take_whole "$1" 1 999999 "${@:2}" && SECONDS_EACH=$VALUE && shift ;;
            --repeat) take_file "$@" && repeat=$(realpath "$VALUE") && shift ;;
            -*) usage_error "unknown option: $1" ;;
            *)
                [[ " ${TARGETS[*]} " == *" $1 "* ]] || usage_error "unknown target: '$1': it is one of ${TARGETS[*]}"
                chosen+=("$1")
                ;;
        esac
        shift
    done
    [[ -z $repeat || ${#chosen[@]} == 1 ]] || usage_error "--repeat needs one target"
    ((${#chosen[@]})) || chosen=("${TARGETS[@]}")
    find_tools
    build "${chosen[@]}"
    if [[ -n $repeat ]]; then
        repeat "${chosen[0]}" "$repeat"
        return
    fi
    for target in "${chosen[@]}"; do
        fuzz "$target" || found=1
    done
    return "$found"
}

main "$@"
