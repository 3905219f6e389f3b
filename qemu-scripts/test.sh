#!/usr/bin/env bash
# Sets up and runs every check: formatting, lints, host tests, documentation, and the guest
# in QEMU. A check that fails does not stop the others. The last line counts tests.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<EOF
Usage: ${0##*/} [LANE...]

Runs all checks, or those of the lanes named: ${LANES[*]}, and by name only: ${OTHER_LANES[*]}. The last line is "N passed, N failed"; the exit code is 0 if nothing failed.
A test of the host suites, a test in the guest, a boot of the demo, and each of the other
checks (formatting, clippy, documentation ...) count as one test.
EOF
}

LANES=(host thorough target script qemu x86_64 bench stress)
# Only by name: it downloads what no other needs.
OTHER_LANES=(oldest)
KERNELS=(debug release)
MEMORIES=(32M 512M 2G)
# Programs that say by their exit code alone whether all was well.
PROGRAMS=(hello recipes upstream-spawn-thread dump-demo)
GUEST_TIMEOUT=300
# Short stress runs, on the kernels in turn.
STRESS_SEEDS=(1 2 3)
STRESS_OPERATIONS=8000
# The crates that are built for the target alone.
TARGET_CRATES=(
    -p sel4 -p sel4-mem -p sel4-root-task -p vmm-service -p roottask -p vmm-c --features vmm-c/sel4
)
# Client programs bring a panic handler of their own: built together with root tasks, the features
# of the one would be in the other.
CLIENT_CRATES=(-p vmm-client -p vmm-clients)
# Root tasks that tell what they do, and what they must tell (NAME.expected).
TOLD_PROGRAMS=(service-demo fault-demo)

# Mistakes that must end a program, and what must be said of each.
declare -A ENDINGS=(
    [locked-twice]='^the manager is locked by the thread that has it already'
    [touched-under-lock]='^a thread \(badge 1\) has the manager locked and faulted: Write'
    [guard-hit-under-lock]='^a thread \(badge 1\) has the manager locked and faulted: Write'
    [pager-calls-under-lock]='^a pager \(badge 1\) has the manager locked and called the fault handler'
    [policy-locks]='^the manager is locked by the thread that has it already'
    [policy-faults]='^the thread "fault handler", which answers faults, has faulted itself: Write 0x120,'
    [policy-overflows]='^the thread "fault handler", which answers faults, has used up its stack of 32768 bytes'
    [policy-raises]='^the thread "fault handler", which answers faults, has faulted itself: Exception .*number: 6'
    [main-overflowed-before]='main failed: .*the first stack was used up: its [0-9]+ bytes are too few$'
    [main-overflows]='is [0-9]+ bytes below the stack of main: its guard$'
)

# Root tasks in C, below vmm/c/, and what each must print.
declare -A C_PROGRAMS=(
    [example/main.c]='^a guard page: 0x[0-9a-f]+ is a guard page$'
    [tests/requests.c]='^requests: passed$'
)

# What may differ between two runs: numbers, with what they are padded with, and lists of them.
NUMBERS='s/ +[0-9]+x2\^[0-9]+//g; s/ *(0x[0-9a-f]+|[0-9]+)/ #/g'

PASSED=0 FAILED=0
# The names of what failed, for the end of a long output.
FAILURES=()

pass() {
    echo "test $1 ... ok"
    PASSED=$((PASSED + 1))
}

fail() {
    echo "test $1 ... FAILED"
    FAILED=$((FAILED + 1))
    FAILURES+=("$1")
}

# count_failures LOG FAILED: those of a suite that counts its own tests, which its log names.
count_failures() {
    local name
    FAILED=$((FAILED + $2))
    while read -r name; do
        FAILURES+=("$name")
    done < <(sed -nE 's/^test (.+) \.\.\. FAILED\r?$/\1/p' "$1")
}

# check NAME COMMAND...: one test; what the command printed is shown if it fails.
check() {
    local name=$1 log=$LOGS/check
    shift
    if ("$@") >"$log" 2>&1 </dev/null; then
        pass "$name"
    else
        cat "$log"
        fail "$name"
    fi
}

# As check, for what needs tools that are not everywhere: where its output says that it was skipped,
# it counts neither way.
check_if_possible() {
    local name=$1 log=$LOGS/check skipped
    shift
    if ! ("$@") >"$log" 2>&1 </dev/null; then
        cat "$log"
        fail "$name"
    elif skipped=$(grep -F ': skipped: ' "$log"); then
        echo "test $name ... skipped ($skipped)"
    else
        pass "$name"
    fi
}

