# SPDX-License-Identifier: BSD-2-Clause
"""Tests of the live view of a stress run."""

import io
import json
import os
import signal
import sys
import unittest

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import stress
import stress_test
from fake_qemu import HAS_RICH, needs_rich
from stress_test import MARKER, WELL, printing, progress
from stress_watch import PROGRESS

if HAS_RICH:
    import rich.console
    import rich.text

    from stress_live import LiveScreen, shrink


@needs_rich
class Live(stress_test.StressTest):
    """The live view on a terminal."""

    NOW = ('stress-data: {"map":"now","operation":128,"phase":"churn","free_bytes":4096,"spaces":3,'
           '"square_bytes":4096,"squares":"AAAABBBBrrrrffff................"}')

    def show(self, columns, rows, letters=False):
        """What a terminal of some size shows when all was told."""
        console = rich.console.Console(file=io.StringIO(), force_terminal=True, width=columns, height=rows,
                                       color_system=None if letters else "256", legacy_windows=False)
        screen = LiveScreen(console.file, 60, 20000, console)
        for seconds, operations in ((29, 100), (30, 5000)):
            screen.progress("", PROGRESS.search(progress(seconds, operations)))
        screen.map(json.loads(self.NOW.removeprefix("stress-data: ")))
        screen.finish()
        with console.capture() as shown:
            console.print(screen.draw())
        return rich.text.Text.from_ansi(shown.get()).plain.splitlines()

    def test_it_fits_whatever_there_is(self):
        for columns, rows in ((200, 60), (80, 24), (40, 20), (20, 24)):
            shown = self.show(columns, rows)
            self.assertLessEqual(max(map(len, shown)), columns)
            self.assertLess(len(shown), rows, (columns, rows))

    def test_it_shows_what_goes_on(self):
        shown = "\n".join(self.show(100, 30))
        for words in ("0:30", "0:30 left", "phase map large", "operations 5,000", "spaces 3", "pages live 1,006",
                      "free 9.5 MiB, 98.7 % fragmented", "faults 14, 0/s", "rate 1,234/s", "■ frames",
                      "▀▀▀▀"):
            self.assertIn(words, shown)
        self.assertNotIn("■ objects", shown, "only what there is has a legend")

    def test_without_colours_it_shows_letters(self):
        shown = self.show(100, 30, letters=True)
        self.assertIn("AAAABBBBrrrrffff................", shown)
        self.assertTrue(any("f frames" in line for line in shown))

    def test_a_large_map_is_made_smaller(self):
        self.assertEqual(shrink("AABBBBrr", 4), "ABBr")
        self.assertEqual(shrink("AABBBBrr", 3), "ABr")
        self.assertEqual(shrink("AAB", 3), "AAB")

    def test_lines_stay_and_the_map_is_not_kept(self):
        code, printed = self.run_in_terminal(printing([MARKER, progress(1, 100), self.NOW, "stress: hello", *WELL]))
        self.assertEqual(code, 0)
        self.assertIn("▀", printed)
        self.assertIn("stress: hello\r\n", printed)
        self.assertNotIn("stress-data", printed)
        self.assertIn("\x1b[?25h", printed, "the cursor is there again")
        self.assertIn("stress: passed: ", printed.splitlines()[-1])
        self.assertFalse(any("map" in told for told in self.saved()))

    def test_the_first_interrupt_is_answered(self):
        def act(terminal, _):
            self.wait_for_sample()
            os.write(terminal, b"\x03")

        code, printed = self.run_in_terminal(stress_test.LISTENING, act=act)
        self.assertEqual(code, -signal.SIGINT)
        self.assertIn("asked to finish, and to check", printed)

    def test_there_is_none_without_a_terminal(self):
        wanted = stress.parse(["--watch"])
        self.assertTrue(wanted.live)
        for words in ([], ["--plain"], ["--quiet"], ["--json"]):
            self.assertFalse(stress.parse(words).live)


if __name__ == "__main__":
    unittest.main()
