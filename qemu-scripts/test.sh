#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Sets up and runs every check: formatting, lints, host tests, documentation, and the guest
# in QEMU. A check that fails does not stop the others. The last line counts tests. What is checked
# stands in lanes/, what a check is and how lanes run side by side in tracks.sh.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=tracks.sh
source "$SCRIPTS/tracks.sh"

usage() {
    cat <<EOF
Usage: ${0##*/} [LANE...]

Runs all checks, or those of the lanes named: ${LANES[*]}, and by name only:
${OTHER_LANES[*]}. Lanes that do not meet run side by side. The last line is "N passed, N failed"; the exit
code is 0 if nothing failed, 2 for a mistake in the command line, 128 + N if signal N ended it. A test
of the host suites, a test in the guest, a boot of the demo, and each of the other checks (formatting,
clippy, documentation ...) count as one test.
EOF
}

LANES=(host thorough target script qemu x86_64 bench stress)
# Only by name: they need what no other does.
OTHER_LANES=(oldest semver linux)
KERNELS=(debug release)
# The crates that are built for the target alone.
TARGET_CRATES=(
    -p sel4 -p sel4-mem -p sel4-root-task -p vmm-service -p roottask -p vmm-c --features vmm-c/sel4
)
# Client programs bring a panic handler of their own: built together with root tasks, the features
# of the one would be in the other.
CLIENT_CRATES=(-p vmm-client -p vmm-clients)

exits_with() {
    local wanted=$1 status=0
    shift
    "$@" || status=$?
    echo "exit code $status, wanted $wanted: $*"
    ((status == wanted))
}

for file in "$SCRIPTS"/lanes/*.sh; do
    # shellcheck source=/dev/null
    source "$file"
done

main() {
    local attended=false lane
    case ${1-} in
        -h | --help) usage && exit ;;
        # By this script itself: beneath attend.py, which ends all of it when it is to end.
        --attended) attended=true && shift ;;
        -*) usage_error "unknown option: $1" ;;
    esac
    (($# > 0)) || set -- "${LANES[@]}"
    for lane; do
        [[ " ${LANES[*]} ${OTHER_LANES[*]} " == *" $lane "* ]] ||
            usage_error "no such lane: $lane: there are ${LANES[*]} ${OTHER_LANES[*]}"
    done
    exec 2>&1 # one stream, in order
    cd "$ROOT"
    export CARGO_TERM_COLOR=never
    if ! $attended; then
        # It brings Python, too.
        attend "$SCRIPTS/setup.sh" --tests </dev/null || {
            echo "test set-up ... FAILED"
            echo "0 passed, 1 failed"
            exit 1
        }
        exec python3 -B "$SCRIPTS/attend.py" "$SCRIPTS/test.sh" --attended "$@"
    fi
    local run
    run=$(mktemp -d)
    choose_target_rust
    run_lanes "$run" "$@"
    show_slowest
    echo "all of it: $SECONDS s"
    show_failures
    echo "$PASSED passed, $FAILED failed"
    ((FAILED == 0 && PASSED > 0))
}

main "$@"