host_clippy() {
    cargo clippy --all-targets -- -D warnings && cargo clippy -p vmm-c-header -- -D warnings
}
host_docs() { RUSTDOCFLAGS="-D warnings" cargo doc --no-deps; }

# Set-up leaves Cargo.lock alone, and so must every build.
lock_is_current() { cargo metadata --locked --format-version 1 >/dev/null; }

target_clippy() {
    target_cargo "$1" "${TARGET_CLIPPY[@]}" "${TARGET_CRATES[@]}" --lib --bins --examples -- -D warnings
}

client_clippy() {
    target_cargo "$1" "${TARGET_CLIPPY[@]}" "${CLIENT_CRATES[@]}" --lib --bins -- -D warnings
}

# told_program NAME [OPTION]: a root task that tells all that it must.
told_program() {
    local name=$1 output=$LOGS/told
    shift
    "$SCRIPTS/run.sh" "$name" "$@" 2>&1 | tee "$output" || return
    matches_in_order "$SCRIPTS/$name.expected" "$output"
}

# c_program NAME [OPTION]: a root task in C that compiles without a warning and succeeds, saying so.
c_program() {
    local name=$1 program=$LOGS/program.elf output=$LOGS/c
    shift
    "$SCRIPTS/cc.sh" "$@" -o "$program" -Wall -Wextra -Werror -pedantic "$ROOT/vmm/c/$name" || return
    "$SCRIPTS/run.sh" "$program" "$@" 2>&1 | tee "$output" || return
    plain_lines <"$output" | grep -E -e "${C_PROGRAMS[$name]}" >/dev/null
}

# c_programs KERNEL [OPTION]: all of them on one kernel, named for people.
c_programs() {
    local kernel=$1 name
    shift
    for name in "${!C_PROGRAMS[@]}"; do
        check "C, $name, $kernel" c_program "$name" "$@"
    done
}

# ends_saying WORDS CASE [OPTION]: a mistake ends the program `endings` with a failure (it does not
# hang), and with these words.
ends_saying() {
    local words=$1 case=$2 output=$LOGS/ending status=0
    shift 2
    "$SCRIPTS/run.sh" endings --timeout 30 "$@" -- "$case" >"$output" 2>&1 || status=$?
    cat "$output"
    ((status == 1)) || return
    plain_lines <"$output" | grep -Fx "endings: $case" >/dev/null || return
    plain_lines <"$output" | grep -E -e "$words" >/dev/null
}

# READING.md explains lines that dump-demo prints: each of its examples, but for the numbers.
reading_shows_dump_demo() {
    local told=$LOGS/told shown=$LOGS/shown
    "$SCRIPTS/run.sh" dump-demo | plain_lines | sed -E "$NUMBERS" >"$told" || return
    # shellcheck disable=SC2016 # backquotes of Markdown
    sed -n '/^## The dump of an address space/,/^## The stress report/p' READING.md |
        sed -n '/^```text$/,/^```$/p' | grep -Ev '^```|of 2\^.* from slot' | sed -E "$NUMBERS" >"$shown"
    (($(wc -l <"$shown") > 30)) || return
    ! grep -vxFf "$told" "$shown"
}

# The debugger reads of a stopped program what the program tells of itself: regions, untypeds, slots.
# A moment earlier it must read something else, or this comparison could not fail.
debugger_agrees() {
    local told=$LOGS/told read=$LOGS/read
    "$SCRIPTS/debug.sh" dump-demo --commands "$SCRIPTS/dump-demo.gdb" --output "$told" "$@" |
        tee "$read" || return
    local shown='/^-- dump of space 1$/,/^-- statistics$/p'
    plain_lines <"$told" | sed -n "$shown" >"$told.shown"
    sed -n '/^-- too early$/,/^-- in time$/p' "$read" | sed -n "$shown" >"$read.early"
    sed -n '/^-- in time$/,$p' "$read" | sed -n "$shown" >"$read.shown"
    echo "$(wc -l <"$told.shown") lines told, of which $(grep -c ' pages, ' "$told.shown") are regions"
    [[ -s $told.shown && -s $read.early ]] || return
    diff "$told.shown" "$read.shown" || return
    ! diff "$told.shown" "$read.early"
}

