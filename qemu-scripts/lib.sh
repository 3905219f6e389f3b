# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# What the scripts of this folder share: where things lie, how to say and to fail, and how
# cargo is called for the target. Sourced, never run.

# shellcheck disable=SC2034 # some of what is set here is for the scripts that source it

SCRIPTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(dirname "$SCRIPTS")
BUILD=$ROOT/build
# What makes a report, and what shows a stress run on a terminal; what is to be there.
REPORT_PYTHON=$BUILD/report/python REPORT_WANTS=$SCRIPTS/report/requirements.txt
LIVE_PYTHON=$BUILD/live/python LIVE_WANTS=$SCRIPTS/live-requirements.txt
# Debian's Rust, unpacked; used where the installed Rust has no core library for the target.
DEBIAN_RUST=$BUILD/rust-debian
RUST_CHOICES="auto debian"
# For target_cargo; a variable of the caller's with this name means something else.
unset CLIENTS

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
    say "$*"
    exit 1
}

# shellcheck source=options.sh
source "$SCRIPTS/options.sh"

# choose_arch ARCH: sets ARCH, its name for people, what programs for it are compiled for (TARGET), and
# what it is booted with (QEMU_SYSTEM).
choose_arch() {
    case $1 in
        ia32)
            TARGET=i686-unknown-linux-gnu ARCH_NAME=IA32 QEMU_SYSTEM=qemu-system-i386
            ;;
        x86_64)
            TARGET=x86_64-unknown-linux-gnu ARCH_NAME=x86_64 QEMU_SYSTEM=qemu-system-x86_64
            ;;
        *) usage_error "--arch: not an architecture: '$1': it is one of ia32, x86_64" ;;
    esac
    ARCH=$1
}

# attend COMMAND...: runs it, and if a signal is to end this script, ends it first. A shell that has a
# command in the foreground looks at signals only when that has ended. SIGNALS says which; what the
# command gets is SIGTERM.
attend() {
    local status=0 signal
    ATTENDED='' CAME=''
    # From before there is something to end, or a signal at that moment would end this script alone. Once:
    # while a trap is replaced, the shell has the signal ignored.
    for signal in ${SIGNALS-INT TERM HUP}; do
        # shellcheck disable=SC2064 # the signal of now
        trap "end_attended $signal" "$signal"
    done
    # In the background, but with the terminal, and with SIGINT, which a shell has ignored there.
    { env --default-signal=INT "$@" <&4 4<&- & } 4<&0
    ATTENDED=$!
    [[ -z $CAME ]] || end_attended "$CAME"
    # Another signal, which does not end this script, interrupts it.
    while :; do
        status=0
        wait "$ATTENDED" || status=$?
        kill -0 "$ATTENDED" 2>/dev/null || break
    done
    # shellcheck disable=SC2086 # words
    trap - ${SIGNALS-INT TERM HUP}
    return "$status"
}

# end_attended SIGNAL: ends what is attended to, and this script by the signal. Before that has started, it
# only notes the signal in CAME.
end_attended() {
    CAME=$1
    [[ -n $ATTENDED ]] || return 0
    trap '' INT TERM HUP
    # A shell that is still to become the command has traps of this one, and would forget the signal.
    while cmp -s "/proc/$ATTENDED/cmdline" "/proc/$$/cmdline" 2>/dev/null; do
        sleep 0.01
    done
    kill "$ATTENDED" 2>/dev/null || true
    # Without what a shell says of a process that a signal ended.
    { wait "$ATTENDED" || true; } 2>/dev/null
    # A shell that had a trap for a signal does what it has for its exit no more when that kills it.
    local signal=$1
    eval "set -- $(trap -p EXIT)"
    eval "${3-:}"
    trap - EXIT "$signal"
    kill -s "$signal" $$
}

# Sets NAMELESS to the path of a new file that has no name, so that it goes when this script ends,
# whatever ends it.
make_nameless_file() {
    local name
    mkdir -p "$BUILD"
    name=$(mktemp "$BUILD/output.XXXXXX")
    exec {NAMELESS}<>"$name"
    rm -f "$name"
    NAMELESS=/dev/fd/$NAMELESS
}

# quietly WHAT COMMAND...: says WHAT, runs the command, shows its output only if it fails.
quietly() {
    local what=$1 output status=0
    shift
    say "$what"
    output=$("$@" 2>&1 </dev/null) || status=$?
    if ((status != 0)); then
        printf '%s\n' "$output" >&2
        say "failed with exit code $status: $*"
    fi
    return "$status"
}

# update_package_lists APT-GET...: a repository that cannot be reached is no harm as long as
# the packages are found afterwards, so it is only mentioned.
update_package_lists() {
    say "updating package lists ($*)"
    "$@" -q update >/dev/null 2>&1 </dev/null ||
        say "some package lists could not be fetched; going on with those that could"
}

