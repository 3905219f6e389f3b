# SPDX-License-Identifier: BSD-2-Clause
"""Boots Linux with one program in it, and shows its figures beside the benchmark's. Called by linux-compare.sh."""

import argparse
import json
import os
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import bench
import files
import interrupts
import machine
import toolchain

SCRIPT = "linux-compare.sh"
# Seconds that Linux may take.
LIMIT = 300
COMMAND_LINE = "console=ttyS0 quiet panic=-1 mitigations=off nokaslr randomize_kstack_offset=off"
# What each row is, on Linux and here.
ROWS = {
    "region_pair": ("mmap of one page and munmap, no memory", "reserve and release"),
    "region_of_1": ("mmap of one page with its memory", "map"),
    "release_of_1": ("munmap of that", "release"),
    "touch_64m": ("first write to each page of 64 MiB", "the same, 16 pages a fault"),
    "touch_64m_large": ("the same, huge pages", "the same, in large pages where it is dense"),
    "touch_64m_used": ("the same again", "of memory that was used before"),
    "touch_64m_used_direct": ("the same again", "the same, with a direct map in which it was before"),
    "populate_64m": ("MADV_POPULATE_WRITE of 64 MiB", "map"),
    "release_64m": ("munmap of that", "release"),
    "protect_64m": ("mprotect of 64 MiB to read-only", "protect_on_demand"),
    "protect_64m_read": ("and a read of each page", "the same, 16 pages a fault"),
    "protect_64m_large": ("mprotect of 64 MiB in huge pages", "protect, of large pages"),
    "protect_64m_large_read": ("and a read of each page", "the same"),
    "fork_64m": ("fork of a program with 64 MiB", "clone_space_on_demand, and a thread"),
    "fork_64m_write": ("and the child writes to 1 % of it", "the same"),
    "fork_64m_read": ("and reads each page", "the same, 16 pages a fault"),
    "cow_break_64m": ("each of these writes", "the same"),
    "fork_64m_large": ("fork, 64 MiB of huge pages", "the same, which cuts large pages"),
    "fork_64m_large_write": ("and the child writes to 1 % of it", "the same"),
    "fork_64m_large_read": ("and reads each page", "the same"),
}
# Here memory was cleared before in these rows, and on Linux it is cleared in them: so what clearing costs
# is added.
CLEARED_BEFORE = ("touch_64m", "touch_64m_large", "populate_64m")
CLEARING = "clear_page"
# What must not cost more here.
AT_MOST_LINUX = ("region_pair", "region_of_1", "release_of_1", "touch_64m", "touch_64m_large",
                 "touch_64m_used_direct", "populate_64m", "release_64m")
# A turn of the loop that shows that a tick is an instruction. The clock's interrupts come into it.
LOOP, LOOP_INSTRUCTIONS, LOOP_MARGIN = "loop_of_2", 2, 0.03


def cpio(files_within):
    """An archive as Linux takes it for its first file system ("newc"): of name, mode, device and contents."""
    whole = b""
    for name, mode, (major, minor), data in (*files_within, ("TRAILER!!!", 0, (0, 0), b"")):
        named = name.encode() + b"\0"
        fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(named), 0)
        for part in (b"070701" + b"".join(b"%08X" % field for field in fields) + named, data):
            whole += part + b"\0" * (-len(part) % 4)
    return whole


def first_file_system(program):
    """One that has a console and the program."""
    return cpio((
        ("dev", 0o40755, (0, 0), b""),
        ("dev/console", 0o20600, (5, 1), b""),
        ("init", 0o100755, (0, 0), program),
    ))


def boot_linux(kernel, memory, program):
    """What Linux and the program print. The machine is the benchmark's, but for what it boots."""
    archive = toolchain.BUILD / "linux-init.cpio"
    archive.write_bytes(first_file_system(Path(program).read_bytes()))
    booted = machine.Machine("x86_64", "release", memory, archive, icount=True)
    booted.boot(os.path.relpath(kernel, toolchain.BUILD), COMMAND_LINE)
    try:
        with booted:
            printed = b"".join(booted.output(LIMIT)).decode(errors="replace")
    except machine.Hung:
        raise interrupts.Failed(f"Linux did not end within {LIMIT} seconds", machine.HUNG) from None
    if booted.status() != machine.SUCCESS:
        last = "\n".join(printed.splitlines()[-20:])
        raise interrupts.Failed(f"{last}\n{machine.why_failed(booted.status(), 'Linux')}")
    return printed


