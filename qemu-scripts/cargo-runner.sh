#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# What cargo runs a root task by, in a workspace of its own (template/.cargo/config.toml): run.sh, for
# the architecture of the program and on the kernel that its bindings were made for.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/lib.sh"

usage() {
    cat <<EOF
Usage: ${0##*/} PROGRAM [run.sh's options] [-- ARGUMENTS...]

Boots the ELF file PROGRAM by run.sh, on the kernel of this checkout that \$SEL4_PREFIX names; set as
cargo's runner, this makes \`cargo run\` boot what it built.
EOF
}

# elf_architecture FILE: by its ELF class.
elf_architecture() {
    local LC_ALL=C
    case $(head -c 5 "$1" | od -An -tx1) in
        " 7f 45 4c 46 01") echo ia32 ;;
        " 7f 45 4c 46 02") echo x86_64 ;;
        *) return 1 ;;
    esac
}

main() {
    local program=${1-} arch prefix
    case $program in
        -h | --help) usage && exit ;;
        "" | -*) usage_error "no program was named" ;;
        */*) ;;
        *) program=./$program ;;
    esac
    shift
    [[ -f $program && -r $program ]] || usage_error "no such file: $program"
    arch=$(elf_architecture "$program") || usage_error "$program is no ELF file"
    prefix=$(realpath -m "${SEL4_PREFIX:-$BUILD/kernel/$arch/debug}")
    case $prefix in
        "$BUILD/kernel/$arch/debug") ;;
        "$BUILD/kernel/$arch/release") set -- --release-kernel "$@" ;;
        *) usage_error "SEL4_PREFIX is no kernel of this checkout for $arch: $prefix" ;;
    esac
    exec "$SCRIPTS/run.sh" "$program" --arch "$arch" "$@"
}

main "$@"
