#!/usr/bin/env bash
# Boots the IPC demo and checks that all of its expected output appeared. Takes the options
# of run.sh.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

for option in "$@"; do
    if [[ $option == --help ]]; then
        echo "${0##*/} [options] is run.sh ipc-demo [options], and checks the output."
        echo
        exec "$SCRIPTS/run.sh" --help
    fi
done

mkdir -p "$BUILD"
output=$(mktemp "$BUILD/ipc-demo.XXXXXX")
trap 'rm -f "$output"' EXIT

"$SCRIPTS/run.sh" ipc-demo "$@" | tee "$output" || exit
matches_in_order "$SCRIPTS/ipc-demo.expected" "$output" || die "the demo's output is not complete"
