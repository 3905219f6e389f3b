# SPDX-License-Identifier: BSD-2-Clause
"""Boots a part of the benchmark, and shows in which functions the instructions of its rows are. Called by
profile.sh."""

import sys

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import collections
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

import interrupts
import machine
import options
import toolchain

SCRIPT = "profile.sh"
DESCRIPTION = """\
Boots a part of bench on the release kernel in QEMU, and prints for each ROW how many instructions one
operation takes, in the kernel and in each function of the manager: those that are called, with all that the
compiler put into them. Without a ROW it prints the names of the rows."""
EPILOG = """\
PART is `first` for what bench does without an argument, or one of its arguments, such as `orders`.
A row has a breakdown if its operations are measured one by one.

Exit code: 0 success, 1 failure, 2 a mistake in the command line, 128 + N ended by signal N."""
# Where the kernel begins.
KERNEL = {"ia32": 0xE0000000, "x86_64": 1 << 63}
# Functions with fewer instructions are not named.
LEAST = 1
# By how many instructions the two ways to count may differ, of one operation.
TOLERANCE = 8


def make_parser():
    """All options."""
    parser = options.Parser(SCRIPT, description=DESCRIPTION, usage=f"{SCRIPT} PART [ROW...] [--arch ARCH]", epilog=EPILOG)
    parser.add_argument("part", metavar="PART", help="what is booted")
    parser.add_argument("rows", metavar="ROW", nargs="*", help="a row of the benchmark")
    parser.add_argument("--arch", metavar="ARCH", default="ia32",
                        type=options.one_of(toolchain.ARCHITECTURES, "an architecture"),
                        help="ia32 or x86_64 (default: ia32)")
    parser.add_help_option()
    return parser


def make_plugin(folder):
    """Compiles what counts, into a folder."""
    plugin = Path(folder) / "bench_profile.so"
    source = toolchain.SCRIPTS / "bench_profile.c"
    command = [os.environ.get("CC", "gcc"), "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC",
               "-o", str(plugin), str(source)]
    if toolchain.attend(command):
        raise interrupts.Failed("the plugin for QEMU cannot be built")
    return plugin


def boot(arch, elf, part, folder):
    """What the benchmark printed, and what was counted."""
    counted = Path(folder) / "counted"
    booted = machine.Machine(arch, "release", "512M", elf, icount=True,
                             arguments="" if part == "first" else part)
    booted.command += ["-plugin", f"{machine.doubled(make_plugin(folder))},out={machine.doubled(counted)}"]
    with booted:
        printed = b"".join(booted.output())
    if booted.status() != machine.SUCCESS:
        raise interrupts.Failed(f"bench failed: {machine.why_failed(booted.status(), 'bench')}")
    return printed.decode(errors="replace"), counted.read_text(encoding="ascii")


def rows_of(printed):
    """The rows whose operations were measured one by one, by name."""
    lines = (line.strip() for line in printed.splitlines())
    rows = [json.loads(line) for line in lines if line.startswith("{")]
    return {row["name"]: row for row in rows if "p99" in row}


def runs_of(counted):
    """The stretches that were counted: how often each came, and its blocks (address, instructions)."""
    runs = []
    for line in counted.splitlines():
        words = line.split()
        if words[0] == "run":
            runs.append((int(words[1]), []))
        else:
            runs[-1][1].append((int(words[0], 16), int(words[1]) * int(words[2])))
    return runs


def run_of(row, runs):
    """The stretch that is a row's operation, by its instructions; None if there is none."""
    mean = row["instructions"] / row["count"]
    far = lambda run: abs(sum(count for _, count in run[1]) / run[0] - mean)
    alike = [run for run in runs if run[0] * 3 > row["count"]]
    nearest = min(alike, key=far, default=None)
    return nearest if nearest and far(nearest) < TOLERANCE else None


def short(name):
    """A function's name without paths and parameters: its type and itself."""
    name = re.sub(r"<impl ([^<>]*(?:<[^<>]*>)?[^<>]*)>", lambda match: match[1].split("<")[0], name)
    while "<" in name and (bare := re.sub(r"<[^<>]*>", "", name)) != name:
        name = bare
    return "::".join(part for part in name.split("::")[-2:] if part)


def functions_of(elf, addresses):
    """The function that each address is in."""
    told = subprocess.run(["addr2line", "-e", str(elf), "-f", "-i", "-C", "-a"], check=True, text=True,
                          input="\n".join(map(hex, addresses)), capture_output=True).stdout
    functions, at = {}, None
    for number, line in enumerate(told.splitlines()):
        if line.startswith("0x"):
            at, first = int(line, 16), number
        elif (number - first) % 2:
            # The last that is told is the one that was not put into another.
            functions[at] = short(line)
    return functions


def breakdown(run, kernel, functions):
    """Instructions of one operation: all, the kernel's, and by function, most first."""
    turns, blocks = run
    parts = collections.Counter()
    for address, count in blocks:
        parts["the kernel" if address >= kernel else functions.get(address, "?")] += count / turns
    return sum(parts.values()), parts.pop("the kernel", 0), parts.most_common()


def show(name, row, parts):
    """Prints the breakdown of a row."""
    whole, kernel, functions = parts
    floor = f", floor {row['floor'] / row['count']:,.0f}" if row.get("floor") else ""
    print(f"{name}: {whole:,.0f} instructions{floor}")
    print(f"{kernel:10,.1f}  the kernel")
    for function, count in functions:
        if count >= LEAST:
            print(f"{count:10,.1f}  {function}")
    print(f"{sum(count for _, count in functions if count < LEAST):10,.1f}  others")


def main(words):
    """Returns the exit code."""
    wanted = make_parser().parse_args(words)
    # As bench.sh does: they cost look-ups up to 6 %.
    os.environ["VMM_WITHOUT_FRAME_POINTERS"] = "1"
    toolchain.set_up(wanted.arch)
    elf = toolchain.build_one(SCRIPT, wanted.arch, "release", "release", "bench")
    with tempfile.TemporaryDirectory() as folder:
        printed, counted = boot(wanted.arch, elf, wanted.part, folder)
    rows, runs = rows_of(printed), runs_of(counted)
    if not wanted.rows:
        print("\n".join(rows))
        return 0
    kernel, found = KERNEL[wanted.arch], []
    for name in wanted.rows:
        if name not in rows:
            raise interrupts.Failed(f"{wanted.part} has no row {name} of single operations")
        run = run_of(rows[name], runs)
        if run is None:
            raise interrupts.Failed(f"no stretch of instructions was counted that is as long as {name}")
        found.append((name, run))
    addresses = sorted({at for _, (_, blocks) in found for at, _ in blocks if at < kernel})
    functions = functions_of(elf, addresses)
    for name, run in found:
        show(name, rows[name], breakdown(run, kernel, functions))
    return 0


if __name__ == "__main__":
    interrupts.main(SCRIPT, main, sys.argv[1:])
