# SPDX-License-Identifier: BSD-2-Clause
"""Boots swap-demo with a disk made for it, and looks at what it prints and at the disk. Called by swap-demo.sh.

The disk is a file below build/: a pattern, the area for pages, another pattern. Nothing may be written outside the
area, whatever happens to the disk, the driver or the machine.
"""

import sys

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import os
import random
import re
import tempfile
import time
from pathlib import Path

import interrupts
import machine
import options
import run
import toolchain

SCRIPT = "swap-demo.sh"
DESCRIPTION = """\
Boots swap-demo, whose programs use more memory than there is: the rest lies on a disk. CASE is one or
some of these; without any it is all of them."""
EPILOG = """\
Cases:
  all         one program sorts an array, one has a map; the driver is killed meanwhile
  bad-sector  a sector cannot be read: who touches its page faults, nothing else is lost
  bad-place   a sector cannot be written: nothing is lost
  full        the area is too small: who touches one page more faults, nothing else is lost
  cut-off     the disk ends within the area: the same
  killed      QEMU is killed at random moments

Exit code: 0 success, 1 failure, 2 a mistake in the command line, 128 + N ended by signal N."""

SECTOR, PAGE, MEBIBYTE = 512, 4096, 1 << 20
# Before and behind the area.
PATTERNS = (bytes(range(251)), bytes(reversed(range(251))))
AROUND = MEBIBYTE
LIMIT, FULL_LIMIT = 120, 3600
KILLS = 5

SMALL = {"memory": "64M", "places": 4096, "most": 384, "pool": 96, "blocks": 64, "run": 8, "heap": 2560,
         "keys": 21000, "kills": 3}
# 256 MiB of records in 4096 blocks, and a map of more than 64 MiB, on a machine of 64 MiB.
FULL = {"memory": "64M", "places": 120_000, "most": 7500, "pool": 1000, "blocks": 4096, "run": 256, "heap": 24_000,
        "keys": 700_000, "kills": 20}
KEEPERS = {"memory": "64M", "places": 1024, "most": 64, "pool": 32, "keeps": 400, "others": 16, "full": 0}

FIGURES = (r"^init: pager: [1-9][0-9]* faults, [0-9]+ hits, [1-9][0-9]* pages ahead$",
           r"^init: pager: [1-9][0-9]* reads of [1-9][0-9]* pages, [1-9][0-9]* writes of [1-9][0-9]*$")
KEPT = r"^init: all 16 pages of the other are right$"


class Case:
    """What is booted, with which disk, and what must be printed."""

    def __init__(self, name, told, settings, *expected, fault="", cut_off=0):
        self.name, self.told, self.settings, self.expected = name, told, settings, expected
        # What QEMU's blkdebug does to the disk, and how many bytes of the area there are not.
        self.fault, self.cut_off = fault, cut_off


def cases(full):
    """All of them, by name."""
    sizes = FULL if full else SMALL
    # In the middle of the place with this number.
    sector = (AROUND + 100 * PAGE) // SECTOR + 3
    fault = f"inject-error.0.event=none,file.inject-error.0.errno=5,file.inject-error.0.sector={sector}"
    found = [
        Case("all", "all", sizes, rf"^sorter: {sizes['blocks'] * 4096} records in order, of ",
             *FIGURES, rf"^init: the driver was ended and started again {sizes['kills']} times of {sizes['kills']}$",
             rf"^mapper: {sizes['keys']} keys found, in a map of ", r"^init: pager: .* [1-9][0-9]* hits, ", *FIGURES[1:]),
        Case("bad-sector", "faults", KEEPERS, r"^init: who touched page [0-9]+ has faulted$",
             r"^init: all of its 399 other pages are right$", KEPT, *FIGURES,
             r"^init: pager: .* [1-9][0-9]* refused, 0 places bad$", fault=f"{fault},file.inject-error.0.iotype=read"),
        Case("bad-place", "faults", KEEPERS, r"^init: nobody has faulted", KEPT, *FIGURES,
             r"^init: pager: .* 0 refused, 1 places bad$", fault=f"{fault},file.inject-error.0.iotype=write"),
        Case("full", "faults", KEEPERS | {"places": 128, "full": 1}, r"^init: who touched page [0-9]+ has faulted$",
             r"^init: all of its [1-9][0-9]+ other pages are right$", KEPT, *FIGURES,
             r"^init: pager: .* [1-9][0-9]* refused, 0 places bad$"),
        Case("cut-off", "faults", KEEPERS | {"places": 256, "full": 1},
             r"^driver: a disk of [0-9]+ sectors, 128 pages from sector 2048 on of 256 wanted$",
             r"^init: who touched page [0-9]+ has faulted$", r"^init: all of its [1-9][0-9]+ other pages are right$",
             KEPT, *FIGURES, cut_off=128 * PAGE),
        Case("killed", "for-ever", KEEPERS, r"^init: it keeps 400 pages$"),
    ]
    return {case.name: case for case in found}


