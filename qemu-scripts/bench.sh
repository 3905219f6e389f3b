#!/usr/bin/env bash
# Boots the benchmark on the release kernel, counting instructions, and shows what the manager's
# operations cost beside what the kernel alone would.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<EOF2
Usage: ${0##*/} [--json FILE] [--compare FILE [--margin PERCENT]]

Prints for each operation its instructions (user and kernel), those of a raw loop of the same
invocations in the same run (the floor), their ratio, kernel calls, and bytes of book-keeping
for each page. All figures are for one unit: a page, a buffer, a call. Every run gives the same.

Options:
  --json FILE        write the rows to FILE, as a list of objects
  --compare FILE     fail if a row got worse than in FILE (written by --json before): its ratio,
                     or where there is no floor its instructions
  --margin PERCENT   by how much a row may get worse (default: 1)
  --help             this text

Exit code: 0 if all measures of DESIGN.md are held and nothing got worse, 1 if not, 2 a mistake
in the command line.
EOF2
}

JSON="" COMPARE="" MARGIN=1
while (($# > 0)); do
    case $1 in
        --help) usage && exit ;;
        --json | --compare | --margin)
            (($# > 1)) || usage_error "$1 wants a value"
            [[ $1 == --json ]] && JSON=$2
            [[ $1 == --compare ]] && COMPARE=$2
            [[ $1 == --margin ]] && MARGIN=$2
            shift
            ;;
        *) usage_error "unknown option: $1" ;;
    esac
    shift
done
[[ -z $COMPARE || -r $COMPARE ]] || usage_error "cannot read $COMPARE"
[[ $MARGIN =~ ^[0-9]+(\.[0-9]+)?$ ]] || usage_error "not a percentage: $MARGIN"

mkdir -p "$BUILD"
output=$(mktemp "$BUILD/bench.XXXXXX")
trap 'rm -f "$output"' EXIT
"$SCRIPTS/run.sh" bench --release-kernel --icount --timeout 300 >"$output" || {
    cat "$output" >&2
    exit 1
}
python3 "$SCRIPTS/bench.py" "$output" "$JSON" "$COMPARE" "$MARGIN"
