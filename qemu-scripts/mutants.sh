#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Draws deliberate errors at random (mutants, as cargo-mutants lists them) and runs the host suites
# on each: an error that no suite notices is a test that is missing.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<EOF
Usage: ${0##*/} [--sample N] [--seed S] [--file GLOB]... [--name TEXT] [--seconds N] [--singly]
       [--list]

Draws N mutants of untyped-alloc, page-tables, vmm and vmm-service with seed S, builds all of them as one
program, and runs the host suites on each, the quickest first, with few random cases. Prints how
each ended: caught (and by which test), timeout, unviable (it does not compile), missed; or not run.
The exit code is 1 if one was missed. tests/MUTANTS.md says what was found, and which mutants change
nothing. Where cargo-mutants cannot be had, that is said and the exit code is 0.

  --sample N      how many are drawn (default: all)
  --seed S        which (default 1)
  --file GLOB     only of such files, e.g. vmm/src/sharing/*.rs
  --name TEXT     only those drawn whose name has this in it
  --seconds N     how long a suite may take (default 60)
  --singly        builds by itself what cannot be built beside others (a minute each)
  --list          prints what is drawn, and runs nothing
EOF
}

main() {
    for word in "$@"; do
        [[ $word != -h && $word != --help ]] || { usage && exit; }
    done
    if ! cargo mutants --version >/dev/null 2>&1; then
        say "skipped: there is no cargo-mutants (cargo install cargo-mutants --locked)"
        exit 0
    fi
    cd "$ROOT"
    exec python3 "$SCRIPTS/mutants.py" "$@"
}

main "$@"
