#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Holds the model kernel to the real one: the same invocations on both, compared call by call.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<EOF2
Usage: ${0##*/} [--arch ARCH] [--calls N] [--seed S] [--debug-kernel] [--timeout SECONDS]

Boots a root task that makes invocations, legal and illegal, prints their results, and compares
them with what the model kernel of tests/ answers to the same: results, errors, physical
addresses, and which pages are mapped. The same seed makes the same calls.

Options:
  --arch ARCH        ia32 or x86_64 (default: ia32)
  --calls N          random calls to make, rounded up to 2000 (default: 100000)
  --seed S           the first seed (default: 0)
  --debug-kernel     on the debug kernel; it also prints what it refuses, and is slower
  --timeout SECONDS  the watchdog's patience (default: 600)
  -h, --help         this text

Exit code: 0 if all calls agree, 1 if one does not (it is shown), 2 a mistake in the command line.
EOF2
}

CALLS=100000 SEED=0 TIMEOUT=600
KERNEL=(--release-kernel)
spread_options "$@"
set -- "${WORDS[@]}"
while (($# > 0)); do
    case $1 in
        -h | --help) usage && exit ;;
        --debug-kernel) KERNEL=() ;;
        --arch) take_arch "${@:2}" && shift ;;
        --calls) take_whole "$1" 1 999999999 "${@:2}" && CALLS=$VALUE && shift ;;
        --seed) take_whole "$1" 0 999999999 "${@:2}" && SEED=$VALUE && shift ;;
        --timeout) take_whole "$1" 1 999999 "${@:2}" && TIMEOUT=$VALUE && shift ;;
        *) usage_error "unknown option: $1" ;;
    esac
    shift
done

make_nameless_file
echo "${0##*/}: $CALLS random calls from seed $SEED on the real kernel"
attend "$SCRIPTS/run.sh" compare --arch "$ARCH" "${KERNEL[@]}" --timeout "$TIMEOUT" -- "$CALLS" "$SEED" >"$NAMELESS" || {
    tail -20 "$NAMELESS" >&2
    exit 1
}
cd "$ROOT"
exec cargo run --quiet --release -p vmm-tests --bin compare-transcript -- "$NAMELESS"