# It reads the root task's memory also when the processor is in the kernel, in another's address space.
debugger_in_a_client() {
    local commands=$LOGS/commands read=$LOGS/read
    cat >"$commands" <<'EOF'
python gdb.execute(f"break c_handle_syscall if $cr3 != {Program.cr3}")
continue
vmm spaces
vmm regions 3
EOF
    "$SCRIPTS/debug.sh" service-demo --commands "$commands" --output /dev/null "$@" | tee "$read" || return
    # The root task's space and three clients'; of one of these its stack.
    [[ $(grep -c '^space [1-4]: [0-9]* pages mapped.* root in slot' "$read") == 4 ]] || return
    grep -q '  rw .* pages, .* mapped, guards 1+1  Stack "taker"$' "$read"
}

# Some 400 bytes of arguments, the last of which names the one test.
arguments_are_whole() {
    local output=$LOGS/arguments filters test=runtime::a_segment_leads_to_the_ipc_buffer
    filters=$(printf 'none%02d ' {1..60})
    # shellcheck disable=SC2086 # words
    "$SCRIPTS/run.sh" guest-tests -- $filters "$test" 2>&1 | plain_lines | tee "$output" || return
    grep -qFx "test $test ... ok" "$output" && grep -qFx "guest-tests: 1 passed, 0 failed" "$output"
}

# By a link, so that there is nothing to be built again but what knows its path.
boots_below() {
    local folder=$LOGS/$1
    mkdir -p "$folder" && ln -sfn "$ROOT" "$folder/checkout" || return
    "$folder/checkout/qemu-scripts/run.sh" hello
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
    cp "$ROOT/template/$main" "$TEMPLATE/$main"
    plain_lines <"$output" | grep -E "main failed: no hole of [0-9]+ pages aligned" >/dev/null
}

target_docs() {
    RUSTDOCFLAGS="-D warnings" "$SCRIPTS/doc.sh" --arch "$ARCH" && [[ -s $(doc_start) ]]
}

# A root task needs the clients that it names and no others; the instruction of a client's fault has the
# name of its function in the copy with symbols, and the copy that travels has none.
clients_are_those_named() {
    [[ -z $(clients_of hello) && $(clients_of stress) == busy ]] || return
    [[ $(clients_of service-demo | wc -l) == 6 ]] || return
    local clients instruction
    clients=$(target_folder debug)/$TARGET/client
    instruction=$("$SCRIPTS/run.sh" service-demo | plain_lines |
        sed -n 's/^rogue: page fault, writing .*, instruction at //p')
    echo "the instruction at $instruction"
    addr2line -Cfipe "$clients/rogue" "$instruction" | tee "$LOGS/line"
    grep -F 'rogue::wild_write at ' "$LOGS/line" && [[ -z $(nm "$clients/stripped/rogue" 2>/dev/null) ]]
}

# Linked, which clippy does not try.
all_programs() {
    target_cargo "$1" cargo build --release -p roottask --bins --examples
}

exits_with() {
    local wanted=$1 status=0
    shift
    "$@" || status=$?
    echo "exit code $status, wanted $wanted: $*"
    ((status == wanted))
}

# The judge of the demo itself: it must accept the whole conversation and no less.
demo_check_works() {
    local expected=$LOGS/expected output=$LOGS/output
    printf '%s\n' '# comment' '^first\(\)$' '^second$' >"$expected"
    printf '%s\n' 'noise' $'\rfirst()' 'noise' 'second' >"$output"
    matches_in_order "$expected" "$output" || return
    printf '%s\n' 'second' 'first()' >"$output"
    ! matches_in_order "$expected" "$output" || return
    ! matches_in_order "$SCRIPTS/ipc-demo.expected" /dev/null
}

# The judge of the numbers must miss one that no test names, and find one that there is not.
numbers_check_works() {
    local folder=$LOGS/numbers
    mkdir -p "$folder/tests"
    printf '%s\n' '- **A1** one' '- **I1** two' >"$folder/MODEL.md"
    printf '%s\n' '//! Checks A1–I1.' '/// A1, I1.' >"$folder/tests/both.rs"
    python3 "$SCRIPTS/model_numbers.py" "$folder/MODEL.md" "$folder/tests" || return
    echo '- **A2** three' >>"$folder/MODEL.md"
    exits_with 1 python3 "$SCRIPTS/model_numbers.py" "$folder/MODEL.md" "$folder/tests" || return
    echo '/// A2, A3.' >"$folder/tests/more.rs"
    exits_with 1 python3 "$SCRIPTS/model_numbers.py" "$folder/MODEL.md" "$folder/tests"
}

