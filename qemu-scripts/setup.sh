#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Brings whatever the other scripts need and is not there yet. When nothing is missing it
# does nothing, needs no network and no root rights.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<EOF
Usage: ${0##*/} [--tests | --debugger | --report | --live] [--arch ARCH]

Installs what is missing of: QEMU, a C compiler, Python with pip (with apt-get; root rights
are needed only then), the Rust core library for $TARGET (with rustup, or from Debian's
packages, unpacked below build/), the sources of the crates and of the kernel (with cargo).
Then builds the kernels.

Options:
  --arch ARCH  for ia32 or x86_64 (default: ia32)
  --tests      also what the tests call: rustfmt, clippy, git, a debugger, a browser (Chromium), and --report's and
               --live's
  --debugger   also gdb
  --report     also what makes a stress report (matplotlib, Jinja2, with pip, below build/)
  --live       also what shows a stress run on a terminal (rich, with pip, below build/)

Environment:
  VMM_RUST=debian   use Debian's Rust for the target even where the installed one would do
EOF
}

# The Debian packages of which something is not there, in MISSING. A debugger, which must know
# Python, is for tests and for debug.sh; a browser is for the tests of the report.
find_missing_packages() {
    MISSING=()
    command -v "$QEMU_SYSTEM" >/dev/null || MISSING+=(qemu-system-x86)
    command -v gcc >/dev/null || MISSING+=(gcc)
    command -v cpp >/dev/null || MISSING+=(cpp)
    command -v ld >/dev/null || MISSING+=(binutils)
    # An absolute path if the file exists; host programs (build scripts) link with it.
    if ! command -v gcc >/dev/null || [[ $(gcc -print-file-name=crt1.o) != /* ]]; then
        MISSING+=(libc6-dev)
    fi
    command -v python3 >/dev/null || MISSING+=(python3)
    if { ! kernel_python_is_there || wants_report_python || wants_live_python; } && ! python3 -c 'import pip' 2>/dev/null; then
        MISSING+=(python3-pip)
    fi
    if wants_one_of --tests --debugger && ! gdb -nx -batch -ex 'python pass' >/dev/null 2>&1; then
        MISSING+=(gdb)
    fi
    if wants_one_of --tests; then
        # Which files are the project's; a copy of a checkout may come without it.
        command -v git >/dev/null || MISSING+=(git)
        command -v chromium >/dev/null || MISSING+=(chromium)
        command -v chromedriver >/dev/null || MISSING+=(chromium-driver)
    fi
    # Host tests with the words of the target, where the processor can run them.
    if [[ $WANTED == --tests && $(uname -m) == x86_64 ]] && ! gcc_links_32_bits; then
        MISSING+=(gcc-multilib)
    fi
    # With rustup there is hope of doing without it.
    if use_debian_rust && ! rustup_may_help && ! ldconfig_knows libLLVM.so.19; then
        MISSING+=(libllvm19)
    fi
}

# Whether this is what set-up was asked for.
wants_one_of() { [[ " $* " == *" $WANTED "* ]]; }

# Whether the packages that make a report, or show a stress run, are wanted and not there yet.
wants_report_python() {
    wants_one_of --tests --report && ! cmp -s "$REPORT_WANTS" "$REPORT_PYTHON/requirements.txt"
}
wants_live_python() {
    wants_one_of --tests --live && ! cmp -s "$LIVE_WANTS" "$LIVE_PYTHON/requirements.txt"
}

# install_python WHAT REQUIREMENTS FOLDER
install_python() {
    rm -rf "$3"
    mkdir -p "$(dirname "$3")"
    quietly "installing $1" \
        python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
        --require-hashes --target "$3" -r "$2" || return
    cp "$2" "$3/requirements.txt"
}

rustup_may_help() { [[ ${VMM_RUST:-auto} == auto ]] && command -v rustup >/dev/null; }

# pip is of no more use once it has brought what the kernel's build wants.
kernel_python_is_there() {
    cmp -s "$SCRIPTS/kernel/requirements.txt" "$BUILD/kernel/python/requirements.txt"
}

ldconfig_knows() { PATH=$PATH:/sbin:/usr/sbin ldconfig -p | grep "$1" >/dev/null; }

# Installs Debian packages; says which before it asks for root rights.
install_packages() {
    local -a as_root=()
    command -v apt-get >/dev/null || die "missing, and there is no apt-get to install them: $*"
    if ((EUID != 0)); then
        command -v sudo >/dev/null ||
            die "missing Debian packages; as root, run: apt-get install --no-install-recommends $*"
        say "root rights are needed to install: $*"
        sudo -v
        as_root=(sudo)
    fi
    update_package_lists "${as_root[@]}" apt-get
    quietly "installing missing packages: $*" "${as_root[@]}" \
        env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "$@"
}

# The Rust core library for the target: rustup's where that can be had, else Debian's.
find_target_rust() {
    use_debian_rust || return 0
    [[ ! -x $DEBIAN_RUST/usr/bin/rustc ]] || return 0
    if rustup_may_help; then
        if quietly "adding the Rust target $TARGET with rustup" \
            timeout 120 rustup target add "$TARGET" && installed_rust_has_target; then
            return 0
        fi
        say "that did not work: taking Debian's packages instead"
    fi
    ldconfig_knows libLLVM.so.19 || install_packages libllvm19
    "$SCRIPTS/debian-rust.sh" "$DEBIAN_RUST"
}

# A rustup that was installed minimally lacks what the tests call, and so does Debian's cargo.
find_rust_tools() {
    cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 && return
    if command -v rustup >/dev/null; then
        quietly "adding rustfmt and clippy with rustup" rustup component add rustfmt clippy
    elif [[ $(dpkg-query -W -f '${Status}' cargo-web 2>/dev/null) == "install ok installed" ]]; then
        install_packages rustfmt-web rust-web-clippy
    else
        die "cargo fmt or cargo clippy is missing: install them from where cargo is, or Rust from https://rustup.rs"
    fi
}

# check_rust: before anything is fetched or installed, as older ones fail at Cargo.lock, which comes
# much later.
check_rust() {
    local tool version least
    least=$(rust_version_of Cargo.toml)
    for tool in cargo rustc; do
        command -v "$tool" >/dev/null || die "$tool is missing: $(how_to_get_rust "$least")"
        version=$("$tool" --version) || die "$tool --version fails: $(how_to_get_rust "$least")"
        version=${version#* }
        is_at_least "$least" "${version%% *}" ||
            die "$tool is ${version%% *} ($(command -v "$tool")), too old: $(how_to_get_rust "$least")"
    done
}

how_to_get_rust() {
    echo "Rust $1 or newer is needed, from https://rustup.rs, or on Debian 12 by" \
        "apt-get install cargo-web rustc-web (in place of cargo and rustc)"
}

main() {
    WANTED=""
    spread_options "$@"
    set -- "${WORDS[@]}"
    while (($# > 0)); do
        case $1 in
            -h | --help) usage && exit ;;
            --tests | --debugger | --report | --live) WANTED=$1 ;;
            --arch) take_arch "${@:2}" && shift ;;
            *) usage_error "unknown option: $1" ;;
        esac
        shift
    done
    cd "$ROOT"
    check_rust
    find_missing_packages
    ((${#MISSING[@]} == 0)) || install_packages "${MISSING[@]}"
    find_target_rust
    ! wants_one_of --tests || find_rust_tools
    ! wants_report_python ||
        install_python "what makes a report (matplotlib, Jinja2)" "$REPORT_WANTS" "$REPORT_PYTHON"
    ! wants_live_python ||
        install_python "what shows a stress run on a terminal (rich)" "$LIVE_WANTS" "$LIVE_PYTHON"
    fetch_crates
    python3 "$SCRIPTS/kernel/build.py" --arch "$ARCH"
}

# Once for each Cargo.lock: so a later build needs no network.
fetch_crates() {
    cmp -s Cargo.lock "$BUILD/fetched.lock" && return
    quietly "fetching the crates that Cargo.lock names" cargo fetch --locked
    mkdir -p "$BUILD"
    cp Cargo.lock "$BUILD/fetched.lock"
}

main "$@"
