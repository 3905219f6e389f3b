# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# The lane script: the scripts, and the judges of documents.

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

# The programs that the README shows are compiled and booted. A root task that serves is to stay short.
readme_shows_programs() {
    local folder=$ROOT/roottask/src/bin
    (($(grep -cv '^$' "$folder/serve.rs") <= 25)) || return
    # shellcheck disable=SC2016 # backquotes of Markdown
    diff <(grep -hv '^// SPDX' "$folder/hello.rs" "$folder/serve.rs" "$ROOT/roottask/clients/src/bin/snapshot.rs") \
        <(sed -n '/^```rust$/,/^```$/{/^```/!p}' README.md)
}

script_lane() {
    check "LICENSES.md names all crates" python3 "$SCRIPTS/licenses.py"
    check "the check of LICENSES.md" licenses_check_works
    check "each file names its licence" python3 "$SCRIPTS/spdx.py" --check
    check "the check of the lines that name the licence" python3 "$SCRIPTS/spdx_test.py"
    check "crates as a registry takes them" python3 "$SCRIPTS/package.py"
    check "tests name what MODEL.md numbers" python3 "$SCRIPTS/model_numbers.py" MODEL.md tests/tests \
        roottask/src/bin/guest-tests roottask/src/bin/endings roottask/src/bin/gaps roottask/src/bin/objects-demo \
        roottask/src/bin/promises roottask/clients/src/bin/swap-init
    check "the check of these numbers" numbers_check_works
    check "imports go down" python3 "$SCRIPTS/floors.py" ARCHITECTURE.md
    check "the check of the floors" python3 "$SCRIPTS/floors_test.py"
    check "what depends on the architecture lies in arch/" python3 "$SCRIPTS/arch_folders.py"
    check "the check of these folders" python3 "$SCRIPTS/arch_folders_test.py"
    check "what is defined has the field's names" python3 "$SCRIPTS/names.py"
    check "the check of the names" python3 "$SCRIPTS/names_test.py"
    check "the choice of mutants" python3 "$SCRIPTS/mutants_test.py"
    check "the command lines of all scripts" python3 "$SCRIPTS/options_test.py"
    check "the options and the ends of run.sh" python3 "$SCRIPTS/run_test.py"
    check "run.sh refuses a file that is no program" exits_with 2 "$SCRIPTS/run.sh" ./README.md
    check "cc.sh refuses to compile nothing" exits_with 2 "$SCRIPTS/cc.sh" --arch x86_64
    check "cargo-runner.sh refuses a file that is no program" exits_with 2 \
        "$SCRIPTS/cargo-runner.sh" ./README.md
    check "cargo-runner.sh refuses a kernel of another's" exits_with 2 \
        env SEL4_PREFIX="$BUILD/kernel/ia32/other" "$SCRIPTS/cargo-runner.sh" "$BUILD/kernel/ia32/debug/boot.elf"
    check "run.sh refuses more arguments than reach the guest" exits_with 2 \
        "$SCRIPTS/run.sh" guest-tests -- "$(printf '%5000s' last)"
    check "bench.sh refuses to judge a comparison without one" exits_with 2 "$SCRIPTS/bench.sh" --only-compare
    check "the options, the watch and the ends of stress.sh" python3 "$SCRIPTS/stress_test.py"
    check "the live view of a program" python3 "$SCRIPTS/run_live_test.py"
    check "names of what a guest prints as addresses" python3 "$SCRIPTS/symbols_test.py"
    check "the live view of a stress run" python3 "$SCRIPTS/stress_live_test.py"
    check "set-up refuses a Rust that is too old" python3 "$SCRIPTS/setup_test.py"
    check "the ends of other scripts" python3 "$SCRIPTS/ends_test.py"
    check "the comparison of benchmarks" python3 "$SCRIPTS/bench_test.py"
    check "the instructions of a row, by function" python3 "$SCRIPTS/bench_profile_test.py"
    check "the table of memory" python3 "$SCRIPTS/memory_table_test.py"
    check "the comparison with Linux" python3 "$SCRIPTS/linux_compare_test.py"
    check "debug.sh refuses an unknown program" exits_with 2 "$SCRIPTS/debug.sh" no-such-program
    check "the check of the demo's output" demo_check_works
    check "the documents' command lines are run by the tests" python3 "$SCRIPTS/commands.py"
    check "the check of these command lines" python3 "$SCRIPTS/commands_test.py"
    check "README's programs are hello.rs and serve.rs" readme_shows_programs
    check "RECIPES.md shows what is booted" python3 "$SCRIPTS/recipes.py"
    check "the check of RECIPES.md" recipes_check_works
}
