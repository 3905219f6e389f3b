# SPDX-License-Identifier: BSD-2-Clause
"""What a stress run tells: kept as it comes, a JSON object a line, and read again.

The first line says what was run (`about`, `repeat`, `seed`); then come the objects that the guest prints
for a report, with the host's seconds behind each sample, how far the run is (`progress`), what there was
at the start and at the end (`balance`); the last line says how it went (`status`, `end`). A file without
that line is of a run that was cut short; so much as is there can be read.
"""

import json
import time

# The place of the operation's number in a sample.
OPERATION = 0


class Account:
    """What was told, in memory and, if a path is given, in a file that is written line by line."""

    def __init__(self, path=None, **about):
        self.data = {"samples": [], "maps": {}, "operations": [], "phases": [], "balance": [], "done": 0}
        self.path, self.file, self.start = path, None, None
        if path:
            self.file = open(path, "w", encoding="utf-8")
        self.add(about)

    def add(self, told):
        """Keeps an object. Raises OSError where it cannot be written."""
        if "sample" in told and self.file:
            now = time.monotonic()
            self.start = self.start or now
            told = {"sample": [*told["sample"], round(now - self.start, 3)]}
        note(self.data, told)
        if self.file:
            self.file.write(json.dumps(told) + "\n")
            self.file.flush()

    @staticmethod
    def read(text):
        """What the guest printed; raises ValueError where it is no object."""
        told = json.loads(text)
        if not isinstance(told, dict):
            raise ValueError(text)
        return told

    def close(self, status, end):
        """The run is over; `end` is what is known of why, if it did not go well.

        Where even this cannot be written, the file is one of a run that was cut short.
        """
        try:
            self.add({"status": status, "end": end})
            if self.file:
                self.file.close()
        except OSError:
            pass


def note(data, told):
    """Takes note of one object."""
    if "sample" in told:
        data["samples"].append(told["sample"])
        data["done"] = max(data["done"], told["sample"][OPERATION])
    elif "map" in told:
        # Of those of one name the last one counts.
        data["maps"].pop(told["map"], None)
        data["maps"][told["map"]] = told
    elif "operation" in told:
        data["operations"].append(told)
    elif "of_phase" in told:
        data["phases"].append(told)
    elif "balance" in told:
        data["balance"].append(told["balance"])
    elif "progress" in told:
        data["done"] = max(data["done"], told["progress"])
    else:
        data.update(told)


def load(path):
    """The data of a file. Raises ValueError if it is none; a last line that was cut short is left out."""
    data = {"samples": [], "maps": {}, "operations": [], "phases": [], "balance": [], "done": 0, "calls": {},
            "about": [], "status": None, "end": "", "repeat": "", "seed": 0}
    with open(path, encoding="utf-8") as file:
        lines = file.read().split("\n")
    for at, line in enumerate(lines):
        if line:
            try:
                note(data, json.loads(line))
            except (ValueError, TypeError, AttributeError):
                if at + 1 < len(lines):
                    raise ValueError(f"{path}, line {at + 1}: not what a stress run tells") from None
    if "run" not in data or not data["samples"]:
        raise ValueError(f"{path}: the run ended before there was anything to report")
    return data


def verdict(data):
    """Whether all was well, and how the run went, in a line."""
    done = f"{data['done']:,} operation" + ("" if data["done"] == 1 else "s") + f" on seed {data['seed']}"
    status, balance = data["status"], data["balance"]
    kept = balance and all(before == after for _, before, after in balance)
    if status == 0 and kept:
        early = ", ended early" if data.get("asked") else ""
        return True, f"Passed: {done}{early}, and everything is as it was at the start"
    if status == 0:
        # It cannot be; but who says so is better than who says that all was well.
        return False, f"Not known: {done} ended well, but did not tell what was left behind"
    if status is None:
        return False, f"Not known: cut short after {done}; what was left behind was not checked"
    if data["end"]:
        return False, data["end"].removeprefix("stress: ")
    if any(before != after for _, before, after in balance):
        return False, f"FAILED: after {done} not everything was given back"
    return False, f"FAILED: after {done} with exit code {status}"