# make_package_lists FOLDER ARCHITECTURE...: lists of Debian's packages for these, apart from the system's:
# `apt-get -c FOLDER/apt.conf` goes by them. No root rights are needed.
make_package_lists() {
    local folder=$1 architecture
    shift
    mkdir -p "$folder/state/lists/partial" "$folder/cache/archives/partial"
    {
        cat <<EOF
APT::Architecture "$1";
#clear APT::Architectures;
APT::Sandbox::User "";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Acquire::Languages "none";
Dir::State "$folder/state";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "$folder/cache";
Debug::NoLocking "true";
EOF
        for architecture; do
            echo "APT::Architectures { \"$architecture\"; };"
        done
    } >"$folder/apt.conf"
    update_package_lists apt-get -c "$folder/apt.conf"
}

# Whether the installed Rust brings the core library for the target.
installed_rust_has_target() {
    local libraries core
    libraries=$(cd "$ROOT" && rustc --print target-libdir --target "$TARGET" 2>/dev/null) || return 1
    for core in "$libraries"/libcore-*.rlib; do
        [[ -e $core ]] && return 0
    done
    return 1
}

# Whether programs for the host can have words of 32 bits: gcc-multilib is there.
gcc_links_32_bits() {
    local folder status=0
    folder=$(mktemp -d)
    gcc -m32 -x c - -o "$folder/nothing" <<<'int main(void) { return 0; }' 2>/dev/null &&
        "$folder/nothing" || status=$?
    rm -rf "$folder"
    return "$status"
}

# VMM_RUST=debian forces Debian's Rust, to try that way where the other one works.
use_debian_rust() {
    case ${VMM_RUST:-auto} in
        auto) ! installed_rust_has_target ;;
        debian) return 0 ;;
        *) die "VMM_RUST=$VMM_RUST is not one of: $RUST_CHOICES" ;;
    esac
}

# Sets TARGET_ENV, what `env` needs for target builds, and TARGET_CLIPPY, how clippy is called.
# Flags of the user's own are unset: they would replace those of target.toml.
choose_target_rust() {
    TARGET_ENV=(-u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS -u CARGO_TARGET_DIR)
    TARGET_CLIPPY=(cargo clippy)
    if use_debian_rust; then
        local bin=$DEBIAN_RUST/usr/bin
        [[ -x $bin/rustc ]] || die "no Rust for $TARGET: run $SCRIPTS/setup.sh"
        TARGET_ENV+=(
            "RUSTC=$bin/rustc" "RUSTDOC=$bin/rustdoc"
            "LD_LIBRARY_PATH=$DEBIAN_RUST/usr/lib/x86_64-linux-gnu"
        )
        TARGET_CLIPPY=("$bin/cargo-clippy" clippy)
    fi
}

# What programs for the target are compiled with. After choose_target_rust.
# shellcheck disable=SC2016 # expanded by the inner shell
target_rustc_version() { env -C "$ROOT" "${TARGET_ENV[@]}" bash -c '"${RUSTC:-rustc}" --version'; }

# kernel_version KERNEL: the version of its sources.
kernel_version() {
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["version"])' \
        "$BUILD/kernel/$ARCH/$1/interface.json"
}

qemu_version() { "$QEMU_SYSTEM" --version | sed -n '1s/^QEMU emulator version //p'; }

# target_folder KERNEL: where cargo puts what it builds for the architecture and one kernel flavour.
# Each has a folder of its own, as the kernel's interface goes into the bindings.
target_folder() { echo "$BUILD/target-$ARCH-$1"; }

# Where the documentation begins that doc.sh builds.
doc_start() { echo "$(target_folder debug)/$TARGET/doc/vmm/index.html"; }

