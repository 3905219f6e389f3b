# SPDX-License-Identifier: BSD-2-Clause
"""Holds the command lines of the documents to what test.sh runs: each is run there, or is the same as one.

A command line is a line of a block of Markdown that begins with ```sh, and in README.md also `code` with a
script or cargo and at least one argument. Each has a row here: the lane that runs it, and the words by which
test.sh does, somewhere in that lane's function or one that this calls. Where the two are not the same to the
letter, they differ in a number, a path or a name, or the one does all of the other. A row without a lane says why nothing runs it.
"""

import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import options

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = ("README.md", "READING.md", "RECIPES.md", "CONTRIBUTING.md")
BLOCK = re.compile(r"^ *```sh\n(.*?)^ *```$", re.M | re.S)
ANY_BLOCK = re.compile(r"^ *```.*?^ *```$", re.M | re.S)
INLINE = re.compile(r"`((?:[A-Z_]+=[^\s`]+ )*(?:qemu-scripts/[^\s`]+|\w+\.sh|cargo)(?: [^`\n]+)?)`")
COMMENT = re.compile(r"(^|\s)#.*")
# A shell's function: its name, then its lines.
FUNCTION = re.compile(r"^(\w+)\(\) (?:\{ ([^\n]*) \}|[{(]\n(.*?)^[})])$", re.M | re.S)

TABLE = (
    ("qemu-scripts/demo.sh", "qemu", '"$SCRIPTS/demo.sh" --memory "$memory"'),
    ("qemu-scripts/test.sh", "", "it is what runs all lanes"),
    ("qemu-scripts/test.sh x86_64 bench", "", "it is what runs lanes"),
    ("qemu-scripts/setup.sh", "oldest", '"$SCRIPTS/setup.sh"'),
    ("VMM_RUST=debian qemu-scripts/setup.sh", "oldest", 'env VMM_RUST=debian "$SCRIPTS/setup.sh"'),
    ('cp -r template ../my-task && ln -s "$PWD" ../my-task/vmm', "target",
     'cp -r "$ROOT/template" "$TEMPLATE" && ln -sfn "$ROOT" "$TEMPLATE/vmm"'),
    ("cd ../my-task && cargo run", "target", "in_template cargo run --locked"),
    ("qemu-scripts/cc.sh -o build/example.elf vmm/c/example/main.c", "qemu", '"$SCRIPTS/cc.sh" "$@" -o "$program"'),
    ("qemu-scripts/run.sh build/example.elf", "qemu", '"$SCRIPTS/run.sh" "$program" "$@"'),
    ("qemu-scripts/run.sh hello", "qemu", '"$SCRIPTS/run.sh" "$program" "${options[@]}"'),
    ("qemu-scripts/run.sh serve", "qemu", 'told_program "$program"'),
    ("run.sh objects-demo", "qemu", 'told_program "$program"'),
    ("qemu-scripts/swap-demo.sh", "qemu", '"$SCRIPTS/swap-demo.sh" "${options[@]}"'),
    ("qemu-scripts/swap-demo.sh --full --release-kernel all", "", "it is the same with more, and takes 20 minutes"),
    ("run.sh system-demo", "qemu", 'told_program "$program"'),
    ("qemu-scripts/doc.sh --open", "target", '"$SCRIPTS/doc.sh" --arch "$ARCH"'),
    ("run.sh fault-demo", "qemu", 'told_program "$program"'),
    ("qemu-scripts/run.sh fault-demo", "qemu", 'told_program "$program"'),
    ("run.sh service-demo", "qemu", 'told_program "$program"'),
    ("qemu-scripts/run.sh service-demo", "qemu", 'told_program "$program"'),
    ("run.sh endings -- CASE", "qemu", '"$SCRIPTS/run.sh" endings --timeout 30 "$@" -- "$case"'),
    ("run.sh dump-demo", "qemu", '"$SCRIPTS/run.sh" dump-demo'),
    ("qemu-scripts/run.sh dump-demo", "qemu", '"$SCRIPTS/run.sh" dump-demo'),
    ("run.sh gaps --release-kernel --icount", "qemu", '"$SCRIPTS/run.sh" gaps --release-kernel --icount'),
    ("qemu-scripts/run.sh --client snapshot", "qemu", '"$SCRIPTS/run.sh" --client snapshot'),
    ("run.sh --client FILE... [-- ARGUMENTS]", "qemu", '"$SCRIPTS/run.sh" --client "$folder/worker"'),
    ("run.sh PROGRAM", "qemu", '"$SCRIPTS/run.sh" "$program"'),
    ("stress.sh --memory 32M --seconds 60", "stress", '"$SCRIPTS/stress.sh" --seconds 600 --memory 32M'),
    ("qemu-scripts/stress.sh --memory 32M --seconds 60", "stress", '"$SCRIPTS/stress.sh" --seconds 600 --memory 32M'),
    ("qemu-scripts/stress.sh --memory 32M --seconds 60 --pacer", "stress", '"$SCRIPTS/stress.sh" --pacer --seed 1'),
    ("qemu-scripts/stress.sh --memory 32M --operations 20000 --seed 1", "stress",
     '"$SCRIPTS/stress.sh" --seed "$seed" --operations "$STRESS_OPERATIONS" --memory 32M'),
    ("qemu-scripts/stress.sh --memory 32M --operations 20000 --icount --report report.html", "stress",
     "report/report_test.py"),
    ("cargo test -p vmm-tests --test core", "host", "cargo test --no-fail-fast"),
    ("cargo build", "host", "cargo test --no-fail-fast"),
    ("cargo clippy", "host", "cargo clippy --all-targets"),
    ("cargo doc", "host", "cargo doc --no-deps"),
    ("cargo check", "target", "in_template cargo check --locked"),
    ("cargo test", "host", "cargo test --no-fail-fast"),
    ("cargo test NAME", "host", "cargo test --no-fail-fast"),
    ("VMM_MESSAGES=1000000 cargo test --test objects hostile", "host", "cargo test --no-fail-fast"),
    ("VMM_MESSAGES=1000000 cargo test --profile unchecked --test objects hostile", "thorough",
     "cargo test --profile unchecked --no-fail-fast"),
    ("VMM_HISTORIES=5000 cargo test --test objects foreseen", "host", "cargo test --no-fail-fast"),
    ("VMM_MESSAGES=1000000 cargo test --test service random", "host", "cargo test --no-fail-fast"),
    ("SMALL_SCOPE_SECONDS=60 cargo test --test core small_scope -- --nocapture", "host",
     "SMALL_SCOPE_SECONDS=30 cargo test --no-fail-fast"),
    ("cargo test --target i686-unknown-linux-gnu", "thorough", 'cargo test --no-fail-fast --target "$TARGET"'),
    ("qemu-scripts/debug.sh PROGRAM", "qemu", '"$SCRIPTS/debug.sh" dump-demo --commands'),
    ("qemu-scripts/debug.sh ipc-demo", "qemu", '"$SCRIPTS/debug.sh" dump-demo --commands'),
    ("addr2line -Cfipe build/target-ia32-debug/i686-unknown-linux-gnu/client/faller 0x401ce4", "qemu",
     'addr2line -Cfipe "$clients/rogue" "$instruction"'),
    ("qemu-scripts/bench.sh", "bench", '"$SCRIPTS/bench.sh" --baseline'),
    ("qemu-scripts/bench.sh --baseline", "bench", '"$SCRIPTS/bench.sh" --baseline'),
    ("qemu-scripts/profile.sh orders unmap_single", "bench", '"$SCRIPTS/profile.sh" orders unmap_single'),
    ("qemu-scripts/bench.sh --memory", "bench", '"$SCRIPTS/bench.sh" --memory'),
    ("qemu-scripts/linux-compare.sh", "linux", '"$SCRIPTS/linux-compare.sh"'),
    ("qemu-scripts/run.sh guest-tests", "qemu", '"$SCRIPTS/run.sh" guest-tests --timeout'),
    ("qemu-scripts/run.sh guest-tests --arch x86_64", "x86_64", 'guest_tests debug --arch "$ARCH"'),
    ("qemu-scripts/run.sh guest-tests -- NAME", "qemu", '"$SCRIPTS/run.sh" guest-tests -- $filters "$test"'),
    ("qemu-scripts/run.sh guest-tests -- --list", "qemu", '"$SCRIPTS/run.sh" guest-tests -- --list'),
    ("qemu-scripts/fuzz.sh vmm_ops --seconds 3600", "thorough", '"$SCRIPTS/fuzz.sh" "$target" --seconds 8'),
    ("qemu-scripts/miri.sh --all", "thorough", '"$SCRIPTS/miri.sh"'),
    ("qemu-scripts/mutants.sh --sample 300 --seed 1", "", "it takes hours; mutants_test.py tests how it chooses"),
    ("cargo mutants --file vmm/src/sharing/write.rs", "", "it takes a minute for each mutant"),
)


