#!/usr/bin/env bash
# Boots the stress run: random requests to the manager on the real kernel, held to what they must do.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PHASES="churn share cow spaces large fill fragment compact used-up threads storm stacks pagers clients objects slots refusals"

usage() {
    cat <<EOF2
Usage: ${0##*/} [options]

Drives the manager through phases chosen by weight from a seed, after a warm-up, and checks the
contents of memory, the manager's state and, at the end, that everything is as it was at the start.
The same seed gives the same operations on a machine with the same memory.

Options:
  --seconds N         end the run after N seconds (default: 60)
  --operations N      end the run after N operations instead
  --seed N            what decides (default: 1)
  --memory SIZE       of the machine, 32M to 2G (default: 512M)
  --phases LIST       only these, with commas between (default: all):
                      ${PHASES// /, }
  --arch ARCH         ia32 or x86_64 (default: ia32)
  --kernel NAME       debug or release (default: debug)
  --validate N        operations between two checks of the whole state (default: 1000)
  --icount            count instructions for time: every run is the same (slower)
  --silence SECONDS   how long nothing may be heard before the run counts as hung (default: 60)
  --report FILE       write a report of the run to FILE: one HTML page that needs nothing else
  --bench FILE        show this result of bench.sh (--json or --save) in the report (default: the saved one)
  --help              this text

Exit code: 0 all well, 1 something was not as it must be, 2 a mistake in the command line, 124 hung.
EOF2
}

is_number() { [[ $1 =~ ^(0|[1-9][0-9]{0,17})$ ]]; }

parse_options() {
    SECONDS_LIMIT="" OPERATIONS="" SEED=1 MEMORY=512M WANTED="" KERNEL=debug VALIDATE=1000
    ICOUNT=false SILENCE=60 REPORT="" BENCH=""
    while (($# > 0)); do
        case $1 in
            --help) usage && exit ;;
            --icount) ICOUNT=true ;;
            --seconds | --operations | --seed | --memory | --phases | --kernel | --validate | --silence | \
                --report | --bench | --arch)
                (($# > 1)) || usage_error "$1 wants a value"
                take_option "$1" "$2"
                shift
                ;;
            *) usage_error "unknown option: $1" ;;
        esac
        shift
    done
    [[ -n $SECONDS_LIMIT$OPERATIONS ]] || SECONDS_LIMIT=60
}

take_option() {
    case $1 in
        --memory | --phases | --kernel | --report | --bench | --arch) ;;
        *) is_number "$2" || usage_error "not a number: $2" ;;
    esac
    case $1 in
        --arch) choose_arch "$2" ;;
        --seconds) SECONDS_LIMIT=$2 ;;
        --operations) OPERATIONS=$2 ;;
        --seed) SEED=$2 ;;
        --validate) VALIDATE=$2 ;;
        --silence) SILENCE=$2 ;;
        --report)
            : >>"$2" || usage_error "cannot write $2"
            REPORT=$2
            ;;
        --bench)
            [[ -r $2 ]] || usage_error "cannot read $2"
            BENCH=$2
            ;;
        --memory)
            [[ $2 =~ ^(3[2-9]|[4-9][0-9]|[1-9][0-9]{2}|1[0-9]{3}|20[0-4][0-9])M$|^[12]G$ ]] ||
                usage_error "memory must be 32M to 2G, not $2"
            MEMORY=$2
            ;;
        --kernel)
            [[ $2 == debug || $2 == release ]] || usage_error "no such kernel: $2"
            KERNEL=$2
            ;;
        --phases)
            local phase
            for phase in ${2//,/ }; do
                [[ " $PHASES " == *" $phase "* ]] || usage_error "no such phase: $phase"
            done
            WANTED=$2
            ;;
    esac
    ((VALIDATE > 0 && SILENCE > 0)) || usage_error "$1 must not be 0"
}

# Sets RUN, what boots the guest, and REPEAT, what is said to repeat it.
compose_run() {
    local -a arguments=("seed=$SEED" "validate=$VALIDATE")
    REPEAT=(--arch "$ARCH" --seed "$SEED" --memory "$MEMORY" --kernel "$KERNEL" --validate "$VALIDATE")
    [[ -z $SECONDS_LIMIT ]] || arguments+=("seconds=$SECONDS_LIMIT")
    [[ -z $OPERATIONS ]] || arguments+=("operations=$OPERATIONS")
    [[ -z $WANTED ]] || arguments+=("phases=$WANTED") REPEAT+=(--phases "$WANTED")
    [[ -z $REPORT ]] || arguments+=("report=1")
    RUN=("$SCRIPTS/run.sh" stress --arch "$ARCH" --memory "$MEMORY" --timeout 999999)
    [[ $KERNEL == debug ]] || RUN+=(--release-kernel)
    ! $ICOUNT || RUN+=(--icount) arguments+=("icount=1") REPEAT+=(--icount)
    RUN+=(-- "${arguments[@]}")
}

# watch [OPTION...]: runs it.
watch() {
    python3 "$SCRIPTS/stress.py" --silence "$SILENCE" --repeat "${0##*/} ${REPEAT[*]}" "$@" "${RUN[@]}"
}

# What the report says of the run, a line `name=value` each.
about() {
    local limit="${OPERATIONS:+$OPERATIONS operations}${OPERATIONS:+${SECONDS_LIMIT:+, }}"
    limit+="${SECONDS_LIMIT:+$SECONDS_LIMIT seconds}"
    echo "date=$(date -u '+%Y-%m-%d %H:%M UTC')"
    echo "seed=$SEED"
    echo "run until=$limit"
    echo "phases=${WANTED:-all}"
    echo "memory of the machine=$MEMORY"
    echo "state checked every=$VALIDATE operations"
    echo "time=$($ICOUNT && echo "instructions, counted" || echo "the host's")"
    echo "kernel=seL4 $(kernel_version "$KERNEL"), $ARCH_NAME, $KERNEL"
    echo "QEMU=$(qemu_version)"
    echo "compiler=$(target_rustc_version)"
    echo "revision=$(revision)"
}

# The commit that was run, and whether files differed from it.
revision() {
    git -C "$ROOT" describe --always --dirty=", with changes" --abbrev=12 2>/dev/null || echo "not known"
}

write_report() {
    local -a facts
    mapfile -t facts < <(about)
    PYTHONPATH=$REPORT_PYTHON MPLCONFIGDIR=$BUILD/report/matplotlib python3 "$SCRIPTS/report/page.py" \
        --data "$1" --bench "$BENCH" --output "$REPORT" "${facts[@]}" || die "no report was written"
    say "report: $REPORT"
}

run_and_report() {
    local data status=0
    "$SCRIPTS/setup.sh" --report --arch "$ARCH"
    choose_target_rust
    data=$(mktemp "$BUILD/stress.XXXXXX")
    # shellcheck disable=SC2064 # the file of now
    trap "rm -f '$data'" EXIT
    watch --data "$data" || status=$?
    write_report "$data"
    return "$status"
}

parse_options "$@"
: "${BENCH:=$SCRIPTS/bench-baseline-$ARCH.json}"
compose_run
if [[ -n $REPORT ]]; then
    run_and_report
else
    watch
fi