# target_cargo KERNEL COMMAND...: runs a cargo command (`cargo build`, "${TARGET_CLIPPY[@]}")
# for the target and one kernel flavour.
#
# The client programs that travel in the images of what is built (CLIENTS, all of them if that is not
# set) are built before anything else, with their symbols; root tasks take in copies without.
target_cargo() {
    local kernel=$1 sub=$2 verb=$3 folder client
    folder=$(target_folder "$kernel")
    local built=$folder/$TARGET/client
    local config=$SCRIPTS/target.toml
    # The benchmark is compared with results of programs without frame pointers. Said twice, the option
    # is not taken back.
    if [[ -n ${VMM_WITHOUT_FRAME_POINTERS-} ]]; then
        config=$folder/without-frame-pointers.toml
        mkdir -p "$folder"
        grep -v force-frame-pointers "$SCRIPTS/target.toml" >"$config"
    fi
    local common=(--config "$config" --target "$TARGET" --target-dir "$folder")
    local -a clients bins=() fast=()
    # shellcheck disable=SC2206 # words
    clients=(${CLIENTS-$(list_clients)})
    # What is measured runs on the release kernel. Without a look at the whole program, linking takes a
    # quarter of the time.
    [[ $kernel != debug ]] || fast=(CARGO_PROFILE_RELEASE_LTO=off)
    shift 3
    (
        cd "$ROOT" || exit
        export SEL4_PREFIX=$BUILD/kernel/$ARCH/$kernel VMM_CLIENTS=$built/stripped
        for client in "${clients[@]}"; do
            bins+=(--bin "$client")
        done
        if ((${#bins[@]} > 0)); then
            env "${TARGET_ENV[@]}" "${fast[@]}" cargo build --quiet --profile client -p vmm-clients "${bins[@]}" \
                "${common[@]}" || exit
            strip_clients "$built" "${clients[@]}" || exit
        fi
        env "${TARGET_ENV[@]}" "${fast[@]}" "$sub" "$verb" "${common[@]}" "$@"
    )
}

# strip_clients FOLDER CLIENT...: copies that are new only where the program is, or every build would
# build the root tasks again.
strip_clients() {
    local folder=$1 client
    shift
    mkdir -p "$folder/stripped"
    for client; do
        [[ $folder/stripped/$client -nt $folder/$client ]] ||
            strip --strip-all -o "$folder/stripped/$client" "$folder/$client" || return
    done
}

# The names of the client programs.
list_clients() { list_bins "$ROOT/roottask/clients/src/bin"; }

# clients_of PROGRAM: the client programs that a root task takes into its image.
clients_of() {
    local bin=$ROOT/roottask/src/bin
    grep -rhoE 'env!\("VMM_CLIENTS"\), "/[^"]+"' "$bin/$1.rs" "$bin/$1/" 2>/dev/null |
        sed -E 's/.*"\/(.*)"/\1/' | sort -u
}

# The names of the root tasks.
list_programs() { list_bins "$ROOT/roottask/src/bin"; }

# list_bins FOLDER: the programs that cargo finds there.
list_bins() {
    local path
    for path in "$1"/*.rs "$1"/*/main.rs; do
        [[ -e $path ]] || continue
        path=${path%/main.rs}
        basename "$path" .rs
    done
}

# build_program KERNEL PROFILE PROGRAM [CLIENT...]: builds a root task, with the clients that travel in its
# image and those that are named, and sets PROGRAM_ELF.
build_program() {
    local kernel=$1 profile=$2 program=$3 folder=$2
    [[ $profile == dev ]] && folder=debug
    say "building $program for the $kernel kernel on $ARCH"
    CLIENTS="$(clients_of "$program") ${*:4}" target_cargo "$kernel" cargo build --quiet --profile "$profile" -p roottask --bin "$program" ||
        die "building $program failed"
    PROGRAM_ELF=$(target_folder "$kernel")/$TARGET/$folder/$program
}

# Serial output as plain lines. (The debug kernel puts its carriage returns after the line
# feeds, so that one stands before the root task's first word.)
plain_lines() { sed -u 's/\r//g'; }

# matches_in_order EXPECTED OUTPUT: whether the extended regular expressions of EXPECTED, one
# a line, match lines of OUTPUT in this order (others may lie between). Empty lines and those
# that start with '#' are not expectations. Says which one is missing first.
matches_in_order() {
    local expected=$1 output=$2 line pattern=0
    local -a patterns
    mapfile -t patterns < <(grep -Ev '^(#|$)' "$expected")
    if ((${#patterns[@]} == 0)); then
        say "$expected expects nothing"
        return 1
    fi
    while IFS= read -r line || [[ -n $line ]]; do
        if [[ $line =~ ${patterns[pattern]} ]]; then
            pattern=$((pattern + 1))
            ((pattern < ${#patterns[@]})) || return 0
        fi
    done < <(plain_lines <"$output")
    say "missing from the output: ${patterns[pattern]}"
    return 1
}

# rust_version_of MANIFEST: the least that a package says it needs.
rust_version_of() { sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$1"; }

# is_at_least LEAST VERSION: such as 1.85 and 1.100.0-nightly. What is no version is taken for a new one.
is_at_least() {
    local least_minor=${1#*.} major minor
    [[ $2 =~ ^([0-9]+)\.([0-9]+) ]] || return 0
    major=${BASH_REMATCH[1]} minor=${BASH_REMATCH[2]}
    ((major > ${1%%.*} || (major == ${1%%.*} && minor >= least_minor)))
}

choose_arch ia32
