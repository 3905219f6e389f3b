#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Makes a root task of sources in C and the manager's library.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# How C is compiled and linked: without a C library.
FLAGS=(
    -std=c99 -O2 -g -ffreestanding -fno-pie -fno-stack-protector
    -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,norelro -Wl,-z,noexecstack
)

usage() {
    cat <<EOF
Usage: ${0##*/} [options] -o PROGRAM FILE.c... [gcc's options]

Makes the ELF file PROGRAM, which run.sh boots, of sources in C that include <vmm.h> and define
main. Builds the library libvmm_c.a, and the kernel it is for, if they are out of date. gcc (or
\$CC) is given what follows the options, and before it

  ${FLAGS[*]}

Options:
  --arch ARCH        ia32 or x86_64 (default: ia32)
  --release-kernel   for the kernel without debug output and checks (default: the debug kernel)
  -h, --help         this text
EOF
}

main() {
    local kernel=debug word=-m32
    while (($# > 0)); do
        case $1 in
            -h | --help) usage && exit ;;
            --release-kernel) kernel=release ;;
            --arch) take_arch "${@:2}" && shift ;;
            --arch=*) choose_arch "${1#*=}" ;;
            *) break ;;
        esac
        shift
    done
    (($# > 0)) || usage_error "no source was named"
    [[ $ARCH == ia32 ]] || word=-m64
    "$SCRIPTS/setup.sh" --arch "$ARCH"
    choose_target_rust
    say "building libvmm_c.a for the $kernel kernel on $ARCH"
    target_cargo "$kernel" cargo rustc --quiet --release -p vmm-c --features sel4 --lib \
        --crate-type staticlib || die "building libvmm_c.a failed"
    "${CC:-gcc}" "$word" "${FLAGS[@]}" -I "$ROOT/vmm/c/include" "$@" \
        "$(target_folder "$kernel")/$TARGET/release/libvmm_c.a"
}

main "$@"