def pattern(which, size):
    """So many bytes of one of the two patterns."""
    return (PATTERNS[which] * (size // len(PATTERNS[which]) + 1))[:size]


class Image:
    """A disk, which goes when this script does."""

    def __init__(self, pages, cut_off):
        toolchain.BUILD.mkdir(exist_ok=True)
        self.file = tempfile.NamedTemporaryFile(dir=toolchain.BUILD, prefix="disk.", suffix=".img")
        self.area, self.cut_off = pages * PAGE, cut_off
        self.file.write(pattern(0, AROUND))
        self.file.truncate(AROUND + self.area - cut_off)
        if not cut_off:
            self.file.seek(AROUND + self.area)
            self.file.write(pattern(1, AROUND))
        self.file.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def drive(self, fault):
        """It as a disk of QEMU's, with what its blkdebug does to it."""
        if not fault:
            return machine.drive(self.file.name)
        name = machine.doubled(os.path.abspath(self.file.name))
        return f"file.driver=blkdebug,file.image.driver=file,file.image.filename={name},file.{fault}"

    def was_written(self):
        """Whether there is anything in the area."""
        with open(self.file.name, "rb") as file:
            file.seek(AROUND)
            return any(any(file.read(MEBIBYTE)) for _ in range(0, self.area - self.cut_off, MEBIBYTE))

    def fault(self):
        """What is wrong with what is around the area; None if nothing is."""
        with open(self.file.name, "rb") as file:
            if file.read(AROUND) != pattern(0, AROUND):
                return "bytes before the area were written"
            file.seek(AROUND + self.area)
            behind = file.read()
        if behind != (b"" if self.cut_off else pattern(1, AROUND)):
            return "bytes behind the area were written, or it has another length"
        return None


def missing(expected, output):
    """The first of the expressions that matches no line behind that of the one before."""
    lines = iter(output.decode(errors="replace").replace("\r", "").split("\n"))
    return next((one for one in expected if not any(re.search(one, line) for line in lines)), None)


def boot(wanted, elf, case, image, limit, end_after=None):
    """Boots it; what it printed, and what is wrong. `end_after` is in seconds from the first line expected."""
    words = [f"{key}={value}" for key, value in case.settings.items() if key != "memory"]
    arguments = " ".join([case.told, f"first={AROUND // SECTOR}", *words])
    booted = machine.Machine(wanted.arch, wanted.kernel, case.settings["memory"], elf, arguments=arguments,
                             devices=["ide"], drive=image.drive(case.fault))
    output, end = b"", None
    try:
        with booted:
            try:
                for data in booted.output(limit, lambda: end and max(0, end - time.monotonic())):
                    machine.write_out(data)
                    output += data
                    if end_after is not None and end is None and not missing(case.expected, output):
                        end = time.monotonic() + end_after
            finally:
                if end:
                    # As a power cut would end it: without a moment for what it has not written.
                    booted.process.kill()
    except machine.Hung:
        return output, None if end else f"it did not end within {limit} seconds"
    if booted.status() != machine.SUCCESS or end_after is not None:
        return output, machine.why_failed(booted.status(), "swap-demo")
    return output, None


def attempt(wanted, elf, case, limit):
    """Whether a case is as it must be."""
    ends = [None] if case.name != "killed" else [random.uniform(0, 3) for _ in range(KILLS)]
    written = False
    for end_after in ends:
        begun = time.monotonic()
        with Image(case.settings["places"], case.cut_off) as image:
            output, fault = boot(wanted, elf, case, image, limit, end_after)
            lost = missing(case.expected, output)
            written |= image.was_written()
            fault = fault or (lost and f"missing from the output: {lost}") or image.fault()
        # Whoever is killed at once has written nothing yet.
        if end_after is ends[-1] and not written:
            fault = fault or "nothing was written to the area"
        if fault:
            interrupts.tell(SCRIPT, f"{case.name}: {fault}")
            return False
        killed = "" if end_after is None else f", killed {end_after:.2f} s later"
        interrupts.tell(SCRIPT, f"{case.name}: as it must be, the disk too ({time.monotonic() - begun:.0f} s{killed})")
    return True


def main(words):
    """Returns the exit code."""
    parser = options.Parser(SCRIPT, description=DESCRIPTION, usage=f"{SCRIPT} [options] [CASE...]", epilog=EPILOG)
    parser.add_argument("cases", metavar="CASE", nargs="*", help="what is tried",
                        type=options.one_of(list(cases(False)), "a case"))
    parser.add_argument("--full", action="store_true", help="256 MiB on a machine of 64 MiB: takes many minutes")
    parser.add_argument("--release-kernel", dest="kernel", action="store_const", const="release", default="debug",
                        help="the kernel without debug output and checks (default: the debug kernel)")
    run.add_arch_option(parser)
    parser.add_help_option()
    wanted = parser.parse_args(words)
    toolchain.set_up(wanted.arch)
    elf = Path(toolchain.build_one(SCRIPT, wanted.arch, wanted.kernel, "release", "swap-demo"))
    known, limit = cases(wanted.full), FULL_LIMIT if wanted.full else LIMIT
    right = [attempt(wanted, elf, known[name], limit) for name in wanted.cases or known]
    return 0 if all(right) else 1


if __name__ == "__main__":
    interrupts.main(SCRIPT, main, sys.argv[1:])