def commands(name, text):
    """The command lines of a document."""
    found = [COMMENT.sub("", line).strip() for block in BLOCK.findall(text) for line in block.splitlines()]
    if Path(name).name == "README.md":
        found += [line for line in INLINE.findall(ANY_BLOCK.sub("", text)) if " " in line]
    return [" ".join(line.split()) for line in found if line]


def functions(script):
    """The lines of each function of a shell script, as one."""
    joined = re.sub(r" *\\\n *", " ", script)
    return {name: short or long for name, short, long in FUNCTION.findall(joined)}


def lane_lines(lane, known):
    """What a lane runs: its function, and those that are named in it."""
    found, left = {}, [f"{lane}_lane"]
    while left:
        name = left.pop()
        if name in known and name not in found:
            found[name] = known[name]
            left += re.findall(r"\w+", known[name])
    return "\n".join(found.values())


def faults(documents, script, table):
    """What is wrong, a sentence each."""
    rows = {command: (lane, words) for command, lane, words in table}
    known, seen = functions(script), set()
    for name, text in documents.items():
        for command in commands(name, text):
            seen.add(command)
            if command not in rows:
                yield f"{name}: nothing says what runs: {command}"
    for command, (lane, words) in rows.items():
        if command not in seen:
            yield f"no document has the command: {command}"
        if lane and f"{lane}_lane" not in known:
            yield f"there is no lane {lane}, which is to run: {command}"
        elif lane and words not in lane_lines(lane, known):
            yield f"the lane {lane} does not do as is said of: {command}"


def main(words):
    parser = options.Parser("commands.py", description=__doc__, usage="commands.py [DOCUMENT...]")
    parser.add_argument("documents", metavar="DOCUMENT", nargs="*",
                        help="others than " + ", ".join(DOCUMENTS))
    parser.add_help_option()
    names = parser.parse_args(words).documents or [ROOT / name for name in DOCUMENTS]
    documents = {str(name): Path(name).read_text(encoding="utf-8") for name in names}
    folder = ROOT / "qemu-scripts"
    # Its functions may lie in files beside it.
    script = "\n".join(path.read_text(encoding="utf-8") for path in (folder / "test.sh", *folder.glob("lanes/*.sh")))
    wrong = list(faults(documents, script, TABLE))
    print("\n".join(wrong) or f"{len(TABLE)} command lines, each run by a lane or known not to be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
