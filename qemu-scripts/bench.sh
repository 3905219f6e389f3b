#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Boots the benchmark on the release kernel, counting instructions, and shows what the manager's
# operations cost beside what the kernel alone would.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# The result that test.sh compares with, for each architecture.
baseline() { echo "$SCRIPTS/bench-baseline-$ARCH.json"; }

usage() {
    cat <<EOF2
Usage: ${0##*/} [options]

Prints for each operation its instructions (user and kernel), those of a raw loop of the same
invocations in the same run (the floor), their ratio, kernel calls, and bytes of book-keeping
for each page. All figures are for one unit: a page, a buffer, a call. Every run gives the same.

Options:
  --arch ARCH             ia32 or x86_64 (default: ia32)
  --json FILE             write the rows to FILE, as a list of objects
  --save FILE             write the rows to FILE for a later comparison, with the compilers, the kernel
                          and the QEMU that they were made with
  --renew                 the same as --save qemu-scripts/bench-baseline-ARCH.json
  --add-new               write rows that qemu-scripts/bench-baseline-ARCH.json lacks into it; those that it has
                          stay as they are. Refused where it was made with other tools
  --compare FILE          fail if a row got worse than in FILE (written by --save or --json before) in its ratio,
                          or where there is no floor in its instructions; if one is missing or not
                          in FILE; or if a measure that was held is not
  --baseline              the same as --compare qemu-scripts/bench-baseline-ARCH.json
  --margin PERCENT        by how much a row may get worse (default: 3)
  --other-margin PERCENT  the same where FILE was made with other tools (default: 15)
  --memory                instead: bytes of records, of hello's stack, and of images with the manager and without
  --only-compare          tell which measures are not held, but fail for the comparison alone
  -h, --help              this text

Exit code: 0 if all measures are held (see bench.py) and nothing got worse, 1 if not, 2 a mistake
in the command line, 124 hung, 128 + N ended by signal N.
EOF2
}

parse_options() {
    local compare="" renew=false add=false baseline=false
    MEMORY=false JUDGE=() MARGIN=3 OTHER_MARGIN=15
    spread_options "$@"
    set -- "${WORDS[@]}"
    while (($# > 0)); do
        case $1 in
            -h | --help) usage && exit ;;
            --arch) take_arch "${@:2}" && shift ;;
            --only-compare) JUDGE+=("$1") ;;
            --renew) renew=true ;;
            --add-new) add=true ;;
            --memory) MEMORY=true ;;
            --baseline) baseline=true ;;
            --json | --save)
                take "$1" "the path of a file" "${@:2}"
                JUDGE+=("$1" "$VALUE")
                shift
                ;;
            --compare) take_file "$@" && compare=$VALUE && shift ;;
            --margin) take_percentage "$@" && MARGIN=$VALUE && shift ;;
            --other-margin) take_percentage "$@" && OTHER_MARGIN=$VALUE && shift ;;
            *) usage_error "unknown option: $1" ;;
        esac
        shift
    done
    if $MEMORY; then
        ((${#JUDGE[@]} == 0)) && ! $renew && ! $add && ! $baseline && [[ -z $compare ]] ||
            usage_error "--memory goes with --arch alone"
        return
    fi
    # Which architecture's is known only now.
    ! $renew || JUDGE+=(--save "$(baseline)")
    ! $add || JUDGE+=(--add "$(baseline)")
    ! $baseline || compare=$(baseline)
    JUDGE+=(--margin "$MARGIN" --other-margin "$OTHER_MARGIN")
    if [[ -n $compare ]]; then
        [[ -r $compare ]] || usage_error "cannot read $compare"
        JUDGE+=(--compare "$compare")
    elif [[ " ${JUDGE[*]} " == *" --only-compare "* ]]; then
        usage_error "--only-compare wants --compare or --baseline"
    fi
}

# What the figures depend on besides this repository, a line `name=value` each.
tools() {
    echo "architecture=$ARCH"
    echo "rustc=$(target_rustc_version)"
    echo "kernel=seL4 $(kernel_version release), release"
    echo "kernel's compiler=$("${CC:-gcc}" --version | head -n 1)"
    echo "QEMU=$(qemu_version | grep -Eo '^[0-9]+\.[0-9]+')"
}

# boot PROGRAM [PART]: one part of the benchmark, into NAMELESS; the first has no name.
boot() {
    attend "$SCRIPTS/run.sh" "$1" --arch "$ARCH" --release-kernel --icount --timeout 300 -- "${@:2}" >>"$NAMELESS" || {
        status=$?
        cat "$NAMELESS" >&2
        ((status > 123)) || status=1
        exit "$status"
    }
}

# What is no comparison, of programs as they are otherwise: with frame pointers.
show_memory() {
    local word=4 program
    local -a programs=()
    [[ $ARCH != x86_64 ]] || word=8
    boot bench-large memory
    choose_target_rust
    for program in hello bare; do
        build_program release release "$program"
        programs+=("$PROGRAM_ELF")
    done
    exec python3 -B "$SCRIPTS/memory_table.py" --word "$word" "$NAMELESS" "${programs[@]}"
}

parse_options "$@"
make_nameless_file
! $MEMORY || show_memory
# Frame pointers cost look-ups up to 6 % of their instructions on IA32; what is measured is the code.
export VMM_WITHOUT_FRAME_POINTERS=1
# Memory is dirty once in a boot, so each part has one.
boot bench
for part in orders promote direct cold cold-cleared cold-paced; do
    boot bench "$part"
done
for part in program growth; do
    boot bench-large "$part"
done
choose_target_rust
mapfile -t made_with < <(tools)
exec python3 -B "$SCRIPTS/bench.py" "${JUDGE[@]}" "$NAMELESS" "${made_with[@]}"
