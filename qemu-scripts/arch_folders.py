# SPDX-License-Identifier: BSD-2-Clause
"""Holds what depends on the architecture to the folders arch/ and to a list of exceptions."""

import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import files
import folder_check

DESCRIPTION = """\
A line of a Rust file that asks for `target_arch` or `target_pointer_width` is an offence outside of a
folder or a file of the name arch, unless EXCEPTIONS says why the file may have so many of them. So is a line
of a library that has the number of a page's bytes, of a page table's or of their logarithms in a shift, unless
SIZE_EXCEPTIONS does. An exception that is not needed any more is an offence, too."""

ASKS = re.compile(r"\btarget_(arch|pointer_width)\b")
# Sizes of pages, of what a table maps, and of their masks; shifts by the logarithms of these.
SIZES_OF_PAGES = re.compile(r"""(?<![\w.])(
    4096 | 4095 | 0x1000 | 0xfff | 0x3ff | 0x1ff | 0x20_?0000 | 0x40_?0000 | 0x1f_?ffff | 0x3f_?ffff | 0xffff_?f000
    | (?:<<|>>)\s(?:12|21|22|30|39|47|48)
)(?:[ui](?:8|16|32|64|size))?(?![\w.])""", re.VERBOSE)
# Below these a library lies: tests and programs may say what they expect in numbers.
LIBRARIES = ("heap/src/", "page-tables/src/", "sel4/src/", "sel4/root-task/src/", "untyped-alloc/src/", "vmm/src/",
             "vmm/client/src/", "vmm/service/src/", "vmm/c/src/")
# Suites run all architectures' descriptions on one host.
ALL_ON_A_HOST = "a description of 64 bits is left out where the host has words of 32"
SIZES = "an assertion of a node's size: bytes on words of 32 bits"
REFUSES = "refuses targets that there is no folder for"
# Each file, the most lines of it that ask, and why.
EXCEPTIONS = {
    "page-tables/src/shadow.rs": (1, SIZES),
    "untyped-alloc/src/state/nodes.rs": (1, SIZES),
    "vmm/src/state/extent_node.rs": (1, SIZES),
    "vmm/src/state/region.rs": (1, SIZES),
    "vmm/src/state/window.rs": (1, SIZES),
    "sel4/src/lib.rs": (2, REFUSES),
    "sel4/src/program.rs": (2, "an ELF header's fields lie in another order with words of 64 bits"),
    "sel4/mem/src/lib.rs": (2, "the crate is a file for each architecture, and nothing else"),
    "sel4/root-task/src/lib.rs": (1, REFUSES),
    "roottask/src/bin/compare.rs": (2, "chooses the sequence of calls that the model was given"),
    "tests/": (200, ALL_ON_A_HOST),
    "vmm/src/state/tests/": (5, ALL_ON_A_HOST),
}
THE_PAGE = "the smallest page, 4 KiB on all architectures of seL4: this names it"
ALIGNED = "an alignment must be a number, and is that of the smallest page"
SIZE_EXCEPTIONS = {
    "heap/src/global.rs": (1, ALIGNED),
    "heap/src/heap.rs": (1, THE_PAGE),
    "sel4/root-task/src/stack.rs": (3, ALIGNED),
    "untyped-alloc/src/allocator/clearing.rs": (1, "how much is little to clear: a time"),
    "untyped-alloc/src/state/slot_window.rs": (1, "how many slots a window has"),
    "vmm/client/src/objects/items.rs": (1, THE_PAGE),
    "vmm/client/src/types/limits.rs": (1, THE_PAGE),
    "vmm/src/sel4/kernel.rs": (6, ALIGNED),
    "vmm/src/state/region.rs": (4, "the bits of an address below a page, in which an edge has its rank"),
    "vmm/src/types/architecture.rs": (1, THE_PAGE),
}


def exception_for(exceptions, name):
    """The exception that a file is under, if there is one."""
    return next((key for key in exceptions if name == key or key.endswith("/") and name.startswith(key)), None)


def is_for_architectures(name):
    path = Path(name)
    return "arch" in path.parts[:-1] or path.stem == "arch"


def is_of_library(name):
    return name.startswith(LIBRARIES) and "tests" not in Path(name).parts


def search(root, names, pattern, exceptions, offence, does):
    """The lines that have what they must not, one sentence each: which offence it is, and what a line does."""
    counts = dict.fromkeys(exceptions, 0)
    found = []
    for name in names:
        lines = (root / name).read_text().splitlines()
        having = [number for number, line in enumerate(lines, 1) if pattern.search(line.split("//")[0])]
        key = exception_for(exceptions, name)
        if key:
            counts[key] += len(having)
        else:
            found += [f"{name}:{number}: {offence}" for number in having]
    for key, (most, reason) in exceptions.items():
        if counts[key] > most:
            found.append(f"{key}: {counts[key]} lines {does}, at most {most} may: {reason}")
        elif not counts[key]:
            found.append(f"{key}: is an exception, and no line does {does}")
    return found


def offences(root):
    """What is wrong, one sentence each."""
    names = [name for name in files.of_checkout(root, "*.rs") if not is_for_architectures(name)]
    asking = search(root, names, ASKS, EXCEPTIONS, "what depends on the architecture belongs to a folder arch/",
                    "ask for the architecture")
    sizes = search(root, filter(is_of_library, names), SIZES_OF_PAGES, SIZE_EXCEPTIONS,
                   "a page's size is data: geometry, ObjectSizes, PAGE_BYTES", "have a page's size as a number")
    return asking + sizes


if __name__ == "__main__":
    folder_check.main("arch_folders.py", DESCRIPTION, offences, f"{len(EXCEPTIONS) + len(SIZE_EXCEPTIONS)} exceptions, no offence", sys.argv[1:])