# The judge of LICENSES.md must miss a crate that has no row, and one whose licence is another.
licenses_check_works() {
    local list=$LOGS/licenses
    # shellcheck disable=SC2016 # backquotes of Markdown
    grep -v '^| `elf` ' LICENSES.md >"$list"
    exits_with 1 python3 "$SCRIPTS/licenses.py" --list "$list" || return
    sed 's/^| `elf` | [^|]*|/| `elf` | GPL-3.0-only |/' LICENSES.md >"$list"
    exits_with 1 python3 "$SCRIPTS/licenses.py" --list "$list"
}

# The judge of RECIPES.md must miss a recipe, and notice that one is another.
recipes_check_works() {
    local page=$LOGS/recipes
    sed 's/0xb_8000/0xb_0000/' RECIPES.md >"$page"
    exits_with 1 python3 "$SCRIPTS/recipes.py" "$page" || return
    # shellcheck disable=SC2016 # backquotes of Markdown
    sed '/^`.*dma.rs`$/d' RECIPES.md >"$page"
    exits_with 1 python3 "$SCRIPTS/recipes.py" "$page"
}

# The program that the README shows is one that is compiled and booted.
readme_shows_hello() {
    # shellcheck disable=SC2016 # backquotes of Markdown
    diff <(grep -v '^// SPDX' "$ROOT/roottask/src/bin/hello.rs") <(sed -n '/^```rust$/,/^```$/p' README.md | sed '1d;$d')
}

# Each host test counts. The enumeration of short sequences gets a minute, half of it for either
# architecture.
host_tests() {
    local log=$LOGS/host status=0 passed failed
    SMALL_SCOPE_SECONDS=30 cargo test --no-fail-fast 2>&1 </dev/null | tee "$log" || status=$?
    read -r passed failed < <(
        awk '/^test result:/ { p += $4; f += $6 } END { print p + 0, f + 0 }' "$log"
    )
    PASSED=$((PASSED + passed))
    count_failures "$log" "$failed"
    # Such as a test that does not compile, or one that took its whole process with it.
    ((status == 0 || failed > 0)) || fail "cargo test (exit code $status)"
    ((passed + failed > 0)) || fail "cargo test (no test ran)"
}

# The host tests again, on words of 32 bits, as the crates run on. The enumerations are short here.
host_tests_32() {
    if ! installed_rust_has_target; then
        say "skipped: the installed Rust has no library for $TARGET"
    elif ! gcc_links_32_bits; then
        say "skipped: gcc cannot make programs of 32 bits here"
    else
        SMALL_SCOPE_SECONDS=2 cargo test --no-fail-fast --target "$TARGET" --target-dir "$BUILD/host32"
    fi
}

# guest_tests KERNEL [OPTION]: each test in the guest counts, and its closing line must agree.
guest_tests() {
    local kernel=$1 log=$LOGS/guest status=0 passed failed
    shift
    "$SCRIPTS/run.sh" guest-tests --timeout "$GUEST_TIMEOUT" "$@" 2>&1 | plain_lines | tee "$log" ||
        status=$?
    passed=$(grep -cE '^test .+ \.\.\. ok$' "$log") || true
    failed=$(grep -cE '^test .+ \.\.\. FAILED$' "$log") || true
    PASSED=$((PASSED + passed))
    count_failures "$log" "$failed"
    grep -qFx "guest-tests: $passed passed, $failed failed" "$log" ||
        fail "guest-tests, $kernel kernel (closing line missing or wrong)"
    ((status == 0 || failed > 0)) || fail "guest-tests, $kernel kernel (exit code $status)"
    ((passed + failed > 0)) || fail "guest-tests, $kernel kernel (no test ran)"
}

# The host suites as a release build takes them: where a debug assertion ends a test, or an overflow
# check, something worse may come next without it. The enumerations are short here.
host_tests_unchecked() {
    SMALL_SCOPE_SECONDS=2 cargo test --profile unchecked --no-fail-fast
}

