# SPDX-License-Identifier: BSD-2-Clause
"""A root task on a terminal, as it goes on: time, how much it prints, faults, and memory if it tells of it.

What the program prints goes by above, a line at a time. Lines in the form of the stress run's
(`stress-data: {"map": "now", ...}`, see roottask/src/bin/stress/report/) draw the map of memory.
"""

import json
import re
import sys
import time
from collections import Counter

from rich.columns import Columns
from rich.live import Live
from rich.table import Table
from rich.text import Text

from stress_live import BARS, LiveScreen, ProgressBar, clock
from stress_screens import numbers
from stress_watch import DATA, NOW, PROGRESS

# As Incident's Display begins (vmm/src/sel4/faults/policy.rs).
FAULT = re.compile(r".*: (page fault, \w+ 0x|using capability 0x|receiving from capability 0x|system call 0x|exception \d)")
# How often it is drawn again, a second.
OFTEN = 4
# Seconds of which the rate is drawn.
PAST = 24


class RunScreen(LiveScreen):
    """Shows a run of a program that may take `limit` seconds (None: any)."""

    def __init__(self, program, limit, console=None, clock_now=time.monotonic):
        super().__init__(sys.stdout, limit, None, console)
        self.program, self.limit, self.now = program, limit, clock_now
        self.begun = self.heard = clock_now()
        self.rest, self.lines, self.fault_count, self.seconds = b"", 0, 0, Counter()

    def __enter__(self):
        self.live = Live(console=self.console, get_renderable=self.draw, refresh_per_second=OFTEN,
                         redirect_stdout=False, redirect_stderr=False, vertical_overflow="crop")
        self.live.start()
        return self

    def __exit__(self, *_):
        if self.rest:
            self.take(self.rest)
            self.rest = b""
        self.finish()

    def feed(self, data):
        """Takes more of what is printed."""
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.take(line)

    def take(self, line):
        """Counts a line, and shows it if it is for people."""
        line = line.replace(b"\r", b"").decode(errors="replace")
        self.heard = self.now()
        if line.startswith(DATA):
            self.take_data(line)
            return
        self.lines += 1
        self.seconds[int(self.heard - self.begun)] += 1
        self.fault_count += bool(FAULT.match(line))
        if found := PROGRESS.search(line):
            self.figures, self.phase = numbers(found), found["phase"]
        else:
            self.show(line)

    def take_data(self, line):
        """Maps are drawn; all else is for reports."""
        try:
            told = json.loads(line.removeprefix(DATA))
            if told.get("map") == NOW and isinstance(told["squares"], str) and isinstance(told["spaces"], int):
                self.told = told
        except (ValueError, AttributeError, KeyError):
            self.show(line)

    def draw_bar(self):
        """How long it has run, and how long it may."""
        taken = int(self.now() - self.begun)
        if self.limit is None:
            return Text(f"{self.program}  {clock(taken)}", style="bold", overflow="ellipsis", no_wrap=True)
        grid = Table.grid(padding=(0, 1), expand=True)
        for ratio in (None, 1, None):
            grid.add_column(no_wrap=True, ratio=ratio)
        left = max(0, self.limit - taken)
        grid.add_row(f"{self.program} {clock(taken)}", ProgressBar(self.limit, min(taken, self.limit)),
                     f"ended in {clock(left)}")
        return grid

    def draw_figures(self):
        """The figures, as many beside each other as fit."""
        now = int(self.now() - self.begun)
        rates = [self.seconds[second] for second in range(max(0, now - PAST), now + 1)]
        most = max(max(rates), 1)
        line = "".join(BARS[min(len(BARS) - 1, rate * len(BARS) // most)] for rate in rates)
        shown = [
            ("lines", f"{self.lines:,}"), ("faults reported", f"{self.fault_count:,}"),
            ("quiet for", f"{int(self.now() - self.heard)} s"), ("lines/s", f"{rates[-1]:,} {line}"),
        ]
        if self.told:
            shown.append(("spaces", f"{self.told['spaces']:,}"))
        if self.figures:
            number = self.figures
            shown += [("phase", self.phase), ("pages live", f"{number['pages']:,}"),
                      ("free", f"{number['free'] / 1024:,.1f} MiB"), ("faults", f"{number['faults']:,}")]
        return Columns([Text.assemble((f"{name} ", "dim"), value) for name, value in shown], padding=(0, 3))
