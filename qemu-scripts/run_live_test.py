# SPDX-License-Identifier: BSD-2-Clause
"""Tests of the live view of a program."""

import io
import os
import pty
import sys
import unittest

sys.dont_write_bytecode = True  # leave nothing beside the scripts

from fake_qemu import HAS_RICH, PATIENCE, SCRIPTS, ScriptTest, needs_rich, needs_set_up
import stress_live_test

if HAS_RICH:
    import rich.console
    import rich.text

    from run_live import RunScreen

NOW = stress_live_test.Live.NOW
FAULT = b"worker-3: page fault, writing 0x1effc, instruction at 0x804900a\n"


class Clock:
    """A time that goes on when it is told to."""

    def __init__(self):
        self.seconds = 100.0

    def __call__(self):
        return self.seconds


@needs_rich
class View(unittest.TestCase):
    """What the view has, for terminals of several sizes."""

    def show(self, columns=100, rows=30, limit=60, told=()):
        """What it shows when all was told, a second for each piece; and what went by above."""
        console = rich.console.Console(file=io.StringIO(), force_terminal=True, width=columns, height=rows,
                                       color_system="256", legacy_windows=False)
        clock = Clock()
        screen = RunScreen("hello", limit, console, clock)
        for data in told:
            clock.seconds += 1
            screen.feed(data)
        clock.seconds += 2
        with console.capture() as shown:
            console.print(screen.draw())
        return rich.text.Text.from_ansi(shown.get()).plain.splitlines(), console.file.getvalue()

    def test_it_counts_what_is_printed(self):
        shown, above = self.show(told=[b"one\r\ntw", b"o\n" + FAULT, b"three: exception 6, code 0x0, instruction\n"])
        shown = "\n".join(shown)
        for words in ("hello 0:05", "ended in 0:55", "lines 4", "faults reported 2", "quiet for 2 s"):
            self.assertIn(words, shown)
        self.assertEqual(above.splitlines()[:2], ["one", "two"])

    def test_memory_is_shown_if_it_is_told(self):
        shown, above = self.show(told=[NOW.encode() + b"\n", b"stress-data: {broken\n"])
        self.assertIn("spaces 3", "\n".join(shown))
        self.assertTrue(any("▀" in line for line in shown))
        self.assertNotIn('"map"', above)
        self.assertIn("{broken", above, "a line that was cut short is shown")

    def test_it_fits_whatever_there_is(self):
        for columns, rows in ((200, 60), (80, 24), (40, 20), (20, 24)):
            shown, _ = self.show(columns, rows, None, [NOW.encode() + b"\n", FAULT])
            self.assertLessEqual(max(map(len, shown)), columns)
            self.assertLess(len(shown), rows, (columns, rows))


@needs_set_up
class RunWatch(ScriptTest):
    """run.sh --watch, with and without a terminal."""

    LINES = "printf 'one\\r\\ntwo'; exit 33"

    def test_without_a_terminal_there_are_plain_lines(self):
        self.fake_qemu(self.LINES)
        code, printed, said = self.run_script(SCRIPTS / "run.sh", self.elf, "--watch")
        self.assertEqual((code, printed, said), (0, b"one\r\ntwo", ""))

    @needs_rich
    def test_on_a_terminal_lines_stay_and_the_cursor_comes_back(self):
        self.fake_qemu(self.LINES)
        self.environment["TERM"] = "xterm-256color"
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        process = self.start(SCRIPTS / "run.sh", self.elf, "--watch", stdout=theirs)
        os.close(theirs)
        printed = b""
        while True:
            try:
                data = os.read(ours, 65536)
            except OSError:
                break
            if not data:
                break
            printed += data
        self.assertEqual(process.wait(PATIENCE), 0)
        for words in (b"one\r\n", b"two\r\n", b"lines", b"\x1b[?25h"):
            self.assertIn(words, printed)


if __name__ == "__main__":
    unittest.main()
