#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# debian-rust.sh FOLDER: unpacks Debian's Rust for the host and for i686 into FOLDER.
#
# For machines where rustup cannot download. The packages are not installed: they conflict
# with Debian's own rustc. apt works on package lists of its own that know i386, so that the
# system's lists and architectures stay as they are. No root rights are needed.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Pinned: both architectures must have it. (Newer ones were not consistent on i386.)
VERSION=1.85.0+dfsg3-1~deb12u3
PACKAGES=(rustc-web libstd-rust-web-1.85 libstd-rust-web-dev libstd-rust-web-dev:i386 rust-web-clippy)

usage() {
    cat <<EOF
Usage: ${0##*/} FOLDER

Unpacks Debian's Rust for the host and for i686 into FOLDER, unless it is there. Needs no root rights.
EOF
}

main() {
    [[ ${1-} != -h && ${1-} != --help ]] || { usage && exit; }
    (($# == 1)) || usage_error "it takes one folder"
    local folder=$1 private=$1.apt package
    [[ -x $folder/usr/bin/rustc ]] && return
    [[ $(dpkg --print-architecture 2>/dev/null) == amd64 ]] ||
        die "Debian's Rust is taken on Debian amd64 only; here rustup must bring the target"

    rm -rf "$folder" "$folder.new" "$private"
    mkdir -p "$folder.new"
    # shellcheck disable=SC2064 # the folders of now
    trap "rm -rf '$folder.new' '$private'" EXIT
    make_package_lists "$private" amd64 i386
    mkdir "$private/packages" && cd "$private/packages"
    quietly "downloading Debian's Rust ${VERSION%%+*} (100 MB)" \
        apt-get -q -c "$private/apt.conf" download "${PACKAGES[@]/%/=$VERSION}"
    say "unpacking it"
    for package in *.deb; do
        dpkg -x "$package" "$folder.new"
    done
    mv "$folder.new" "$folder"
}

main "$@"
