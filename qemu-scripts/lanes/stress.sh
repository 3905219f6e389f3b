# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# The lanes bench and stress.

# Short stress runs, on the kernels in turn.
STRESS_SEEDS=(1 2 3)
STRESS_OPERATIONS=7000
# One with memory that is cleared beside it, which takes as long as those without it were shortened.
PACED_OPERATIONS=4000

# Instructions are exact, so this depends on no clock.
bench_lane() {
    check "bench, compared with the saved result" "$SCRIPTS/bench.sh" --baseline --only-compare
    check "bytes of records and images" "$SCRIPTS/bench.sh" --memory
}

stress_lane() {
    local seed kernel
    for seed in "${STRESS_SEEDS[@]}"; do
        kernel=${KERNELS[seed % ${#KERNELS[@]}]}
        check "stress, seed $seed, $kernel kernel" "$SCRIPTS/stress.sh" --seed "$seed" \
            --operations "$STRESS_OPERATIONS" --memory 32M --kernel "$kernel"
    done
    check "stress with the pacer" "$SCRIPTS/stress.sh" --pacer --seed 1 \
        --operations "$PACED_OPERATIONS" --memory 32M --kernel release
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
