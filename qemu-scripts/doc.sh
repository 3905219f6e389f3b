#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Builds the documentation of all crates as for the target: with the adapter, the bindings, the
# runtime, and the client's calls, which `cargo doc` on the host leaves out.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

CRATES=(growing-heap page-tables untyped-alloc vmm vmm-client vmm-service sel4 sel4-config sel4-mem sel4-root-task)
FEATURES=vmm/sel4,vmm-client/alloc,vmm-service/sel4,sel4-root-task/alloc

usage() {
    cat <<EOF2
Usage: ${0##*/} [--open] [--arch ARCH]

Builds the documentation of: ${CRATES[*]}; prints where it begins, the page of the crate vmm.

Options:
  --open       show that page in a browser (\$BROWSER, or what xdg-open takes)
  --arch ARCH  ia32 or x86_64 (default: ia32)
  -h, --help   this text
EOF2
}

main() {
    local open=false
    spread_options "$@"
    set -- "${WORDS[@]}"
    while (($# > 0)); do
        case $1 in
            -h | --help) usage && exit ;;
            --open) open=true ;;
            --arch) take_arch "${@:2}" && shift ;;
            *) usage_error "unknown option: $1" ;;
        esac
        shift
    done
    "$SCRIPTS/setup.sh" --arch "$ARCH"
    choose_target_rust
    CLIENTS="" target_cargo debug cargo doc --quiet --no-deps --lib "${CRATES[@]/#/-p}" --features "$FEATURES" ||
        die "the documentation could not be built"
    doc_start
    ! $open || "${BROWSER:-xdg-open}" "$(doc_start)"
}

main "$@"