host_lane() {
    check "Cargo.lock is current" lock_is_current
    check "formatting" cargo fmt --all --check
    check "formatting, fuzz targets" cargo fmt --manifest-path tests/fuzz/Cargo.toml --check
    check "clippy, host" host_clippy
    check "vmm.h is what the sources make" cargo run --quiet -p vmm-c-header
    host_tests
    check "documentation, host" host_docs
}

# With the oldest Rust that is supported, Debian's, which is unpacked below build/ (100 MB) if it is not
# there. Compiled in folders of its own, so that the other lanes need not compile again.
oldest_lane() {
    check "set-up with Rust 1.85" env VMM_RUST=debian "$SCRIPTS/setup.sh"
    check "a program built with Rust 1.85 boots" oldest_rust_boots
    check "the target compiles with Rust 1.85" oldest_rust_compiles
}

# use_oldest_rust: from here on, in a subshell.
use_oldest_rust() {
    export VMM_RUST=debian
    choose_target_rust
    target_rustc_version | tee "$LOGS/oldest" || return
    grep -F "rustc $(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)." "$LOGS/oldest" >/dev/null || return
    target_folder() { echo "$BUILD/target-oldest-$ARCH-$1"; }
}

oldest_rust_boots() {
    use_oldest_rust || return
    build_program debug release hello || return
    "$SCRIPTS/run.sh" "$PROGRAM_ELF"
}

oldest_rust_compiles() {
    use_oldest_rust || return
    target_cargo debug cargo check --quiet --release "${TARGET_CRATES[@]}" --lib --bins
}

