# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# The lane target: that all compiles as for the target, and the template with it.

target_clippy() {
    target_cargo "$1" "${TARGET_CLIPPY[@]}" "${TARGET_CRATES[@]}" --lib --bins --examples -- -D warnings
}

client_clippy() {
    target_cargo "$1" "${TARGET_CLIPPY[@]}" "${CLIENT_CRATES[@]}" --lib --bins -- -D warnings
}

# What the adapter has for today's kernels, its pacer too, and the server on it; then programs with
# all their runtime: against our bindings, as far as these stand in for rust-sel4's.
kernel_16_clippy() {
    local features=vmm/sel4,vmm/kernel-16,vmm-service/sel4
    choose_arch x86_64
    choose_target_rust
    CLIENTS='' target_cargo debug "${TARGET_CLIPPY[@]}" -p vmm -p vmm-service --lib \
        --features "$features" -- -D warnings || return
    features=vmm-client/alloc,vmm-client/kernel-16
    CLIENTS='' target_cargo debug "${TARGET_CLIPPY[@]}" "${CLIENT_CRATES[@]}" --lib --bins \
        --features "$features" -- -D warnings
}

# What rust-analyzer checks: everything at once, tests too. The generator of vmm.h is for the host alone:
# what it depends on asks `bitflags` for the standard library, which would bring its panic handler
# beside that of the programs.
target_all_targets() {
    target_cargo "$1" cargo check --workspace --exclude vmm-c-header --all-targets
}

# The folder template/, copied out with a link to the checkout, as README.md says.
copy_template() {
    TEMPLATE=$LOGS/template
    [[ -d $TEMPLATE ]] || cp -r "$ROOT/template" "$TEMPLATE" && ln -sfn "$ROOT" "$TEMPLATE/vmm"
}

# in_template CARGO...: a cargo command there, with the rustc for the target.
in_template() {
    env -C "$TEMPLATE" -u SEL4_PREFIX "${TARGET_ENV[@]}" "$@"
}

# In it cargo checks all there is, without options that a person or an editor would have to know.
template_checks() {
    copy_template || return
    in_template cargo check --locked || return
    in_template cargo check --locked --workspace --all-targets || return
    in_template "${TARGET_CLIPPY[@]}" --locked --all-targets -- -D warnings || return
    in_template cargo fmt --check || return
    # It links as the programs of the checkout do.
    ! grep -v '^#' "$SCRIPTS/target.toml" | grep -vxFf "$TEMPLATE/.cargo/config.toml"
}

# template_runs [OPTION]: `cargo run` boots it; success, failure and panic are its exit code.
template_runs() {
    local main=src/main.rs output=$LOGS/template.out
    copy_template && cp "$ROOT/template/$main" "$TEMPLATE/$main" || return
    in_template cargo run --locked "$@" -- --memory 64M | tee "$output" || return
    plain_lines <"$output" | grep -E '^found 0 at 0x[0-9a-f]+, left 42 there$' >/dev/null || return
    sed -i 's/ExitCode::Success)/ExitCode::Failure)/' "$TEMPLATE/$main"
    exits_with 1 in_template cargo run --locked "$@" || return
    sed -i 's/exit(ExitCode::Failure)/panic!("{:?}", ExitCode::Failure)/' "$TEMPLATE/$main"
    exits_with 1 in_template cargo run --locked "$@" | tee "$output" || return
    plain_lines <"$output" | grep -E "^panicked at $main" >/dev/null || return
    # An error is told in words.
    sed -i 's/RegionOptions::new(16)/RegionOptions::new(usize::MAX)/' "$TEMPLATE/$main"
    exits_with 1 in_template cargo run --locked "$@" | tee "$output" || return
    plain_lines <"$output" | grep -E "main failed: no hole of [0-9]+ pages aligned" >/dev/null || return
    # 64 MiB are no less to be had than 64 KiB; without the option for that, the error names it.
    cp "$ROOT/template/$main" "$TEMPLATE/$main"
    sed -i 's/RegionOptions::new(16)/RegionOptions::new(16384)/' "$TEMPLATE/$main"
    in_template cargo run --locked "$@" || return
    sed -i 's/\.clear_when_needed()//' "$TEMPLATE/$main"
    exits_with 1 in_template cargo run --locked "$@" | tee "$output" || return
    cp "$ROOT/template/$main" "$TEMPLATE/$main"
    plain_lines <"$output" |
        grep -E "main failed: [0-9]+ bytes must be cleared first.*Vmm::clear\([0-9]+\).*clear_when_needed" >/dev/null
}

target_docs() {
    RUSTDOCFLAGS="-D warnings" "$SCRIPTS/doc.sh" --arch "$ARCH" && [[ -s $(doc_start) ]]
}

# Linked, which clippy does not try.
all_programs() {
    target_cargo "$1" cargo build --release -p roottask --bins --examples
}

target_lane() {
    local kernel
    for kernel in "${KERNELS[@]}"; do
        check "clippy, target, $kernel kernel" target_clippy "$kernel"
        check "clippy, clients, $kernel kernel" client_clippy "$kernel"
        check "all programs build, $kernel kernel" all_programs "$kernel"
    done
    check "documentation, target" target_docs
    check "cargo check --workspace --all-targets, target" target_all_targets debug
    check "the template, copied out: check, clippy" template_checks
    check "the template, copied out: cargo run" template_runs
}
