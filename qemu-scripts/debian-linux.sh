#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# debian-linux.sh FOLDER: unpacks Debian's Linux for machines in a cloud (amd64) into FOLDER.
#
# The package is not installed, and apt works on package lists of its own, so that the system's stay as
# they are. No root rights are needed.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# What depends on the newest, which has its version in its name.
PACKAGE=linux-image-cloud-amd64
INSTEAD="or name a Linux kernel for x86_64: linux-compare.sh --kernel FILE"

usage() {
    cat <<EOF
Usage: ${0##*/} FOLDER

Unpacks the kernel of Debian's $PACKAGE as FOLDER/vmlinuz, unless it is there, and
says in FOLDER/package what it came from. Needs no root rights.
EOF
}

main() {
    [[ ${1-} != -h && ${1-} != --help ]] || { usage && exit; }
    (($# == 1)) || usage_error "it takes one folder"
    [[ $1 != -* ]] || usage_error "unknown option: $1"
    local folder=$1 private=$1.apt tool newest
    [[ ! -e $folder/vmlinuz ]] || return 0
    for tool in apt-get apt-cache dpkg; do
        command -v "$tool" >/dev/null ||
            die "there is no $tool to fetch Debian's Linux with: run this on Debian, $INSTEAD"
    done
    rm -rf "$folder" "$folder.new" "$private"
    mkdir -p "$folder.new"
    # shellcheck disable=SC2064 # the folders of now
    trap "rm -rf '$folder.new' '$private'" EXIT
    make_package_lists "$private" amd64
    newest=$(apt-cache -c "$private/apt.conf" depends "$PACKAGE" 2>/dev/null |
        sed -nE 's/^ *Depends: (linux-image-[^ ]+)$/\1/p') || true
    [[ $newest == linux-image-* ]] ||
        die "the package lists have no $PACKAGE: see that there is a network and that apt's sources are" \
            "Debian's, $INSTEAD"
    newest=${newest%%$'\n'*}
    mkdir "$private/packages"
    quietly "downloading Debian's $newest (30 MB)" \
        env -C "$private/packages" apt-get -q -c "$private/apt.conf" download "$newest" ||
        die "$newest could not be fetched: see that there is a network and run this again, $INSTEAD"
    dpkg -x "$private"/packages/*.deb "$private/unpacked" ||
        die "$newest cannot be unpacked: run this again, $INSTEAD"
    mv "$private"/unpacked/boot/vmlinuz-* "$folder.new/vmlinuz" 2>/dev/null ||
        die "$newest has no file boot/vmlinuz-*: unpack a kernel by hand, $INSTEAD"
    # The name of the archive has the package's whole version.
    basename "$private"/packages/*.deb .deb >"$folder.new/package"
    mv "$folder.new" "$folder"
}

main "$@"
