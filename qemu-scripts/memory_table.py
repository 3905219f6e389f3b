# SPDX-License-Identifier: BSD-2-Clause
"""Shows what the manager's records take, and how large a small program's image is. Called by bench.sh --memory."""

import argparse
import struct
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import bench
import interrupts

# What each row is.
ROWS = {
    "page_in_bulk": "a page, of 8192 that were mapped by one request",
    "page_scattered": "a page, mapped alone, as every second one, in no order",
    "page_shared_in_bulk": "a page more that a second program has, of 1024 by one request",
    "page_shared_singly": "the same, each by a request of its own, in no order",
    "page_copy_on_write": "a page of a clone, of 1024",
    "page_copied_on_write": "the same, where every second page was written to, in no order",
    "region": "a region without memory",
    "space": "an address space",
    "tcb": "a thread control block",
    "thread": "a thread with stack, IPC buffer and guards, whose faults are answered",
    "manager": "all records, after hello has ended",
    "stack_of_hello": "the stack that hello needs",
}
# The most that a row is meant to have, where a word has 4 bytes: records are made of words.
GOALS = {"page_scattered": 20, "page_shared_singly": 40, "tcb": 60}
# The part of an ELF file that is loaded.
PT_LOAD = 1


def image_sizes(elf):
    """Bytes of the file that are loaded, and bytes of memory that they and what is zero at first take."""
    wide = elf[4] == 2
    # e_phoff and e_phentsize, e_phnum; p_type, p_filesz, p_memsz.
    (start,) = struct.unpack_from("<Q" if wide else "<I", elf, 32 if wide else 28)
    size, count = struct.unpack_from("<HH", elf, 54 if wide else 42)
    loaded = zeroed = 0
    for at in range(start, start + size * count, size):
        (kind,) = struct.unpack_from("<I", elf, at)
        in_file, in_memory = struct.unpack_from("<QQ" if wide else "<II", elf, at + (32 if wide else 16))
        if kind == PT_LOAD:
            loaded, zeroed = loaded + in_file, zeroed + in_memory
    return loaded, zeroed


def goal(name, value, word):
    """What a row was meant to have, and whether it does."""
    if name not in GOALS:
        return ""
    most = GOALS[name] * word // 4
    return f"at most {most}: {'held' if value <= most else 'not held'}"


def table(rows, word):
    """Lines of the table, each of some cells."""
    found = {row["name"]: row for row in rows}
    missing = [name for name in ROWS if name not in found]
    if missing:
        raise interrupts.Failed(f"there is no row {', '.join(missing)}")
    for name, what in ROWS.items():
        value = found[name]["bytes_per_page"]
        yield name, f"{value:,.1f}" if value < 1000 else f"{value:,.0f}", goal(name, value, word), what


def image_lines(programs):
    """The same of images, whose paths have the programs' names."""
    for path in map(Path, programs):
        in_file, in_memory = image_sizes(path.read_bytes())
        yield f"image_of_{path.name}", f"{in_file:,}", "", "bytes that are loaded from the file"
        yield f"memory_of_{path.name}", f"{in_memory:,}", "", "with what is zero at first, such as pools and stacks"


def main(words):
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--word", type=int, required=True)
    parser.add_argument("output")
    parser.add_argument("programs", nargs="*")
    arguments = parser.parse_args(words)
    lines = [("what", "bytes", "goal", ""), *table(bench.read_rows(arguments.output), arguments.word),
             *image_lines(arguments.programs)]
    widths = [max(len(line[at]) for line in lines) for at in range(4)]
    for line in lines:
        print("  ".join(text.rjust(width) if at == 1 else text.ljust(width)
                        for at, (text, width) in enumerate(zip(line, widths))).rstrip())
    return 0


if __name__ == "__main__":
    interrupts.main("bench.sh", main, sys.argv[1:])