# Each for as long as a change should have to wait; README.md says how to run them for longer.
thorough_lane() {
    local target
    for target in addresses alloc_ops service_ops service_ops-unchecked slots_state state vmm_ops; do
        check_if_possible "fuzzing $target" "$SCRIPTS/fuzz.sh" "$target" --seconds 15
    done
    check "host tests without debug assertions" host_tests_unchecked
    check_if_possible "host tests on 32 bits" host_tests_32
    check_if_possible "Miri" "$SCRIPTS/miri.sh"
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

script_lane() {
    check "LICENSES.md names all crates" python3 "$SCRIPTS/licenses.py"
    check "the check of LICENSES.md" licenses_check_works
    check "crates as a registry takes them" python3 "$SCRIPTS/package.py"
    check "tests name what MODEL.md numbers" python3 "$SCRIPTS/model_numbers.py" MODEL.md tests/tests \
        roottask/src/bin/guest-tests roottask/src/bin/endings
    check "the check of these numbers" numbers_check_works
    check "imports go down" python3 "$SCRIPTS/floors.py" ARCHITECTURE.md
    check "the check of the floors" python3 "$SCRIPTS/floors_test.py"
    check "the choice of mutants" python3 "$SCRIPTS/mutants_test.py"
    check "the options and the ends of run.sh" python3 "$SCRIPTS/run_test.py"
    check "run.sh refuses a file that is no program" exits_with 2 "$SCRIPTS/run.sh" ./README.md
    check "cc.sh refuses to compile nothing" exits_with 2 "$SCRIPTS/cc.sh" --arch x86_64
    check "cargo-runner.sh refuses a file that is no program" exits_with 2 \
        "$SCRIPTS/cargo-runner.sh" ./README.md
    check "cargo-runner.sh refuses a kernel of another's" exits_with 2 \
        env SEL4_PREFIX="$BUILD/kernel/ia32/other" "$SCRIPTS/cargo-runner.sh" "$BUILD/kernel/ia32/debug/boot.elf"
    check "run.sh refuses more arguments than reach the guest" exits_with 2 \
        "$SCRIPTS/run.sh" guest-tests -- "$(printf '%5000s' last)"
    check "demo.sh refuses an unknown option" exits_with 2 "$SCRIPTS/demo.sh" --bogus
    check "doc.sh refuses an unknown option" exits_with 2 "$SCRIPTS/doc.sh" --bogus
    check "fuzz.sh refuses an unknown target" exits_with 2 "$SCRIPTS/fuzz.sh" bogus
    check "fuzz.sh refuses no time at all" exits_with 2 "$SCRIPTS/fuzz.sh" --seconds 0
    check "miri.sh refuses an unknown option" exits_with 2 "$SCRIPTS/miri.sh" --bogus
    check "bench.sh refuses to judge a comparison without one" exits_with 2 "$SCRIPTS/bench.sh" --only-compare
    check "the options, the watch and the ends of stress.sh" python3 "$SCRIPTS/stress_test.py"
    check "the live view of a stress run" python3 "$SCRIPTS/stress_live_test.py"
    check "set-up refuses a Rust that is too old" python3 "$SCRIPTS/setup_test.py"
    check "the ends of bench.sh and debug.sh" python3 "$SCRIPTS/ends_test.py"
    check "the comparison of benchmarks" python3 "$SCRIPTS/bench_test.py"
    check "compare.sh refuses an unknown option" exits_with 2 "$SCRIPTS/compare.sh" --bogus
    check "debug.sh refuses an unknown program" exits_with 2 "$SCRIPTS/debug.sh" no-such-program
    check "debug.sh refuses commands that are not there" exits_with 2 \
        "$SCRIPTS/debug.sh" hello --commands /nonexistent
    check "test.sh refuses an unknown lane" exits_with 2 "$SCRIPTS/test.sh" bogus
    check "the check of the demo's output" demo_check_works
    check "README's program is hello.rs" readme_shows_hello
    check "RECIPES.md shows what is booted" python3 "$SCRIPTS/recipes.py"
    check "the check of RECIPES.md" recipes_check_works
}

# The same on x86_64: what does not depend on the kernel's flavour boots on one of the two.
x86_64_lane() {
    local program ending
    choose_arch x86_64
    if ! "$SCRIPTS/setup.sh" --arch "$ARCH" </dev/null; then
        fail "set-up, x86_64"
        choose_arch ia32
        return
    fi
    choose_target_rust
    check "clippy, target, x86_64" target_clippy debug
    check "clippy, clients, x86_64" client_clippy debug
    check "documentation, target, x86_64" target_docs
    check "the template, copied out: cargo run, x86_64" template_runs --config .cargo/x86_64.toml
    check "demo, x86_64, release kernel" "$SCRIPTS/demo.sh" --arch "$ARCH" --release-kernel
    check "demo, x86_64, debug kernel" "$SCRIPTS/demo.sh" --arch "$ARCH" --memory 2G
    for program in "${PROGRAMS[@]}"; do
        check "$program, x86_64" "$SCRIPTS/run.sh" "$program" --arch "$ARCH"
    done
    # Its reports of faults are others: the kernel tells of an address above 4 GiB half.
    check "fault-demo, x86_64" "$SCRIPTS/run.sh" fault-demo --arch "$ARCH"
    check "service-demo, x86_64" told_program service-demo --arch "$ARCH"
    for ending in "${!ENDINGS[@]}"; do
        check "endings, $ending, x86_64" ends_saying "${ENDINGS[$ending]}" "$ending" --arch "$ARCH"
    done
    guest_tests debug --arch "$ARCH"
    check "debugger and program agree, x86_64" debugger_agrees --arch "$ARCH"
    check "debugger, stopped in a client's space, x86_64" debugger_in_a_client --arch "$ARCH"
    check "model against kernel, x86_64, 40000 calls" "$SCRIPTS/compare.sh" --arch "$ARCH" \
        --calls 40000 --seed 500
    check "bench, compared with the saved result, x86_64" "$SCRIPTS/bench.sh" --arch "$ARCH" \
        --baseline --only-compare
    check "stress, seed 4, x86_64" "$SCRIPTS/stress.sh" --arch "$ARCH" --seed 4 \
        --operations "$STRESS_OPERATIONS" --memory 64M --kernel release
    c_programs "debug kernel, x86_64" --arch "$ARCH"
    c_programs "release kernel, x86_64" --arch "$ARCH" --release-kernel
    check "bindings refuse a kernel of another architecture" refuses_wrong_kernel
    choose_arch ia32
    choose_target_rust
}

# A kernel for IA32 beneath a program for x86_64 does not compile, and the sentence says what to do.
refuses_wrong_kernel() {
    local log=$LOGS/wrong status=0
    SEL4_PREFIX=$BUILD/kernel/ia32/debug env -C "$ROOT" "${TARGET_ENV[@]}" cargo check --quiet -p sel4 \
        --config "$SCRIPTS/target.toml" --target "$TARGET" --target-dir "$LOGS/target" >"$log" 2>&1 || status=$?
    cat "$log"
    ((status != 0)) && grep -F 'SEL4_PREFIX is the kernel for ia32' "$log" >/dev/null
}

# Instructions are exact, so this depends on no clock.
bench_lane() {
    check "bench, compared with the saved result" "$SCRIPTS/bench.sh" --baseline --only-compare
}

stress_lane() {
    local seed kernel
    for seed in "${STRESS_SEEDS[@]}"; do
        kernel=${KERNELS[seed % ${#KERNELS[@]}]}
        check "stress, seed $seed, $kernel kernel" "$SCRIPTS/stress.sh" --seed "$seed" \
            --operations "$STRESS_OPERATIONS" --memory 32M --kernel "$kernel"
    done
    check "stress, asked to finish while it runs" asked_to_finish
    check "the report of a stress run, in a browser" python3 "$SCRIPTS/report/report_test.py"
}

# Ctrl-C before the warm-up is over: the guest remembers it, and still checks what is left behind. The
# shell has SIGINT ignored for what runs in the background; stress.sh does not mind.
asked_to_finish() {
    local output=$LOGS/asked status=0 run
    "$SCRIPTS/stress.sh" --seconds 600 --memory 32M --kernel release >"$output" 2>&1 &
    run=$!
    until grep -F 'stress: 1 s, ' "$output" >/dev/null; do
        kill -0 "$run" || break
        sleep 0.2
    done
    kill -INT "$run"
    wait "$run" || status=$?
    tail -n 20 "$output"
    echo "exit code $status"
    ((status == 130)) || return
    grep -F 'stress: asked to finish, in operation ' "$output" >/dev/null || return
    tail -n 1 "$output" | grep -E '^stress: passed: [0-9,]+ operations on seed 1, ended early, and' >/dev/null
}

qemu_lane() {
    local kernel memory program ending
    for kernel in "${KERNELS[@]}"; do
        local -a options=()
        [[ $kernel == debug ]] || options=("--$kernel-kernel")
        for memory in "${MEMORIES[@]}"; do
            check "demo, $kernel kernel, $memory" "$SCRIPTS/demo.sh" --memory "$memory" "${options[@]}"
        done
        for program in "${PROGRAMS[@]}"; do
            check "$program, $kernel kernel" "$SCRIPTS/run.sh" "$program" "${options[@]}"
        done
        for program in "${TOLD_PROGRAMS[@]}"; do
            check "$program, $kernel kernel" told_program "$program" "${options[@]}"
        done
        for ending in "${!ENDINGS[@]}"; do
            check "endings, $ending, $kernel kernel" ends_saying "${ENDINGS[$ending]}" "$ending" "${options[@]}"
        done
        guest_tests "$kernel" "${options[@]}"
        c_programs "$kernel kernel" "${options[@]}"
        check "debugger and program agree, $kernel kernel" debugger_agrees "${options[@]}"
    done
    check "clients of a root task, with their names" clients_are_those_named
    check "arguments reach the guest whole" arguments_are_whole
    check "READING.md shows what dump-demo prints" reading_shows_dump_demo
    check "debugger, stopped in a client's space" debugger_in_a_client
    check "model against kernel, 100000 calls" "$SCRIPTS/compare.sh" --calls 100000 --seed 1000
    check "model against debug kernel, 4000 calls" "$SCRIPTS/compare.sh" --calls 4000 --debug-kernel
    check "a checkout below a folder with a blank and a comma" boots_below "a b,c"
}

main() {
    case ${1-} in
        --help) usage && exit ;;
        -*) usage_error "unknown option: $1" ;;
    esac
    local lane
    (($# > 0)) || set -- "${LANES[@]}"
    for lane; do
        [[ " ${LANES[*]} ${OTHER_LANES[*]} " == *" $lane "* ]] ||
            usage_error "no such lane: $lane: there are ${LANES[*]} ${OTHER_LANES[*]}"
    done
    exec 2>&1 # one stream, in order
    cd "$ROOT"
    export CARGO_TERM_COLOR=never
    LOGS=$(mktemp -d)
    trap 'rm -rf "$LOGS"' EXIT

    if ("$SCRIPTS/setup.sh" --tests </dev/null); then
        choose_target_rust
        for lane; do
            "${lane}_lane"
        done
    else
        fail "set-up"
    fi
    ((FAILED == 0)) || printf 'failed: %s\n' "${FAILURES[@]}"
    echo "$PASSED passed, $FAILED failed"
    ((FAILED == 0 && PASSED > 0))
}

main "$@"
