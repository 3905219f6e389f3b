# SPDX-License-Identifier: BSD-2-Clause
"""What is shown of a stress run: lines, as few as possible, or JSON. The live view is in stress_live.py."""

import json
import os
import shutil

# What even a quiet screen shows.
IMPORTANT = ("stress: FAILED", "stress: HUNG", "stress: repeat with")
ASKED = (b"\nstress.sh: the guest is asked to finish and to check what is left behind; "
         b"Ctrl-C again ends it at once\n")


class Screen:
    """Where lines are shown, and below them, on a terminal, how far the run is, written over."""

    def __init__(self, stream):
        self.stream, self.status = stream, ""

    def write(self, text):
        """Writes at once."""
        self.stream.write(text)
        self.stream.flush()

    def show(self, line):
        """Shows a line that stays."""
        if self.status:
            self.write("\r\x1b[K" + line + "\n" + self.status)
        else:
            self.write(line + "\n")

    def progress(self, line, found):
        """Shows how far the run is."""
        if not self.stream.isatty():
            self.show(line)
            return
        # One column is left free, or some terminals would begin a new line.
        self.status = in_short(found)[: shutil.get_terminal_size().columns - 1]
        self.write("\r\x1b[K" + self.status)

    def map(self, told):
        """Shows physical memory as it is now, where there is room for that."""

    def ask(self):
        """Says that the guest was asked to finish. Called at any moment: nothing of Python's may be used."""
        try:
            os.write(2, ASKED)
        except OSError:
            pass

    def finish(self):
        """The line that was written over stays as it is."""
        if self.status:
            self.status = ""
            self.write("\n")

    def verdict(self, well, text):
        """Shows how it went: the last line."""
        self.finish()
        self.write(f"stress: {'passed' if well else 'failed'}: {text}\n")


class Quiet(Screen):
    """Shows what failed, if anything did, and the verdict."""

    def show(self, line):
        if line.startswith(IMPORTANT):
            super().show(line)

    def progress(self, line, found):
        pass


class Json(Screen):
    """Shows a JSON object a line: `progress`, `line` (any other that the guest prints), last `passed`."""

    def put(self, told):
        """Shows an object."""
        self.write(json.dumps(told) + "\n")

    def show(self, line):
        self.put({"line": line})

    def progress(self, line, found):
        self.put({"progress": {**numbers(found), "phase": found["phase"]}})

    def verdict(self, well, text):
        self.put({"passed": well, "verdict": text})


def numbers(found):
    """The numbers of a line of progress, by name."""
    return {name: int(text) for name, text in found.groupdict().items() if name != "phase"}


def in_short(found):
    """The progress in one line, what matters most first."""
    number = numbers(found)
    minutes, seconds = divmod(number["seconds"], 60)
    return (
        f"{minutes}:{seconds:02} | {number['operations']:,} operations, {number['rate']:,}/s | "
        f"{found['phase']} | {number['pages']:,} pages live | {number['free'] / 1024:,.1f} MiB free, "
        f"{number['permille'] / 10:.1f} % fragmented | {number['faults']:,} faults"
    )
