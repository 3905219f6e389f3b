# SPDX-License-Identifier: BSD-2-Clause
"""Tests of commands.py: it misses no command line that nothing runs, and no row that says what is not so."""

import sys
import unittest

sys.dont_write_bytecode = True  # leave nothing beside the scripts

from commands import commands, faults

SCRIPT = '''
boots() { "$SCRIPTS/run.sh" "$1"; }

one_lane() {
    check "hello" boots hello
    check "long" "$SCRIPTS/bench.sh" \\
        --baseline
}

other_lane() {
    echo nothing
}
'''
README = """
```sh
qemu-scripts/run.sh hello     # boots it
qemu-scripts/bench.sh   --baseline
```

`stress.sh --seconds 60` and `stress.sh`, `cargo` and `cargo run`.

```text
run.sh not a command
```
"""
BOOTS = ("qemu-scripts/run.sh hello", "one", '"$SCRIPTS/run.sh" "$1"')
BENCH = ("qemu-scripts/bench.sh --baseline", "one", '"$SCRIPTS/bench.sh" --baseline')
INLINE = (("stress.sh --seconds 60", "", "why not"), ("cargo run", "", "why not"))


class Commands(unittest.TestCase):
    """A document, a script, a table."""

    def check(self, rows, *wanted, script=SCRIPT, **documents):
        """Which faults are found."""
        told = {f"{name}.md": text for name, text in (documents or {"README": README}).items()}
        self.assertEqual(list(faults(told, script, rows)), list(wanted))

    def test_command_lines_are_found(self):
        found = ["qemu-scripts/run.sh hello", "qemu-scripts/bench.sh --baseline"]
        self.assertEqual(commands("README.md", README), [*found, "stress.sh --seconds 60", "cargo run"])
        self.assertEqual(commands("OTHER.md", README), found)

    def test_what_a_lane_runs_is_no_fault(self):
        self.check((BOOTS, BENCH, *INLINE))

    def test_a_command_without_a_row_is_one(self):
        self.check((BOOTS, *INLINE), "README.md: nothing says what runs: qemu-scripts/bench.sh --baseline")

    def test_a_row_without_a_command_is_one(self):
        self.check((BOOTS, BENCH), "no document has the command: qemu-scripts/bench.sh --baseline",
                   OTHER="```sh\nqemu-scripts/run.sh hello\n```\n")

    def test_a_lane_that_does_something_else_is_one(self):
        told = "the lane other does not do as is said of: qemu-scripts/run.sh hello"
        self.check((("qemu-scripts/run.sh hello", "other", BOOTS[2]), BENCH, *INLINE), told)
        self.check((BOOTS, BENCH, *INLINE), "the lane one does not do as is said of: qemu-scripts/run.sh hello",
                   script=SCRIPT.replace("boots hello", "true"))

    def test_a_lane_that_there_is_not_is_one(self):
        self.check(((BOOTS[0], "none", ""), BENCH, *INLINE),
                   "there is no lane none, which is to run: qemu-scripts/run.sh hello")


if __name__ == "__main__":
    unittest.main()
