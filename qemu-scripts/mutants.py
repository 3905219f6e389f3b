# SPDX-License-Identifier: BSD-2-Clause
"""Draws mutants at random from those that cargo-mutants lists, and runs the host suites on each.

All mutants that were drawn go into one build (mutant_switch.py). What does not compile there is
tried by itself with `cargo check`: what does not compile there either is unviable; the rest (in a
`const fn`, for instance) is built and run by itself with `--singly`, and otherwise not run.
"""

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import files
import mutant_switch

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "mutants"
# The packages, and where they lie.
PACKAGES = {
    "untyped-alloc": "untyped-alloc",
    "page-tables": "page-tables",
    "vmm": "vmm",
    "vmm-service": "vmm/service",
}
SUITES = [*PACKAGES, "vmm-tests"]
TESTS = ["core", "faults", "objects", "regressions", "sequence", "service"]
# The suites in the order in which they are run on a mutant, the quickest first: a binary, what of it
# is run, and what is not.
STAGES = [
    ("core", ["manager", "addresses"], ["first_try"]),
    ("core", ["allocator", "short_cuts", "state_machine", "small_scope"], []),
    ("faults", [], []),
    ("untyped_alloc", [], []),
    ("vmm", [], []),
    ("regressions", [], []),
    ("sequence", [], []),
    ("objects", [], []),
    ("service", [], []),
    ("core", ["failures::starved", "first_try"], []),
    ("core", ["failures::calls"], []),
]
QUICK = {"PROPTEST_CASES": "8", "SMALL_SCOPE_SECONDS": "0", "REFUSED_ERRORS": "1"}


def run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def listed(patterns):
    """All mutants that cargo-mutants would make, by the repository's configuration."""
    command = ["cargo", "mutants", "--list", "--json", "-d", str(ROOT)]
    command += [word for package in PACKAGES for word in ("-p", package)]
    command += [word for pattern in patterns for word in ("-f", pattern)]
    done = run(command, cwd=ROOT)
    if done.returncode != 0:
        sys.exit(f"cargo mutants cannot list them:\n{done.stderr}")
    return json.loads(done.stdout)


def draw(mutants, count, seed):
    """A sample that is the same for the same list and seed."""
    mutants = sorted(mutants, key=lambda mutant: mutant["name"])
    if count is None or count >= len(mutants):
        return mutants
    return sorted(random.Random(seed).sample(mutants, count), key=lambda mutant: mutant["name"])


def copy_tree(tree):
    """The files of the repository, changed ones too, where mutants may be made of them."""
    for name in files.of_checkout(ROOT):
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        text = (ROOT / name).read_bytes()
        # What has not changed keeps its time, so that cargo does not build it again.
        if not target.is_file() or target.read_bytes() != text:
            shutil.copy(ROOT / name, target)


def write_if_changed(path, text):
    if not path.is_file() or path.read_text() != text:
        path.write_text(text)


def write_switched(tree, mutants):
    """Writes the sources with all mutants in them; returns the lines that are whose, by file."""
    by_file, lines = {}, {}
    for number, mutant in mutants.items():
        by_file.setdefault(mutant["file"], []).append((number, mutant))
    for folder in PACKAGES.values():
        source = folder + "/src/lib.rs"
        by_file.setdefault(source, [])
        for path in sorted((ROOT / folder / "src").rglob("*.rs")):
            by_file.setdefault(str(path.relative_to(ROOT)), [])
    for file, own in by_file.items():
        text, lines[file] = mutant_switch.switch((ROOT / file).read_text(), own)
        if file.endswith("/src/lib.rs"):
            text += mutant_switch.SWITCH
        write_if_changed(tree / file, text)
    return lines


def errors(done):
    """Files and lines that the compiler's errors name."""
    for line in done.stdout.splitlines():
        if not line.startswith("{"):
            continue
        message = json.loads(line).get("message")
        if isinstance(message, dict) and message.get("level") == "error":
            for span in message["spans"]:
                if span["is_primary"]:
                    yield span["file_name"], span["line_start"], message["message"]


def cargo(what, *words):
    command = ["cargo", what, "--profile", "mutants", "--message-format", "json", "--lib"]
    command += [word for name in TESTS for word in ("--test", name)]
    return command + [word for package in SUITES for word in ("-p", package)] + list(words)


def environment():
    changed = {**os.environ, **QUICK, "RUSTFLAGS": "-Awarnings", "RUSTC_BOOTSTRAP": "1"}
    changed["CARGO_TARGET_DIR"] = str(WORK / "target")
    return changed


