#!/usr/bin/env bash
# Sets up and runs every check: formatting, lints, host tests, documentation, and the guest
# in QEMU. A check that fails does not stop the others. The last line counts tests. What is checked
# stands in lanes/, what a check is stands here.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<EOF
Usage: ${0##*/} [LANE...]

Runs all checks, or those of the lanes named: ${LANES[*]}, and by name only: ${OTHER_LANES[*]}. The last line is "N passed, N failed"; the exit code is 0 if nothing failed.
A test of the host suites, a test in the guest, a boot of the demo, and each of the other
checks (formatting, clippy, documentation ...) count as one test.
EOF
}

LANES=(host thorough target script qemu x86_64 bench stress)
# Only by name: it downloads what no other needs.
OTHER_LANES=(oldest)
KERNELS=(debug release)
# The crates that are built for the target alone.
TARGET_CRATES=(
    -p sel4 -p sel4-mem -p sel4-root-task -p vmm-service -p roottask -p vmm-c --features vmm-c/sel4
)
# Client programs bring a panic handler of their own: built together with root tasks, the features
# of the one would be in the other.
CLIENT_CRATES=(-p vmm-client -p vmm-clients)

PASSED=0 FAILED=0
# The names of what failed, for the end of a long output.
FAILURES=()

pass() {
    echo "test $1 ... ok"
    PASSED=$((PASSED + 1))
}

fail() {
    echo "test $1 ... FAILED"
    FAILED=$((FAILED + 1))
    FAILURES+=("$1")
}

# count_failures LOG FAILED: those of a suite that counts its own tests, which its log names.
count_failures() {
    local name
    FAILED=$((FAILED + $2))
    while read -r name; do
        FAILURES+=("$name")
    done < <(sed -nE 's/^test (.+) \.\.\. FAILED\r?$/\1/p' "$1")
}

# check NAME COMMAND...: one test; what the command printed is shown if it fails.
check() {
    local name=$1 log=$LOGS/check
    shift
    if ("$@") >"$log" 2>&1 </dev/null; then
        pass "$name"
    else
        cat "$log"
        fail "$name"
    fi
}

# As check, for what needs tools that are not everywhere: where its output says that it was skipped,
# it counts neither way.
check_if_possible() {
    local name=$1 log=$LOGS/check skipped
    shift
    if ! ("$@") >"$log" 2>&1 </dev/null; then
        cat "$log"
        fail "$name"
    elif skipped=$(grep -F ': skipped: ' "$log"); then
        echo "test $name ... skipped ($skipped)"
    else
        pass "$name"
    fi
}

exits_with() {
    local wanted=$1 status=0
    shift
    "$@" || status=$?
    echo "exit code $status, wanted $wanted: $*"
    ((status == wanted))
}

for file in host oldest target script qemu stress; do
    # shellcheck source=/dev/null
    source "$SCRIPTS/lanes/$file.sh"
done

main() {
    case ${1-} in
        --help) usage && exit ;;
        -*) usage_error "unknown option: $1" ;;
    esac
    local lane
    (($# > 0)) || set -- "${LANES[@]}"
    for lane; do
        [[ " ${LANES[*]} ${OTHER_LANES[*]} " == *" $lane "* ]] ||
            usage_error "no such lane: $lane: there are ${LANES[*]} ${OTHER_LANES[*]}"
    done
    exec 2>&1 # one stream, in order
    cd "$ROOT"
    export CARGO_TERM_COLOR=never
    LOGS=$(mktemp -d)
    trap 'rm -rf "$LOGS"' EXIT

    if ("$SCRIPTS/setup.sh" --tests </dev/null); then
        choose_target_rust
        for lane; do
            "${lane}_lane"
        done
    else
        fail "set-up"
    fi
    ((FAILED == 0)) || printf 'failed: %s\n' "${FAILURES[@]}"
    echo "$PASSED passed, $FAILED failed"
    ((FAILED == 0 && PASSED > 0))
}

main "$@"
