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

make_nameless_file
"$SCRIPTS/run.sh" ipc-demo "$@" | tee "$NAMELESS" || exit
matches_in_order "$SCRIPTS/ipc-demo.expected" "$NAMELESS" || die "the demo's output is not complete"