def build(tree, mutants):
    """Leaves out what does not compile together until the rest does. Returns the mutants that are
    in the build, and those that are not."""
    left_out = {}
    while True:
        inside = {n: mutant for n, mutant in mutants.items() if n not in left_out}
        lines = write_switched(tree, inside)
        done = run(cargo("check"), cwd=tree, env=environment())
        if done.returncode == 0:
            return inside, left_out
        blamed = set()
        for file, line, _ in errors(done):
            blamed |= mutant_switch.blamed(lines.get(file, []), line)
        blamed |= {number for each in lines.values() for first, _, number in each if first == 0}
        if not blamed:
            sys.exit("it does not build, and no mutant is to blame:\n"
                     + "\n".join(map(str, errors(done))) + done.stderr[-3000:])
        print(f"{len(blamed)} do not compile beside the others", flush=True)
        left_out.update({number: mutants[number] for number in blamed})


def binaries(tree):
    done = run(cargo("test", "--no-run"), cwd=tree, env=environment())
    found = {}
    for line in done.stdout.splitlines():
        made = json.loads(line) if line.startswith("{") else {}
        if made.get("executable") and made.get("profile", {}).get("test"):
            found[made["target"]["name"]] = made["executable"]
    if done.returncode != 0 or not found:
        sys.exit(f"the suites do not build:\n{done.stderr[-3000:]}")
    return found


def stages_of(mutant):
    """The suites that can notice it: nothing below the service uses it."""
    of_service = mutant["file"].startswith(PACKAGES["vmm-service"] + "/")
    return [stage for stage in STAGES if stage[0] in ("objects", "service")] if of_service else STAGES


def try_mutant(found, number, seconds, stages=None):
    """How a mutant ends: ("caught", the test), ("timeout", the stage) or ("missed", None)."""
    for binary, only, skipped in stages or STAGES:
        if binary not in found:
            continue
        command = [found[binary], "-q", "-Zunstable-options", "--fail-fast", *only]
        command += [word for name in skipped for word in ("--skip", name)]
        try:
            done = run(command, env={**environment(), "MUTANT": str(number)}, timeout=seconds,
                       cwd=ROOT / "tests")
        except subprocess.TimeoutExpired:
            return "timeout", f"{binary} {' '.join(only)}".strip()
        if done.returncode != 0:
            failed = re.search(r"^---- (\S+) stdout ----$", done.stdout, re.MULTILINE)
            last = re.findall(r"^\s+(\S+::\S+)$", done.stdout, re.MULTILINE)
            name = failed.group(1) if failed else (last[-1] if last else binary)
            return "caught", name
    return "missed", None


def alone(tree, mutant, seconds, singly):
    """What becomes of a mutant that cannot be compiled beside others."""
    write_switched(tree, {})
    path = tree / mutant["file"]
    source = path.read_text()
    text = mutant_switch.Text(source)
    first, last = text.span(mutant["span"])
    path.write_text(source[:first] + mutant["replacement"] + source[last:])
    if run(cargo("check"), cwd=tree, env=environment()).returncode != 0:
        return "unviable", None
    if not singly:
        return "not run", None
    return try_mutant(binaries(tree), 0, seconds)


def main():
    parser = argparse.ArgumentParser(
        prog="mutants.sh", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sample", type=int, help="how many to draw (default: all)")
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn (default 1)")
    parser.add_argument("--file", action="append", default=[], help="only of files like this")
    parser.add_argument("--name", help="only those whose name has this in it")
    parser.add_argument("--seconds", type=int, default=60, help="for each suite (default 60)")
    parser.add_argument("--singly", action="store_true", help="build alone what must be")
    parser.add_argument("--list", action="store_true", help="print what is drawn, and run nothing")
    wanted = parser.parse_args()
    mutants = draw(listed(wanted.file), wanted.sample, wanted.seed)
    mutants = [each for each in mutants if wanted.name is None or wanted.name in each["name"]]
    if wanted.list:
        print("\n".join(mutant["name"] for mutant in mutants))
        return 0
    tree = WORK / "tree"
    copy_tree(tree)
    inside, outside = build(tree, dict(enumerate(mutants, 1)))
    found = binaries(tree)
    begun = time.time()
    if (ended := try_mutant(found, 0, 10 * wanted.seconds))[0] != "missed":
        sys.exit(f"without a mutant the suites fail: {ended}")
    print(f"{len(mutants)} drawn with seed {wanted.seed}, {len(inside)} in one build; without a "
          f"mutant the suites take {time.time() - begun:.0f} s", flush=True)
    ends = {}

    def tell(mutant, end):
        ends.setdefault(end[0], []).append(mutant["name"])
        print(f"{end[0]:8} {mutant['name']}{'   ' + end[1] if end[1] else ''}", flush=True)

    for number, mutant in inside.items():
        tell(mutant, try_mutant(found, number, wanted.seconds, stages_of(mutant)))
    for mutant in outside.values():
        tell(mutant, alone(tree, mutant, wanted.seconds, wanted.singly))
    print(", ".join(f"{len(names)} {end}" for end, names in sorted(ends.items())))
    return 1 if "missed" in ends else 0


if __name__ == "__main__":
    sys.exit(main())
