#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Says what a user of the memory crates would have to change since a revision.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Those whose public interface others build on, and which need no kernel.
CRATES=(growing-heap page-tables untyped-alloc vmm vmm-client vmm-service)

usage() {
    cat <<EOF
Usage: ${0##*/} [--since REVISION] [CRATE...]

Compares the public interfaces of the crates, or of all of ${CRATES[*]},
with those of a revision, by cargo-semver-checks, and fails for a change that the versions in Cargo.toml
do not allow. They are compared without the features that want a kernel. Where cargo-semver-checks cannot
be had, that is said and the exit code is 0.

Options:
  --since REVISION  a commit or tag of git (default: the last tag, or without one the commit before)
  -h, --help        this text
EOF
}

skip() {
    say "skipped: $*"
    exit 0
}

# The last tag that this commit comes after, else the commit before this one.
last_revision() {
    git describe --tags --abbrev=0 HEAD^ 2>/dev/null || git rev-parse --verify --quiet 'HEAD^' || true
}

main() {
    local since=""
    local -a crates=()
    spread_options "$@"
    set -- "${WORDS[@]}"
    while (($# > 0)); do
        case $1 in
            -h | --help) usage && exit ;;
            --since) take "$1" "a commit or tag of git" "${@:2}" && since=$VALUE && shift ;;
            -*) usage_error "unknown option: $1" ;;
            *)
                [[ " ${CRATES[*]} " == *" $1 "* ]] || usage_error "no such crate: $1: there are ${CRATES[*]}"
                crates+=("$1")
                ;;
        esac
        shift
    done
    ((${#crates[@]} > 0)) || crates=("${CRATES[@]}")
    cd "$ROOT"
    if [[ -n $since ]]; then
        git rev-parse --verify --quiet "$since^{commit}" >/dev/null ||
            usage_error "--since: not known to git: '$since': it takes a commit or tag of git"
    fi
    cargo semver-checks --version >/dev/null 2>&1 ||
        skip "there is no cargo-semver-checks (cargo install cargo-semver-checks --locked)"
    since=${since:-$(last_revision)}
    [[ -n $since ]] || skip "there is no commit before this one"
    say "compared with $since"
    # It makes packages of its own that depend on these, to which the root's manifest says nothing: what
    # that puts in the place of `sel4` is said once more, in the settings of the folder that cargo is in.
    mkdir -p "$BUILD/semver/.cargo"
    printf '[patch.crates-io]\nsel4 = { path = "%s" }\n' "$ROOT/sel4" >"$BUILD/semver/.cargo/config.toml"
    cd "$BUILD/semver"
    exec cargo semver-checks --manifest-path "$ROOT/Cargo.toml" --baseline-rev "$(git rev-parse "$since")" \
        --default-features "${crates[@]/#/--package=}"
}

main "$@"
