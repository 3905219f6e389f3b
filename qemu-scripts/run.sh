#!/usr/bin/env bash
# Boots a root task on the seL4 kernel in QEMU; its serial output is this script's output.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# What roottask/src/arguments.rs has room for.
MAX_ARGUMENTS=4096

usage() {
    cat <<EOF
Usage: ${0##*/} PROGRAM [options] [-- ARGUMENTS...]

Builds what is out of date, boots PROGRAM as seL4's root task in QEMU, prints what it writes
to the serial line, and exits with 0 if it reported success. PROGRAM is one of those below, or the
path of an ELF file, with a slash in it, which is booted as it is.

Options:
  --arch ARCH        ia32 or x86_64 (default: ia32)
  --release-kernel   the kernel without debug output and checks (default: the debug kernel)
  --memory SIZE      of the machine, 16M to 4G, such as 32M, 512M, 2G (default: 512M)
  --gdb              wait for a debugger, and print the command that attaches it
  --gdb-socket PATH  wait for a debugger at this path (debug.sh does it all)
  --icount           count instructions for time: every run is the same (slower)
  --dev              build PROGRAM with cargo's dev profile (default: release)
  --monitor SOCKET   let QEMU's monitor listen at this path
  --timeout SECONDS  end a run that hangs (default: 60; none with a debugger)
  --help             this text

ARGUMENTS, at most $MAX_ARGUMENTS bytes with the blanks between, reach the guest as the QEMU firmware
configuration file opt/vmm/arguments.

Exit code: 0 success, 1 failure or panic in the guest or of a tool, 2 a mistake in the
command line, 124 hung.

Programs:
$(list_programs | sed 's/^/  /')
EOF
}

# Sets the variables below from the command line.
parse_options() {
    PROGRAM="" KERNEL=debug MEMORY=512M GDB=false ICOUNT=false PROFILE=release TIMEOUT=60 ARGUMENTS=""
    MONITOR="" GDB_SOCKET=""
    while (($# > 0)); do
        case $1 in
            --help) usage && exit ;;
            --release-kernel) KERNEL=release ;;
            --gdb) GDB=true ;;
            --icount) ICOUNT=true ;;
            --dev) PROFILE=dev ;;
            --arch | --memory | --timeout | --monitor | --gdb-socket)
                (($# > 1)) || usage_error "$1 wants a value"
                [[ $1 != --arch ]] || choose_arch "$2"
                [[ $1 == --gdb-socket ]] && GDB_SOCKET=$2
                [[ $1 == --monitor ]] && MONITOR=$2
                [[ $1 == --memory ]] && MEMORY=$2
                [[ $1 == --timeout ]] && TIMEOUT=$2
                shift
                ;;
            --)
                shift
                ARGUMENTS=$*
                break
                ;;
            -*) usage_error "unknown option: $1" ;;
            *)
                [[ -z $PROGRAM ]] || usage_error "more than one program: $PROGRAM, $1"
                PROGRAM=$1
                ;;
        esac
        shift
    done
    [[ -n $PROGRAM ]] || usage_error "no program was named"
    [[ $TIMEOUT =~ ^[1-9][0-9]{0,5}$ ]] || usage_error "not a number of seconds: $TIMEOUT"
    check_memory
    check_arguments
    # QEMU runs in another folder.
    [[ -z $MONITOR || $MONITOR == /* ]] || MONITOR=$PWD/$MONITOR
    [[ -z $GDB_SOCKET || $GDB_SOCKET == /* ]] || GDB_SOCKET=$PWD/$GDB_SOCKET
    if [[ $PROGRAM == */* ]]; then
        check_elf
    else
        grep -qFx -e "$PROGRAM" <(list_programs) || usage_error "roottask/ has no program $PROGRAM"
    fi
}

# A program that was built elsewhere must be for the architecture: its ELF class says so.
check_elf() {
    local LC_ALL=C class
    [[ -f $PROGRAM && -r $PROGRAM ]] || usage_error "no such file: $PROGRAM"
    class=$(head -c 5 "$PROGRAM" | od -An -tx1)
    case $ARCH:$class in
        "ia32: 7f 45 4c 46 01" | "x86_64: 7f 45 4c 46 02") ;;
        *) usage_error "$PROGRAM is no ELF file for $ARCH" ;;
    esac
    PROGRAM_ELF=$(realpath "$PROGRAM")
}

