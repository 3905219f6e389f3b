#!/usr/bin/env bash
# Boots the stress run: random requests to the manager on the real kernel, held to what they must do.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PHASES="churn share cow spaces large fill fragment threads storm stacks pagers clients objects slots refusals"

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
  --kernel NAME       debug or release (default: debug)
  --validate N        operations between two checks of the whole state (default: 1000)
  --icount            count instructions for time: every run is the same (slower)
  --silence SECONDS   how long nothing may be heard before the run counts as hung (default: 60)
  --help              this text

Exit code: 0 all well, 1 something was not as it must be, 2 a mistake in the command line, 124 hung.
EOF2
}

is_number() { [[ $1 =~ ^(0|[1-9][0-9]{0,17})$ ]]; }

parse_options() {
    SECONDS_LIMIT="" OPERATIONS="" SEED=1 MEMORY=512M WANTED="" KERNEL=debug VALIDATE=1000
    ICOUNT=false SILENCE=60
    while (($# > 0)); do
        case $1 in
            --help) usage && exit ;;
            --icount) ICOUNT=true ;;
            --seconds | --operations | --seed | --memory | --phases | --kernel | --validate | --silence)
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
        --memory | --phases | --kernel) ;;
        *) is_number "$2" || usage_error "not a number: $2" ;;
    esac
    case $1 in
        --seconds) SECONDS_LIMIT=$2 ;;
        --operations) OPERATIONS=$2 ;;
        --seed) SEED=$2 ;;
        --validate) VALIDATE=$2 ;;
        --silence) SILENCE=$2 ;;
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

parse_options "$@"

ARGUMENTS=("seed=$SEED" "validate=$VALIDATE")
REPEAT=(--seed "$SEED" --memory "$MEMORY" --kernel "$KERNEL" --validate "$VALIDATE")
[[ -z $SECONDS_LIMIT ]] || ARGUMENTS+=("seconds=$SECONDS_LIMIT")
[[ -z $OPERATIONS ]] || ARGUMENTS+=("operations=$OPERATIONS")
[[ -z $WANTED ]] || ARGUMENTS+=("phases=$WANTED") REPEAT+=(--phases "$WANTED")
RUN=("$SCRIPTS/run.sh" stress --memory "$MEMORY" --timeout 999999)
[[ $KERNEL == debug ]] || RUN+=(--release-kernel)
! $ICOUNT || RUN+=(--icount) ARGUMENTS+=("icount=1") REPEAT+=(--icount)

exec python3 "$SCRIPTS/stress.py" "$SILENCE" "${0##*/} ${REPEAT[*]}" \
    "${RUN[@]}" -- "${ARGUMENTS[@]}"
