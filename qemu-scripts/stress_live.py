# SPDX-License-Identifier: BSD-2-Clause
"""A stress run on a terminal, as it goes on: what is left to do, the figures, physical memory as a map.

It takes whatever width and height there is; lines that the guest prints go by above it.
"""

from collections import Counter

from rich.columns import Columns
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stress_screens import Screen, numbers

# The guest's letters for what memory is used for (report/memory_map.py): a colour and a short name.
USES = {
    "A": ("green4", "free, large"), "B": ("green3", "free"), "C": ("dark_sea_green", "free, small"),
    "r": ("yellow3", "ready"), "f": ("dodger_blue1", "frames"), "L": ("blue", "large frames"),
    "t": ("magenta", "page tables"), "k": ("cyan", "objects"), "b": ("red", "book-keeping"),
    "x": ("grey50", "left over"), ".": ("grey19", "not ours"),
}
BARS = "▁▂▃▄▅▆▇█"


class LiveScreen(Screen):
    """Shows a run that is limited by `seconds` or `operations` (None where it is not)."""

    def __init__(self, stream, seconds, operations, console=None):
        super().__init__(stream)
        self.limits = {"seconds": seconds, "operations": operations}
        self.console = console or Console(file=stream, highlight=False)
        self.live = None
        self.figures, self.phase, self.told, self.rates, self.faults = None, "", None, [], 0
        self.asked = False

    def show(self, line):
        self.console.print(Text(line), soft_wrap=True)

    def ask(self):
        self.asked = True

    def progress(self, line, found):
        before, self.figures, self.phase = self.figures, numbers(found), found["phase"]
        self.rates = [*self.rates, self.figures["rate"]][-24:]
        self.faults = max(0, self.figures["faults"] - before["faults"]) if before else 0
        self.refresh()

    def map(self, told):
        self.told = told
        self.refresh()

    def refresh(self):
        """Draws it again."""
        if self.figures is None:
            return
        if self.live is None:
            self.live = Live(console=self.console, get_renderable=self.draw, auto_refresh=False,
                             redirect_stdout=False, redirect_stderr=False, vertical_overflow="crop")
            self.live.start()
        self.live.refresh()

    def finish(self):
        if self.live and self.live.is_started:
            self.live.stop()

    def draw(self):
        """All of it."""
        parts = [self.draw_bar(), self.draw_figures()]
        if self.asked:
            parts.append(Text("asked to finish, and to check what is left behind; Ctrl-C again ends it at once",
                              style="bold"))
        if self.told:
            legend = self.draw_legend()
            # One line is to spare, where the cursor stands.
            room = self.console.height - 1 - sum(map(self.lines_of, [*parts, legend]))
            parts += [self.draw_map(room), legend] if room > 0 else []
        return Group(*parts)

    def lines_of(self, part):
        """How many lines a part takes on this terminal."""
        return len(self.console.render_lines(part, pad=False))

    def draw_bar(self):
        """What is done and what is left, of whatever ends the run first."""
        if self.phase.startswith("warm-up"):
            return Text(f"{clock(self.figures['seconds'])}  before the run: {self.phase}", style="bold",
                        overflow="ellipsis", no_wrap=True)
        shares = {name: self.figures[name] / limit for name, limit in self.limits.items() if limit}
        name = max(shares, key=shares.get)
        limit, done = self.limits[name], min(self.figures[name], self.limits[name])
        left = f"{clock(limit - done)} left" if name == "seconds" else f"{limit - done:,} operations left"
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(no_wrap=True)
        grid.add_column(ratio=1)
        grid.add_column(no_wrap=True)
        grid.add_row(clock(self.figures["seconds"]), ProgressBar(limit, done), left)
        return grid

    def draw_figures(self):
        """The figures, as many beside each other as fit."""
        number, most = self.figures, max(max(self.rates), 1)
        line = "".join(BARS[min(len(BARS) - 1, rate * len(BARS) // most)] for rate in self.rates)
        shown = [
            ("phase", self.phase), ("operations", f"{number['operations']:,}"),
            ("pages live", f"{number['pages']:,}"),
            ("free", f"{number['free'] / 1024:,.1f} MiB, {number['permille'] / 10:.1f} % fragmented"),
            ("faults", f"{number['faults']:,}, {self.faults:,}/s"), ("rate", f"{number['rate']:,}/s {line}"),
        ]
        if self.told:
            shown.insert(2, ("spaces", f"{self.told['spaces']:,}"))
        return Columns([Text.assemble((f"{name} ", "dim"), value) for name, value in shown], padding=(0, 3))

    def draw_map(self, height):
        """Physical memory, two squares in each character; letters where there are no colours."""
        width = self.console.width
        plain = self.console.no_color or not self.console.color_system
        per_line = width if plain else 2 * width
        squares = shrink(self.told["squares"], per_line * height)
        if plain:
            return Text("\n".join(squares[at:at + width] for at in range(0, len(squares), width)))
        drawn = Text(no_wrap=True)
        rows = [squares[at:at + width].ljust(width) for at in range(0, len(squares), width)]
        for upper, lower in zip(rows[::2], [*rows[1::2], " " * width]):
            for above, below in zip(upper, lower):
                # Behind the end of memory there is nothing.
                drawn.append("▀" if above in USES else " ", f"{colour(above)} on {colour(below)}")
            drawn.append("\n")
        drawn.rstrip()
        return drawn

    def draw_legend(self):
        """What the colours, or the letters, mean."""
        there = [letter for letter in USES if letter in self.told["squares"]]
        plain = self.console.no_color or not self.console.color_system
        return Columns([
            Text.assemble((letter if plain else "■", USES[letter][0]), " ", USES[letter][1]) for letter in there
        ], padding=(0, 2))


def clock(seconds):
    """Seconds as minutes and seconds."""
    return f"{seconds // 60}:{seconds % 60:02}"


def colour(letter):
    """The colour of a square; where there is none, the terminal's own."""
    return USES[letter][0] if letter in USES else "default"


def shrink(squares, room):
    """At most as many squares as there is room for, each as most of those that it stands for."""
    each = -(-len(squares) // max(room, 1))
    if each <= 1:
        return squares
    return "".join(Counter(squares[at:at + each]).most_common(1)[0][0] for at in range(0, len(squares), each))
