#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Boots a program with 64 MiB on Linux and on seL4 with the manager, and shows what the same requests
# cost on either, in instructions.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

MEMORY=1G # with less than 512 MiB of it free at boot Linux has no huge pages
GCC_OPTIONS=(
    -std=c11 -O2 -Wall -Wextra -Werror -static -no-pie -fno-pie -nostdlib -ffreestanding
    -fno-stack-protector -mgeneral-regs-only
)

usage() {
    cat <<EOF
Usage: ${0##*/} [options]

Prints two columns: what each operation costs on Debian's Linux for machines in a cloud, and what it
costs here, in instructions of program and kernel together, for each page, call or fault. On Linux
the first program is $(basename "$SCRIPTS")/linux/init.c, and mitigations are off; here it is bench-large. Both boot in the same machine of QEMU, of x86_64 with $MEMORY.

The Linux package is fetched the first time (30 MB), and unpacked below build/, not installed.

Options:
  --kernel FILE  another Linux kernel for x86_64, a bzImage
  --update       fetch Debian's newest
  --json FILE    write the rows to FILE, as a list of objects
  -h, --help     this text

Exit code: 0 if what is to cost no more than on Linux does not, 1 if it does or something failed, 2 a
mistake in the command line, 124 hung, 128 + N ended by signal N.
EOF
}

parse_options() {
    KERNEL="" UPDATE=false JUDGE=()
    spread_options "$@"
    set -- "${WORDS[@]}"
    while (($# > 0)); do
        case $1 in
            -h | --help) usage && exit ;;
            --kernel) take_file "$@" && KERNEL=$(realpath "$VALUE") && shift ;;
            --update) UPDATE=true ;;
            --json)
                take "$1" "the path of a file" "${@:2}"
                JUDGE+=("$1" "$VALUE")
                shift
                ;;
            *) usage_error "unknown option: $1" ;;
        esac
        shift
    done
}

# Sets KERNEL and PACKAGE, what is booted and what it is.
find_kernel() {
    PACKAGE=${KERNEL##*/}
    [[ -z $KERNEL ]] || return 0
    ! $UPDATE || rm -rf "$BUILD/linux"
    attend "$SCRIPTS/debian-linux.sh" "$BUILD/linux"
    KERNEL=$BUILD/linux/vmlinuz PACKAGE=$(<"$BUILD/linux/package")
}

# boot_here PROGRAM PART: the benchmark's rows, into NAMELESS.
boot_here() {
    attend "$SCRIPTS/run.sh" "$1" --arch x86_64 --release-kernel --icount --memory "$MEMORY" --timeout 300 \
        -- "$2" >>"$NAMELESS" || {
        status=$?
        cat "$NAMELESS" >&2
        ((status > 123)) || status=1
        exit "$status"
    }
}

parse_options "$@"
choose_arch x86_64
attend "$SCRIPTS/setup.sh" --arch x86_64
find_kernel
make_nameless_file
# As bench.sh builds it.
export VMM_WITHOUT_FRAME_POINTERS=1
boot_here bench-large program
boot_here bench cold # for what clearing a page costs
INIT=$BUILD/linux-init
quietly "compiling linux/init.c" gcc "${GCC_OPTIONS[@]}" -o "$INIT" "$SCRIPTS/linux/init.c"
exec python3 -B "$SCRIPTS/linux_compare.py" "${JUDGE[@]}" --memory "$MEMORY" --kernel "$KERNEL" \
    --package "$PACKAGE" --init "$INIT" "$NAMELESS"
