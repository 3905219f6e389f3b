# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# The lanes qemu and x86_64: programs that boot, and what they must say.

MEMORIES=(32M 512M 2G)
# Programs that say by their exit code alone whether all was well.
PROGRAMS=(hello bare recipes dump-demo)
GUEST_TIMEOUT=300
# Seconds in which the promises are kept, on a slow machine too: they are measured in instructions.
PROMISES_TIMEOUT=300
# Root tasks that tell what they do, and what they must tell (NAME.expected).
TOLD_PROGRAMS=(serve service-demo objects-demo system-demo fault-demo upstream-spawn)

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
    [faults-deep]='^  backtrace of main: 0x[0-9a-f]+, called from( 0x[0-9a-f]+)+$
endings::fall_to_null at roottask/src/bin/endings/main.rs:[0-9]+$
endings::step at roottask/src/bin/endings/main.rs:[0-9]+$
endings::climb at roottask/src/bin/endings/main.rs:[0-9]+$
endings::fault_deep at roottask/src/bin/endings/main.rs:[0-9]+$'
    [panics-deep]='^backtrace: called from( 0x[0-9a-f]+)+$
endings::fall_by_panic at roottask/src/bin/endings/main.rs:[0-9]+$
endings::step at roottask/src/bin/endings/main.rs:[0-9]+$
endings::climb at roottask/src/bin/endings/main.rs:[0-9]+$
endings::panic_deep at roottask/src/bin/endings/main.rs:[0-9]+$'
)

# Root tasks in C, below vmm/c/, and what each must print.
declare -A C_PROGRAMS=(
    [example/main.c]='^a guard page: 0x[0-9a-f]+ is a guard page of "heap"$'
    [tests/requests.c]='^requests: passed$'
)

# What may differ between two runs: numbers, with what they are padded with, and lists of them.
NUMBERS='s/ +[0-9]+x2\^[0-9]+//g; s/ *(0x[0-9a-f]+|[0-9]+)/ #/g'

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
# hang), and with these words: lines that come in this order.
ends_saying() {
    local words=$1 case=$2 output=$LOGS/ending status=0
    shift 2
    "$SCRIPTS/run.sh" endings --timeout 30 "$@" -- "$case" >"$output" 2>&1 || status=$?
    cat "$output"
    ((status == 1)) || return
    plain_lines <"$output" | grep -Fx "endings: $case" >/dev/null || return
    matches_in_order <(echo "$words") "$output"
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
    ! diff "$told.shown" "$read.early" || return
    # By name: a thread's callers, and the region that is in quarantine.
    sed -n '/^-- deep$/,$p' "$read" >"$read.deep"
    matches_in_order <(printf '%s\n' '^  backtrace of deep: 0x[0-9a-f]+, called from( 0x[0-9a-f]+)+$' \
        ' dump_demo::inner at roottask/src/bin/dump-demo.rs:' ' dump_demo::outer at roottask/src/bin/dump-demo.rs:' \
        '^region of space 2 at 0x[0-9a-f]+: 5 pages, "the last"$' '^1 in quarantine$') "$read.deep"
}

# It reads the root task's memory also when the processor is in the kernel, in another's address space.
debugger_in_a_client() {
    local commands=$LOGS/commands read=$LOGS/read
    cat >"$commands" <<'EOF'
python gdb.execute(f"break c_handle_syscall if $cr3 != {Program.cr3}")
continue
vmm spaces
vmm regions 3
vmm threads
vmm backtrace 1
vmm backtrace 2
vmm backtrace 3
EOF
    "$SCRIPTS/debug.sh" service-demo --commands "$commands" --output /dev/null "$@" | tee "$read" || return
    # The root task's space and three clients'; of one of these its stack.
    [[ $(grep -c '^space [1-4]: [0-9]* pages mapped.* root in slot' "$read") == 4 ]] || return
    grep '  rw- .* pages, .* mapped, guards 1+1  Stack "taker"$' "$read" >/dev/null || return
    [[ $(grep -cE '^badge [1-3]: "(giver|taker|rogue)" in space [2-4], TCB in slot 0x' "$read") == 3 ]] || return
    # Each by its own program, whichever of them it was stopped in.
    local name
    for name in giver taker rogue; do
        matches_in_order <(printf '%s\n' "^  backtrace of $name: 0x[0-9a-f]+" \
            "^    0x[0-9a-f]{8}  .* at (roottask/clients/|vmm/client/|sel4/)") "$read" || return
    done
}