def check_loop(rows, where):
    """Raises Failed if instructions are not what was counted."""
    found = rows[LOOP]["instructions"]
    if abs(found / LOOP_INSTRUCTIONS - 1) > LOOP_MARGIN:
        raise interrupts.Failed(f"{where} a turn of a loop of {LOOP_INSTRUCTIONS} instructions counts {found:g}: "
                                "what is counted is no instructions, so the figures would mean nothing")


def by_name(rows, where, others=()):
    """The rows by their names, all of them and those others."""
    found = {row["name"]: row for row in rows}
    missing = [name for name in (LOOP, *ROWS, *others) if name not in found]
    if missing:
        raise interrupts.Failed(f"{where} there is no row {', '.join(missing)}: linux/init.c and program.rs differ")
    return found


def compare(linux, here):
    """One object for each row, of what either costs."""
    for name in ROWS:
        ours, theirs = here[name]["instructions"], linux[name]["instructions"]
        clearing = here[CLEARING]["instructions"] if name in CLEARED_BEFORE else 0
        yield {
            "name": name,
            "unit": linux[name]["unit"],
            "linux": theirs,
            "here": ours,
            "clearing": clearing,
            "ratio": round((ours + clearing) / theirs, 2),
        }


def figure(value):
    """To one place, where there would else be one digit."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def show(rows):
    """Prints the table."""
    heads = ("operation", "unit", "Linux", "here", "+ clearing", "here / Linux", "on Linux; here")
    lines = [heads]
    for row in rows:
        clearing = figure(row["clearing"]) if row["clearing"] else ""
        figures = (figure(row["linux"]), figure(row["here"]), clearing, f"{row['ratio']:.2f}")
        lines.append((row["name"], row["unit"], *figures, "; ".join(ROWS[row["name"]])))
    widths = [max(len(line[at]) for line in lines) for at in range(len(heads))]
    for line in lines:
        print("  ".join(text.rjust(width) if 2 <= at <= 5 else text.ljust(width)
                        for at, (text, width) in enumerate(zip(line, widths))).rstrip())


def faults(rows):
    """Rows that cost more here and must not."""
    for row in rows:
        if row["name"] in AT_MOST_LINUX and row["here"] + row["clearing"] > row["linux"]:
            yield f"{row['name']}: {row['ratio']} times what it costs on Linux"


def parse_arguments(words):
    """What linux-compare.sh passes on."""
    parser = argparse.ArgumentParser(description=__doc__)
    for option in ("--memory", "--kernel", "--package", "--init"):
        parser.add_argument(option, required=True)
    parser.add_argument("--json")
    parser.add_argument("output")
    return parser.parse_args(words)


def main(words):
    """Returns the exit code."""
    arguments = parse_arguments(words)
    here = by_name(bench.read_rows(arguments.output), "on seL4", [CLEARING])
    interrupts.tell(SCRIPT, f"booting {arguments.package}")
    printed = boot_linux(arguments.kernel, arguments.memory, arguments.init)
    linux = by_name(bench.rows_in(printed.splitlines()), "on Linux")
    check_loop(here, "on seL4")
    check_loop(linux, "on Linux")
    rows = list(compare(linux, here))
    if arguments.json:
        files.write_whole(arguments.json, json.dumps(rows, indent=2) + "\n")
    print(f"{arguments.package} beside seL4 5.0.0 with the manager: instructions, by the unit")
    show(rows)
    wrong = list(faults(rows))
    for fault in wrong:
        print(f"not held: {fault}")
    return 1 if wrong else 0


if __name__ == "__main__":
    interrupts.main(SCRIPT, main, sys.argv[1:])
