#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Boots the IPC demo and checks that all of its expected output appeared. Takes the options
# of run.sh.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

for option in "$@"; do
    if [[ $option == -h || $option == --help ]]; then
        echo "Usage: ${0##*/} [options]"
        echo
        echo "It is run.sh ipc-demo [options], and checks the output."
        echo
        exec "$SCRIPTS/run.sh" --help
    fi
done

make_nameless_file
# Beside the demo and not behind it in a pipeline, for the end of which a shell would wait before it
# looks at a signal.
exec {SHOWN}> >(exec tee "$NAMELESS")
SHOWING=$!
status=0
attend "$SCRIPTS/run.sh" ipc-demo "$@" >&"$SHOWN" || status=$?
exec {SHOWN}>&-
wait "$SHOWING" || true
((status == 0)) || exit "$status"
matches_in_order "$SCRIPTS/ipc-demo.expected" "$NAMELESS" || die "the demo's output is not complete"