check_arguments() {
    local LC_ALL=C # bytes, not characters
    ((${#ARGUMENTS} <= MAX_ARGUMENTS)) ||
        usage_error "${#ARGUMENTS} bytes of arguments: at most $MAX_ARGUMENTS reach the guest"
}

check_memory() {
    local mebibytes
    [[ $MEMORY =~ ^([1-9][0-9]{0,3})([MG])$ ]] || usage_error "not a memory size: $MEMORY"
    mebibytes=${BASH_REMATCH[1]}
    [[ ${BASH_REMATCH[2]} == M ]] || mebibytes=$((mebibytes * 1024))
    ((mebibytes >= 16 && mebibytes <= 4096)) ||
        usage_error "memory must be 16M to 4G, not $MEMORY"
}

# The name by which QEMU is to open the program: a file outside the build folder by its descriptor.
initrd() {
    case $PROGRAM in
        */*) echo /dev/fd/3 ;;
        *) echo "${PROGRAM_ELF#"$BUILD/"}" ;;
    esac
}

# Sets QEMU, the whole command. It runs in the build folder and names its files from there: QEMU takes
# what is behind a blank or a comma in the value of -initrd for something else, and the path of the
# checkout may have such.
# shellcheck disable=SC2054 # commas are QEMU's
compose_qemu() {
    QEMU=(
        "$QEMU_SYSTEM" -accel tcg -cpu "$QEMU_CPU"
        -m "$MEMORY" -kernel "kernel/$ARCH/$KERNEL/boot.elf" -initrd "$(initrd)"
        -display none -serial stdio -no-reboot -nic none
        # A byte v that is written to this port ends QEMU with the exit code 2v+1.
        -device isa-debug-exit,iobase=0xf4,iosize=4
    )
    # A comma would end the value; QEMU reads two as one.
    [[ -z $ARGUMENTS ]] || QEMU+=(-fw_cfg "name=opt/vmm/arguments,string=${ARGUMENTS//,/,,}")
    [[ -z $MONITOR ]] || QEMU+=(-monitor "unix:${MONITOR//,/,,},server=on,wait=off")
    ! $ICOUNT || QEMU+=(-icount "shift=0,sleep=off" -nodefaults -vga none)
    if $GDB; then
        QEMU+=(-s -S)
    elif [[ -n $GDB_SOCKET ]]; then
        QEMU+=(-S -gdb "unix:${GDB_SOCKET//,/,,},server=on,wait=off")
    else
        # In the foreground, or Ctrl-C would not reach QEMU.
        QEMU=(timeout --foreground --kill-after=5 "$TIMEOUT" "${QEMU[@]}")
    fi
}

print_gdb_command() {
    command -v gdb >/dev/null || say "(gdb is not installed: apt-get install gdb)"
    say "QEMU waits. In another terminal:"
    cat >&2 <<EOF
gdb ${PROGRAM_ELF@Q} \\
    -ex 'add-symbol-file "$BUILD/kernel/$ARCH/$KERNEL/kernel.elf"' \\
    -ex 'target remote localhost:1234' -ex 'hbreak _start' -ex continue
EOF
}

boot() {
    local status=0
    env -C "$BUILD" "${QEMU[@]}" </dev/null 3<"$PROGRAM_ELF" || status=$?
    case $status in
        33) return 0 ;;
        35) say "$PROGRAM reported failure" ;;
        37) say "$PROGRAM panicked" ;;
        124 | 137)
            say "$PROGRAM hung: it did not end within $TIMEOUT seconds"
            return 124
            ;;
        *) say "QEMU ended with exit code $status before $PROGRAM reported a result" ;;
    esac
    return 1
}

parse_options "$@"
"$SCRIPTS/setup.sh" --arch "$ARCH"
if [[ $PROGRAM != */* ]]; then
    choose_target_rust
    build_program "$KERNEL" "$PROFILE" "$PROGRAM"
fi
compose_qemu
! $GDB || print_gdb_command
boot
