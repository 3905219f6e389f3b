# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# The lanes bench and stress.

# Short stress runs, on the kernels in turn.
STRESS_SEEDS=(1 2 3)
STRESS_OPERATIONS=7000
# Those in which programs start, page for and end each other, which the ones above hardly come to.
TREE_OPERATIONS=4000
# One with memory that is cleared beside it, which takes as long as those without it were shortened.
PACED_OPERATIONS=4000

# Instructions are exact, so this depends on no clock.
bench_lane() {
    check "bench, compared with the saved result" "$SCRIPTS/bench.sh" --baseline --only-compare
    check "bytes of records and images" "$SCRIPTS/bench.sh" --memory
    check "in which functions a row's instructions are" "$SCRIPTS/profile.sh" orders unmap_single
}

stress_lane() {
    local seed kernel
    for seed in "${STRESS_SEEDS[@]}"; do
        kernel=${KERNELS[seed % ${#KERNELS[@]}]}
        check "stress, seed $seed, $kernel kernel" "$SCRIPTS/stress.sh" --seed "$seed" \
            --operations "$STRESS_OPERATIONS" --memory 32M --kernel "$kernel"
    done
    check "stress, trees of programs, release kernel" stress_trees --memory 32M --kernel release
    check "stress, trees of programs, debug kernel" stress_trees --memory 32M --kernel debug --seed 2
    check "stress with the pacer" "$SCRIPTS/stress.sh" --pacer --seed 1 \
        --operations "$PACED_OPERATIONS" --memory 32M --kernel release
    check "stress, asked to finish while it runs" asked_to_finish
    check "the report of a stress run, in a browser" python3 "$SCRIPTS/report/report_test.py"
}

# stress_trees [OPTION]: programs that start programs, and pagers; what they count must not be nothing,
# and two runs of one seed must count the same.
stress_trees() {
    local first=$LOGS/trees second=$LOGS/trees-again words word
    words=(--phases clients,pagers --operations "$TREE_OPERATIONS" "$@")
    "$SCRIPTS/stress.sh" "${words[@]}" 2>&1 | tee "$first" || return
    for word in started ended 'looked at' clones revoked threads supplied 'taken back' written refused; do
        grep -E "^stress: (starter|supplier), .* [1-9][0-9]* $word" "$first" >/dev/null || return
    done
    [[ " $* " != *' --seed '* ]] || return 0
    "$SCRIPTS/stress.sh" "${words[@]}" >"$second" 2>&1 || return
    diff <(grep -E '^stress: (of trees|starter,|supplier,)' "$first") \
        <(grep -E '^stress: (of trees|starter,|supplier,)' "$second")
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
