"""Tests of stress.py, with a shell script in place of the guest."""

import json
import os
import pty
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent / "stress.py"
MARKER = "stress: marker at physical 0x1000"
SAMPLE = 'stress-data: {"sample":[128,1000,4096,4096,4096,0,1,0,7,"churn"]}'


def progress(seconds, operations):
    """What the guest prints once a second."""
    return (
        f"stress: {seconds} s, {operations} operations, 1234/s, map large, 1006 pages live, "
        "9742 KiB free, fragmentation 987 permille, 14 faults"
    )


class StressTest(unittest.TestCase):
    """A guest that prints some lines and ends."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.data = self.folder / "data.json"

    def command(self, lines, end="exit 0"):
        """The command that watches such a guest."""
        guest = self.folder / "guest"
        printing = "".join(f"printf '%s\\n' '{line}'\n" for line in lines)
        guest.write_text(f"{printing}{end}\n", encoding="utf-8")
        return [
            sys.executable, str(SCRIPT), "--silence", "4", "--repeat", "stress.sh --seed 1",
            "--data", str(self.data), "sh", str(guest), "--", "seed=1",
        ]

    def run_in_pipe(self, lines, end="exit 0"):
        """The exit code, and what was printed to a pipe."""
        done = subprocess.run(self.command(lines, end), stdout=subprocess.PIPE, check=False)
        return done.returncode, done.stdout.decode()

    def run_in_terminal(self, lines, columns):
        """What was printed to a terminal of so many columns."""
        master, slave = pty.openpty()
        environment = {**os.environ, "COLUMNS": str(columns), "LINES": "24"}
        with subprocess.Popen(self.command(lines), stdout=slave, env=environment):
            os.close(slave)
            printed = b""
            # At the end of what is written to it a terminal fails to be read.
            try:
                while data := os.read(master, 4096):
                    printed += data
            except OSError:
                pass
        os.close(master)
        return printed.decode()

    def saved(self):
        """What was saved for the report."""
        return json.loads(self.data.read_text(encoding="utf-8"))

    def test_in_a_pipe_every_line_is_a_line(self):
        lines = [progress(1, 100), "stress: hello", progress(2, 300)]
        code, printed = self.run_in_pipe([MARKER, *lines])
        self.assertEqual((code, printed.splitlines()), (0, lines))

    def test_on_a_terminal_progress_is_one_line(self):
        lines = [progress(1, 100), progress(62, 1234567), "stress: hello"]
        printed = self.run_in_terminal([MARKER, *lines], 200)
        status = (
            "\r\x1b[K1:02 | 1,234,567 operations, 1,234/s | map large | 1,006 pages live | "
            "9.5 MiB free, 98.7 % fragmented | 14 faults"
        )
        self.assertIn(status, printed)
        self.assertNotIn("seconds", printed)
        self.assertNotIn(lines[0], printed)
        shown = [line.split("\x1b[K")[-1] for line in printed.splitlines() if line.strip("\r")]
        # The line that stays, and what was on the screen when the guest ended.
        self.assertIn("stress: hello", shown)
        self.assertTrue(printed.endswith("14 faults\r\n"), repr(printed))
        # Between two states of the progress no line begins.
        between = printed[printed.index("0:01 |"):printed.index("1:02 |")]
        self.assertNotIn("\n", between)

    def test_a_line_is_no_wider_than_the_terminal(self):
        printed = self.run_in_terminal([MARKER, progress(1, 100)], 40)
        status = printed.split("\x1b[K")[-1].rstrip()
        self.assertLess(len(status), 40)
        self.assertTrue(status.startswith("0:01 | 100 operations"))

    def test_data_are_saved_and_not_shown(self):
        maps = [f'stress-data: {{"map":"fullest","free_bytes":{free}}}' for free in (2, 1)]
        balance = "stress: free bytes             10           11  DIFFERENT"
        code, printed = self.run_in_pipe([MARKER, SAMPLE, *maps, balance])
        self.assertEqual((code, printed.splitlines()), (0, [balance]))
        saved = self.saved()
        self.assertEqual(saved["samples"][0][:2], [128, 1000])
        self.assertEqual(saved["maps"]["fullest"]["free_bytes"], 1)
        self.assertEqual(saved["balance"], [["free bytes", 10, 11]])
        self.assertEqual(saved["status"], 0)

    def test_data_that_were_cut_short_are_shown(self):
        code, printed = self.run_in_pipe([MARKER, SAMPLE[:40]])
        self.assertEqual((code, printed.splitlines()), (0, [SAMPLE[:40]]))

    def test_a_failure_says_how_to_repeat_it(self):
        failure = "stress: FAILED: seed 1, operation 77 (map), phase churn: not so"
        code, printed = self.run_in_pipe([MARKER, failure], "exit 1")
        self.assertEqual(code, 1)
        self.assertIn("stress: repeat with: stress.sh --seed 1 --operations 77", printed)
        self.assertEqual((self.saved()["status"], self.saved()["end"]), (1, failure))

    def test_silence_counts_as_hung(self):
        code, printed = self.run_in_pipe([MARKER, progress(1, 100)], "exec sleep 60")
        self.assertEqual(code, 124)
        self.assertIn("stress: HUNG after operation 100", printed)
        self.assertIn("repeat with: stress.sh --seed 1 --operations 101", printed)
        self.assertEqual(self.saved()["status"], 124)


if __name__ == "__main__":
    unittest.main()
