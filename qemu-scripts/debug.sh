#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Boots a root task under gdb, with its symbols and the kernel's and with commands that show the
# virtual-memory manager.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<EOF
Usage: ${0##*/} PROGRAM [--commands FILE] [options of run.sh] [-- ARGUMENTS...]

Boots PROGRAM in QEMU and stops at its first instruction, in gdb. What the program prints appears
between what gdb prints. PROGRAM is one of roottask/, which is built with cargo's dev profile, so that
every variable can be seen; or the path of an ELF file, with a slash in it, which is booted as it is.

Besides gdb's own there are these commands, with the program stopped anywhere:
  vmm spaces           the address spaces
  vmm regions [SPACE]  the regions of one, as Vmm::dump prints them
  vmm extents [SPACE]  which capabilities are mapped where
  vmm untypeds         the tree of untyped memory, and what it was made into
  vmm slots            the capability slots
  vmm threads          the registered threads
  vmm backtrace BADGE  where one of them is, and who had called whom there
  vmm requests         faults that wait for a pager
  vmm quarantine       what the kernel would not take back

  --commands FILE   no terminal: do the gdb commands of FILE after that stop, then end
  --output FILE     put what the program prints there
  -h, --help        this text

Exit code: gdb's; 1 when nothing could be started, 2 for a mistake in the command line, 128 + N ended
by signal N.
EOF
}

parse_options() {
    PROGRAM="" KERNEL=debug COMMANDS="" OUTPUT="" RUN_OPTIONS=()
    spread_options "$@"
    set -- "${WORDS[@]}"
    while (($# > 0)); do
        case $1 in
            -h | --help) usage && exit ;;
            --commands) take_file "$@" && COMMANDS=$VALUE && shift ;;
            --output) take "$1" "the path of a file" "${@:2}" && OUTPUT=$VALUE && shift ;;
            --gdb | --gdb-socket | --timeout) usage_error "$1 is this script's own" ;;
            --release-kernel)
                KERNEL=release
                RUN_OPTIONS+=("$1")
                ;;
            --arch)
                take_arch "${@:2}"
                RUN_OPTIONS+=("$1" "$VALUE")
                shift
                ;;
            --memory | --monitor)
                # run.sh says what is wrong with it.
                local takes="a size, such as 64m"
                [[ $1 == --memory ]] || takes="the path of a socket"
                take "$1" "$takes" "${@:2}"
                RUN_OPTIONS+=("$1" "$VALUE")
                shift
                ;;
            --)
                RUN_OPTIONS+=("$@")
                break
                ;;
            --icount | --dev | --watch) RUN_OPTIONS+=("$1") ;;
            # Said before set-up, which may take minutes.
            -*) usage_error "unknown option: $1" ;;
            *)
                [[ -z $PROGRAM ]] || usage_error "more than one program: $PROGRAM, $1"
                PROGRAM=$1
                ;;
        esac
        shift
    done
    [[ -n $PROGRAM ]] || usage_error "no program was named"
    [[ $PROGRAM == */* ]] || grep -qFx -e "$PROGRAM" <(list_programs) || usage_error "roottask/ has no program $PROGRAM"
}

# Starts the machine, waiting for gdb, and sets MACHINE to what ends it.
start_machine() {
    local -a command=("$SCRIPTS/run.sh" "$PROGRAM" --dev --gdb-socket "$FOLDER/gdb" "${RUN_OPTIONS[@]}")
    # If this script is killed, the machine, which waits for gdb, must not wait for ever.
    ! command -v setpriv >/dev/null || command=(setpriv --pdeathsig TERM "${command[@]}")
    # In a session of its own: Ctrl-C is for gdb.
    if [[ -n $OUTPUT ]]; then
        setsid "${command[@]}" </dev/null >"$OUTPUT" &
    else
        setsid "${command[@]}" </dev/null &
    fi
    MACHINE=$!
    while [[ ! -S $FOLDER/gdb ]]; do
        if ! kill -0 "$MACHINE" 2>/dev/null; then
            wait "$MACHINE" || exit # with run.sh's code; it has said why
            die "$PROGRAM ended before gdb came"
        fi
        sleep 0.1
    done
}

end_machine() {
    if [[ -n ${MACHINE-} ]]; then
        kill "$MACHINE" 2>/dev/null || true
        { wait "$MACHINE" || true; } 2>/dev/null
    fi
    rm -rf "$FOLDER"
}

main() {
    parse_options "$@"
    attend "$SCRIPTS/setup.sh" --debugger --arch "$ARCH"
    FOLDER=$(mktemp -d)
    trap end_machine EXIT
    start_machine
    local elf
    case $PROGRAM in
        */*) elf=$(realpath "$PROGRAM") ;;
        *) elf=$(target_folder "$KERNEL")/$TARGET/debug/$PROGRAM ;;
    esac
    local -a gdb=(
        gdb -q "$elf" -iex 'set confirm off' -iex 'set debuginfod enabled off'
        -ex "add-symbol-file \"$BUILD/kernel/$ARCH/$KERNEL/kernel.elf\""
        -ex "target remote $FOLDER/gdb" -ex "source $SCRIPTS/debug.py" -ex vmm-begin
    )
    if [[ -n $COMMANDS ]]; then
        # Without a terminal nobody could answer, and a mistake must not go unseen.
        attend timeout 120 "${gdb[@]}" -nx -batch -x "$COMMANDS" </dev/null
    else
        trap : INT # for gdb, which stops the program
        SIGNALS="TERM HUP" attend "${gdb[@]}"
    fi
}

main "$@"
