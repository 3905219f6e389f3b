# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# How test.sh runs its checks: each is counted and timed, and lanes that do not meet run side by side.
# Sourced, never run. After lib.sh.

# Lanes of one line share a folder of built programs, so they follow each other; those of different
# lines run at the same time, on as many processors as there are.
TRACKS=("host thorough" "script target qemu bench stress" "x86_64 linux" "oldest" "semver")
# How many of the slowest checks are named at the end.
SLOWEST=10
# How many lines of what a check that failed printed are shown at the end once more: of a long log often
# only the end is kept.
LAST_LINES=30

PASSED=0 FAILED=0

# begin: what is said of a check next has the time from here on.
begin() { BEGUN=${EPOCHREALTIME/[.,]/}; }

# The tenths of a second since then.
tenths() { echo $(((${EPOCHREALTIME/[.,]/} - BEGUN) / 100000)); }

# in_seconds TENTHS
in_seconds() { echo "$(($1 / 10)).$(($1 % 10)) s"; }

# timed NAME: says how long something took, and notes it for the list of the slowest.
timed() {
    local tenths
    tenths=$(tenths)
    printf '%s %s\n' "$tenths" "$1" >>"$TIMES"
    in_seconds "$tenths"
}

pass() {
    echo "test $1 ... ok ($(timed "$1"))"
    PASSED=$((PASSED + 1))
}

# fail NAME [LOG]
fail() {
    echo "test $1 ... FAILED ($(timed "$1"))"
    FAILED=$((FAILED + 1))
    echo "$1" >>"$FAILURES"
    (($# == 1)) || { echo "the end of what $1 printed:" && tail -n "$LAST_LINES" "$2"; } >>"$FAILURES.ends"
}

# count_failures LOG FAILED: those of a suite that counts its own tests, which its log names.
count_failures() {
    FAILED=$((FAILED + $2))
    sed -nE 's/^test (.+) \.\.\. FAILED\r?$/\1/p' "$1" >>"$FAILURES"
}

# check NAME COMMAND...: one test; what the command printed is shown if it fails.
check() {
    local name=$1 log=$LOGS/check
    shift
    begin
    if ("$@") >"$log" 2>&1 </dev/null; then
        pass "$name"
    else
        cat "$log"
        fail "$name" "$log"
    fi
}

# As check, for what needs tools that are not everywhere: where its output says that it was skipped,
# it counts neither way.
check_if_possible() {
    local name=$1 log=$LOGS/check skipped
    shift
    begin
    if ! ("$@") >"$log" 2>&1 </dev/null; then
        cat "$log"
        fail "$name" "$log"
    elif skipped=$(grep -F ': skipped: ' "$log"); then
        echo "test $name ... skipped ($skipped)"
    else
        pass "$name"
    fi
}

# run_lanes RUN LANE...: all of them; sets PASSED and FAILED. RUN is a folder for what they leave.
run_lanes() {
    local run=$1 track lane
    local -a tracks=()
    shift
    for track in "${TRACKS[@]}"; do
        local -a wanted=()
        for lane in $track; do
            [[ " $* " != *" $lane "* ]] || wanted+=("$lane")
        done
        ((${#wanted[@]} == 0)) || tracks+=("${wanted[*]}")
    done
    TIMES=$run/times FAILURES=$run/failures
    : >"$TIMES"
    : >"$FAILURES"
    : >"$FAILURES.ends"
    local number workers
    workers=$(nproc)
    for ((number = 0; number < ${#tracks[@]}; number++)); do
        : >"$run/$number.output"
    done
    for ((number = 0; number < workers && number < ${#tracks[@]}; number++)); do
        work_off "$run" "${tracks[@]}" &
    done
    for ((number = 0; number < ${#tracks[@]}; number++)); do
        show "$run/$number"
    done
    wait
    local passed failed
    for ((number = 0; number < ${#tracks[@]}; number++)); do
        read -r passed failed <"$run/$number.done"
        PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed))
    done
}

# work_off RUN TRACK...: tracks that nobody has taken yet, one after the other.
work_off() {
    local run=$1 number=-1 track
    shift
    for track; do
        number=$((number + 1))
        mkdir "$run/$number.taken" 2>/dev/null || continue
        # Not in a list with `||`, where a shell goes on after a command that fails.
        run_track "$run/$number.taken" "$track" >"$run/$number.output" 2>&1 &
        wait $! || true
        # Whole, or not there.
        mv "$run/$number.taken/counts" "$run/$number.done"
    done
}

# run_track FOLDER TRACK: its lanes, one after the other. In a subshell, as they choose for themselves.
run_track() (
    LOGS=$1 PASSED=0 FAILED=0
    echo "0 1" >"$LOGS/counts"
    for lane in $2; do
        local begun=$SECONDS
        "${lane}_lane"
        echo "lane $lane: $((SECONDS - begun)) s"
    done
    echo "$PASSED $FAILED" >"$LOGS/counts"
)

# show FILE: what FILE.output has, as it comes, until FILE.done is there.
show() {
    local descriptor is_done=false
    exec {descriptor}<"$1.output"
    while :; do
        [[ ! -e $1.done ]] || is_done=true
        cat <&"$descriptor"
        ! $is_done || break
        sleep 0.3
    done
    exec {descriptor}<&-
}

# The ends of what checks printed that failed, and the names of all that failed, as they would have to be
# searched for in what was printed.
show_failures() {
    cat "$FAILURES.ends"
    sed 's/^/failed: /' "$FAILURES"
}

# The checks that took longest.
show_slowest() {
    echo "the slowest checks:"
    sort -rn "$TIMES" | head -n "$SLOWEST" | while read -r tenths name; do
        printf '%10s  %s\n' "$(in_seconds "$tenths")" "$name"
    done
}