# Some 400 bytes of arguments, the last of which names the one test.
arguments_are_whole() {
    local output=$LOGS/arguments filters test=runtime::a_segment_leads_to_the_ipc_buffer
    filters=$(printf 'none%02d ' {1..60})
    "$SCRIPTS/run.sh" guest-tests -- --list | plain_lines | grep -Fx "$test" || return
    # shellcheck disable=SC2086 # words
    "$SCRIPTS/run.sh" guest-tests -- $filters "$test" 2>&1 | plain_lines | tee "$output" || return
    grep -qFx "test $test ... ok" "$output" && grep -qFx "guest-tests: 1 passed, 0 failed" "$output"
}

# Where there is more memory the root of a CSpace is larger: slots beyond those of 256 CNodes.
million_slots() {
    local output=$LOGS/million-slots test=exhaustion::a_million_slots_are_used_and_given_back
    "$SCRIPTS/run.sh" guest-tests --release-kernel --memory 1536M "$@" -- "$test" 2>&1 |
        plain_lines | tee "$output" || return
    grep -qFx "test $test ... ok" "$output" && ! grep -qF "too little memory" "$output"
}

# By a link, so that there is nothing to be built again but what knows its path.
boots_below() {
    local folder=$LOGS/$1
    mkdir -p "$folder" && ln -sfn "$ROOT" "$folder/checkout" || return
    "$folder/checkout/qemu-scripts/run.sh" hello
}

# A root task needs the clients that it names and no others; the instruction of a client's fault has the
# name of its function in the copy with symbols, and the copy that travels has none.
clients_are_those_named() {
    [[ -z $(clients_of hello) && $(clients_of stress | xargs) == 'busy holder starter supplier' ]] || return
    [[ $(clients_of service-demo | wc -l) == 7 ]] || return
    local clients instruction
    clients=$(target_folder debug)/$TARGET/client
    instruction=$("$SCRIPTS/run.sh" service-demo | plain_lines |
        sed -n 's/^rogue: page fault, writing .*, instruction at //p')
    echo "the instruction at $instruction"
    addr2line -Cfipe "$clients/rogue" "$instruction" | tee "$LOGS/line"
    grep -F 'rogue::wild_write at ' "$LOGS/line" && [[ -z $(nm "$clients/stripped/rogue" 2>/dev/null) ]]
}

# Programs that the command line names: the first runs, with arguments, and finds the others whole.
clients_by_command_line() {
    local folder printed file pages
    folder=$(target_folder debug)/$TARGET/client/stripped
    printed=$("$SCRIPTS/run.sh" --client "$folder/worker" "$folder/file-reader" "$folder/file-server" -- list |
        plain_lines | tee /dev/stderr) || return
    for file in file-reader file-server; do
        pages=$((($(stat -c %s "$folder/$file") + 4095) / 4096))
        [[ $printed == *"worker: $file has $pages pages"* ]] || return
    done
    [[ $printed == *'server: worker exits with 0'* ]] || return
    # Those of this project go by their names.
    printed=$("$SCRIPTS/run.sh" --client snapshot | plain_lines | tee /dev/stderr) || return
    [[ $printed == *'snapshot: 100 words are kept that were overwritten'* ]] || return
    exits_with 2 "$SCRIPTS/run.sh" --client no-such-client || return
    exits_with 2 "$SCRIPTS/run.sh" "$SCRIPTS/../build/no/file" --client snapshot || return
    # They have a clock, unless init was given the timer: `sleep 0` says whether there is one.
    "$SCRIPTS/run.sh" --client "$folder/worker" -- sleep 0 || return
    printed=$("$SCRIPTS/run.sh" --client "$folder/worker" --device irq=0 -- sleep 0 | plain_lines) && return 1
    [[ $printed == *'server: there is no clock: '*'the service has no clock'* ]] || return
    # What fails is told by the exit code; what is no program, before anything is booted.
    ! "$SCRIPTS/run.sh" --client "$folder/worker" -- sum 3 || return
    printed=$("$SCRIPTS/run.sh" --client "$SCRIPTS/run.sh" 2>&1) && return 1
    [[ $printed == *'is no ELF file for ia32'* ]]
}

