# SPDX-License-Identifier: BSD-2-Clause
"""Holds what depends on the architecture to the folders arch/ and to a list of exceptions."""

import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import files
import options

ROOT = Path(__file__).resolve().parent.parent
DESCRIPTION = """\
A line of a Rust file that asks for `target_arch` or `target_pointer_width` is an offence outside of a
folder or a file of the name arch, unless EXCEPTIONS says why the file may have so many of them. An exception
that is not needed any more is an offence, too."""

ASKS = re.compile(r"\btarget_(arch|pointer_width)\b")
# Suites run all architectures' descriptions on one host.
ALL_ON_A_HOST = "a description of 64 bits is left out where the host has words of 32"
SIZES = "an assertion of a node's size: bytes on words of 32 bits"
REFUSES = "refuses targets that there is no folder for"
# Each file, the most lines of it that ask, and why.
EXCEPTIONS = {
    "page-tables/src/geometry.rs": (1, ALL_ON_A_HOST),
    "page-tables/src/shadow.rs": (1, SIZES),
    "untyped-alloc/src/state/nodes.rs": (1, SIZES),
    "vmm/src/state/extents.rs": (1, SIZES),
    "vmm/src/state/region.rs": (1, SIZES),
    "vmm/src/sel4/architecture.rs": (2, "chooses the one description that the program runs with"),
    "sel4/src/lib.rs": (2, REFUSES),
    "sel4/src/program.rs": (2, "an ELF header's fields lie in another order with words of 64 bits"),
    "sel4/mem/src/lib.rs": (2, "the crate is a file for each architecture, and nothing else"),
    "sel4/root-task/src/lib.rs": (1, REFUSES),
    "roottask/src/bin/compare.rs": (2, "chooses the sequence of calls that the model was given"),
    "tests/": (200, ALL_ON_A_HOST),
    "vmm/src/state/tests/": (5, ALL_ON_A_HOST),
}


def exception_for(name):
    """The exception that a file is under, if there is one."""
    return next((key for key in EXCEPTIONS if name == key or key.endswith("/") and name.startswith(key)), None)


def is_for_architectures(name):
    path = Path(name)
    return "arch" in path.parts[:-1] or path.stem == "arch"


def offences(root):
    """What is wrong, one sentence each."""
    counts = dict.fromkeys(EXCEPTIONS, 0)
    found = []
    for name in files.of_checkout(root, "*.rs"):
        if is_for_architectures(name):
            continue
        lines = (root / name).read_text().splitlines()
        asking = [number for number, line in enumerate(lines, 1) if ASKS.search(line.split("//")[0])]
        key = exception_for(name)
        if key:
            counts[key] += len(asking)
        else:
            found += [f"{name}:{number}: what depends on the architecture belongs to a folder arch/" for number in asking]
    for key, (most, reason) in EXCEPTIONS.items():
        if counts[key] > most:
            found.append(f"{key}: {counts[key]} lines ask for the architecture, at most {most} may: {reason}")
        elif not counts[key]:
            found.append(f"{key}: is an exception, and asks for nothing")
    return found


def main(words):
    parser = options.Parser("arch_folders.py", description=DESCRIPTION, usage="arch_folders.py [FOLDER]")
    parser.add_argument("folder", metavar="FOLDER", nargs="?", type=Path, default=ROOT,
                        help="a checkout (default: this one)")
    parser.add_help_option()
    found = offences(parser.parse_args(words).folder)
    if found:
        sys.exit("\n".join(found))
    print(f"arch_folders.py: {len(EXCEPTIONS)} exceptions, no offence")


if __name__ == "__main__":
    main(sys.argv[1:])