# Devices that are none are refused: by run.sh before anything is booted, by the root task before `init`
# runs; and the driver of a disk that there is not says so.
devices_are_refused() {
    local words device said log=$LOGS/devices
    exits_with 2 "$SCRIPTS/run.sh" swap-demo --device parallel || return
    exits_with 2 "$SCRIPTS/run.sh" swap-demo --disk /no/such/file || return
    for words in 'ports=0x1f7-0x1f0|ports 0x1f7 to 0x1f0 are none' 'ports=0-65536|device 1 has no number' \
        'irq=2|no interrupt line 2' 'irq=16|no interrupt line 16' \
        'memory=0xb8001:4096|no memory of 4096 bytes at 0xb8001' 'memory=0xb8000:0|no memory of 0 bytes' \
        'memory=0xffffffff00000000:8192|no memory of 8192 bytes' \
        'ide|there is no disk to drive: no disk answers'; do
        device=${words%%|*} said=${words#*|}
        exits_with 1 "$SCRIPTS/run.sh" swap-demo --device "$device" -- for-ever first=0 places=1 most=64 pool=64 keeps=64 >"$log" || return
        cat "$log"
        grep -F "$said" "$log" >/dev/null || return
    done
}

# Large pages by the command line: init's account has as many as were said, and without that none.
large_pages() {
    local worker bytes=$((4 << 20)) log=$LOGS/large
    [[ $ARCH == ia32 ]] || bytes=$((2 << 20))
    worker=$(target_folder debug)/$TARGET/client/stripped/worker
    "$SCRIPTS/run.sh" --client "$worker" --large-pages 3 --memory 64M "$@" -- large >"$log" 2>&1 || return
    cat "$log"
    grep -F "worker: 3 large pages are $((3 * bytes)) bytes, the last of them 7; 0 of them are used" "$log" >/dev/null || return
    exits_with 1 "$SCRIPTS/run.sh" --client "$worker" "$@" -- large >"$log" 2>&1 || return
    cat "$log"
    grep -F '0 pages are no length' "$log" >/dev/null || return
    # More than there is.
    exits_with 1 "$SCRIPTS/run.sh" --client "$worker" --large-pages 300 --memory 64M "$@" -- large
}

# Memory of a device by the command line: the screen, as characters and as more pixels than one request
# maps, is what is mapped, twice; memory of the machine's, which is somebody's, is refused when it is
# mapped.
device_memory() {
    local worker address pages log=$LOGS/device
    worker=$(target_folder debug)/$TARGET/client/stripped/worker
    for pages in b8000:2 fd000000:300; do
        address=${pages%:*} pages=${pages#*:}
        "$SCRIPTS/run.sh" --client "$worker" --device "memory=0x$address:$((pages * 4096))" "$@" \
            -- device "mem-$address" >"$log" 2>&1 || return
        cat "$log"
        grep -F "worker: mem-$address has $pages pages, and shows 0x1f211f48; its end is the same twice: true" \
            "$log" >/dev/null || return
    done
    # The kernel's own memory on IA32. On x86_64 what is no memory of the machine's, which is found
    # by its whole name, however long that is.
    local nothing=0x100000
    [[ $ARCH == ia32 ]] || nothing=0x123456789a000
    exits_with 1 "$SCRIPTS/run.sh" --client "$worker" --device "memory=$nothing:0x1000" "$@" \
        -- device "mem-${nothing#0x}" >"$log" 2>&1 || return
    cat "$log"
    grep -F 'worker: failed: Map of' "$log" >/dev/null
}

# guest_tests KERNEL [OPTION]: each test in the guest counts, and its closing line must agree.
guest_tests() {
    local kernel=$1 log=$LOGS/guest status=0 passed failed
    shift
    begin
    "$SCRIPTS/run.sh" guest-tests --timeout "$GUEST_TIMEOUT" "$@" 2>&1 | plain_lines | tee "$log" ||
        status=$?
    passed=$(grep -cE '^test .+ \.\.\. ok$' "$log") || true
    failed=$(grep -cE '^test .+ \.\.\. FAILED$' "$log") || true
    PASSED=$((PASSED + passed))
    count_failures "$log" "$failed"
    echo "guest-tests, $ARCH, $kernel kernel: $(timed "guest-tests, $ARCH, $kernel kernel")"
    grep -qFx "guest-tests: $passed passed, $failed failed" "$log" ||
        fail "guest-tests, $kernel kernel (closing line missing or wrong)"
    ((status == 0 || failed > 0)) || fail "guest-tests, $kernel kernel (exit code $status)"
    ((passed + failed > 0)) || fail "guest-tests, $kernel kernel (no test ran)"
    # What a thread prints that has no capability for it, a debug kernel does print.
    [[ $kernel != debug ]] || grep -qFx "a thread with a CSpace of its own prints" "$log" ||
        fail "guest-tests, debug kernel (the line of a thread is missing)"
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
        check "swap-demo, $kernel kernel" "$SCRIPTS/swap-demo.sh" "${options[@]}"
        # On the release kernel on the smallest machine, which a larger image makes smaller still.
        [[ $kernel == debug ]] || options+=(--memory 16M)
        guest_tests "$kernel" "${options[@]}"
        [[ $kernel == debug ]] || options=("--$kernel-kernel")
        c_programs "$kernel kernel" "${options[@]}"
        check "debugger and program agree, $kernel kernel" debugger_agrees "${options[@]}"
    done
    check "gaps beside a thread that computes" "$SCRIPTS/run.sh" gaps --release-kernel --icount --memory 64M
    # The same bounds, in half of the memory.
    check "gaps beside a thread that computes, debug kernel" "$SCRIPTS/run.sh" gaps --icount --memory 32M
    check "promises of the service" "$SCRIPTS/run.sh" promises --release-kernel --icount --memory 64M \
        --timeout "$PROMISES_TIMEOUT"
    # Many pages taken and given back beside one that computes: all that the kernel sees of RAM.
    check "promises of the service, 512 MiB" "$SCRIPTS/run.sh" promises --release-kernel --icount \
        --memory 512M --timeout "$PROMISES_TIMEOUT" -- dirty 120000
    check "clients of a root task, with their names" clients_are_those_named
    check "clients that the command line names" clients_by_command_line
    check "devices that are none are refused" devices_are_refused
    check "devices whose memory init maps" device_memory
    check "large pages by the command line" large_pages
    check "arguments reach the guest whole" arguments_are_whole
    check "READING.md shows what dump-demo prints" reading_shows_dump_demo
    check "debugger, stopped in a client's space" debugger_in_a_client
    check "model against kernel, 100000 calls" "$SCRIPTS/compare.sh" --calls 100000 --seed 1000
    check "model against debug kernel, 4000 calls" "$SCRIPTS/compare.sh" --calls 4000 --debug-kernel
    check "a checkout below a folder with a blank and a comma" boots_below "a b,c"
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
    check "clippy, the adapter for today's kernels" kernel_16_clippy
    check "documentation, target, x86_64" target_docs
    check "the template, copied out: cargo run, x86_64" template_runs --config .cargo/x86_64.toml
    check "demo, x86_64, release kernel" "$SCRIPTS/demo.sh" --arch "$ARCH" --release-kernel
    check "demo, x86_64, debug kernel" "$SCRIPTS/demo.sh" --arch "$ARCH" --memory 2G
    for program in "${PROGRAMS[@]}"; do
        check "$program, x86_64" "$SCRIPTS/run.sh" "$program" --arch "$ARCH"
    done
    # Its reports of faults are others: the kernel tells of an address above 4 GiB half.
    check "fault-demo, x86_64" "$SCRIPTS/run.sh" fault-demo --arch "$ARCH"
    for program in serve service-demo objects-demo system-demo upstream-spawn; do
        check "$program, x86_64" told_program "$program" --arch "$ARCH"
    done
    check "swap-demo, x86_64" "$SCRIPTS/swap-demo.sh" --arch "$ARCH"
    check "devices whose memory init maps, x86_64" device_memory --arch "$ARCH"
    check "large pages by the command line, x86_64" large_pages --arch "$ARCH"
    for ending in "${!ENDINGS[@]}"; do
        check "endings, $ending, x86_64" ends_saying "${ENDINGS[$ending]}" "$ending" --arch "$ARCH"
    done
    guest_tests debug --arch "$ARCH"
    guest_tests debug --arch "$ARCH" --memory 16M
    check "gaps beside a thread that computes, x86_64" "$SCRIPTS/run.sh" gaps --arch "$ARCH" \
        --release-kernel --icount --memory 64M
    check "gaps beside a thread that computes, x86_64, debug kernel" "$SCRIPTS/run.sh" gaps \
        --arch "$ARCH" --icount --memory 32M
    check "promises of the service, x86_64" "$SCRIPTS/run.sh" promises --arch "$ARCH" \
        --release-kernel --icount --memory 64M --timeout "$PROMISES_TIMEOUT"
    check "promises of the service, x86_64, 640 MiB" "$SCRIPTS/run.sh" promises --arch "$ARCH" \
        --release-kernel --icount --memory 640M --timeout "$PROMISES_TIMEOUT" -- dirty 120000
    check "a million slots and more, x86_64" million_slots --arch "$ARCH"
    check "debugger and program agree, x86_64" debugger_agrees --arch "$ARCH"
    check "debugger, stopped in a client's space, x86_64" debugger_in_a_client --arch "$ARCH"
    check "model against kernel, x86_64, 40000 calls" "$SCRIPTS/compare.sh" --arch "$ARCH" \
        --calls 40000 --seed 500
    check "bench, compared with the saved result, x86_64" "$SCRIPTS/bench.sh" --arch "$ARCH" \
        --baseline --only-compare
    check "stress, seed 4, x86_64" "$SCRIPTS/stress.sh" --arch "$ARCH" --seed 4 \
        --operations "$STRESS_OPERATIONS" --memory 64M --kernel release
    check "stress, trees of programs, x86_64" stress_trees --arch "$ARCH" --seed 3 --memory 64M \
        --kernel release
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
