# SPDX-License-Identifier: BSD-2-Clause
"""Watches a stress run: shows what it prints, asks it to finish, ends it when it hangs.

The guest names the physical address of a page in which it keeps the number of its operation and that
operation's kind. When nothing was heard for as long as --silence says, QEMU's monitor is asked for the
number.

How it is shown is up to a screen (stress_screens.py, stress_live.py). What the guest prints for a
report is kept and not shown, but for the maps of a live view, which are shown and not kept.
"""

import re
import select
import signal
import time

import interrupts
import machine

# What asks the guest to finish (roottask/src/bin/stress/input/console.rs).
FINISH = b"q"
MARKER = re.compile(r"stress: marker at physical 0x([0-9a-f]+)")
FAILED = re.compile(r"stress: FAILED: .*operation (\d+) ")
ASKED = re.compile(r"stress: asked to finish")
DONE = re.compile(r"stress: (\d+) operations, \d+ kernel calls")
BALANCE = re.compile(r"stress: (\S.*?) +(\d+) +(\d+)  (?:the same|DIFFERENT)$")
PROGRESS = re.compile(
    r"stress: (?P<seconds>\d+) s, (?P<operations>\d+) operations, (?P<rate>\d+)/s, (?P<phase>.+), "
    r"(?P<pages>\d+) pages live, (?P<free>\d+) KiB free, fragmentation (?P<permille>\d+) permille, "
    r"(?P<faults>\d+) faults"
)
DATA = "stress-data: "
# The name of the maps that a live view asks for.
NOW = "now"


def ask_monitor(monitor, command, seconds=1):
    """What QEMU's monitor answers to a command."""
    monitor.setblocking(False)
    monitor.sendall(command.encode() + b"\n")
    answer, end = b"", time.monotonic() + seconds
    while time.monotonic() < end:
        if select.select([monitor], [], [], 0.2)[0]:
            answer += monitor.recv(4096)
    return answer.decode(errors="replace")


def operation_of(monitor, marker):
    """The number of the operation that runs, or None."""
    if marker is None:
        return None
    try:
        answer = ask_monitor(monitor, f"xp /1wd 0x{marker}")
    except OSError:
        return None
    found = re.findall(r"[0-9a-f]{8,16}:\s+(\d+)", answer)
    return int(found[-1]) if found else None


class Watch:
    """A run that is watched."""

    def __init__(self, booted, account, screen, *, silence, repeat):
        self.machine, self.account, self.screen = booted, account, screen
        self.silence, self.repeat = silence, repeat
        self.monitor = booted.add_monitor()
        self.marker = self.failed = self.last = self.phase = None
        # Whether somebody pressed Ctrl-C, and whether the guest knows.
        self.asked = self.told = False
        self.end_line = ""

    def run(self):
        """Returns the exit code, without regard to whether it was asked to finish."""
        try:
            with self.machine:
                signal.signal(signal.SIGINT, self.interrupted)
                self.take_all()
        except machine.Hung:
            self.screen.finish()
            return machine.HUNG
        finally:
            signal.signal(signal.SIGINT, interrupts.came)
            self.monitor.close()
        self.screen.finish()
        if self.machine.status() == machine.SUCCESS:
            return 0
        if not self.end_line:
            self.end_line = "FAILED: " + machine.why_failed(self.machine.status(), "stress")
        self.say_how_to_repeat(self.failed)
        return 1

    def interrupted(self, number, frame):
        """Ctrl-C: the first one asks the guest to finish, the second one ends it."""
        if self.asked:
            interrupts.came(number, frame)
        self.asked = True
        self.screen.ask()
        self.machine.say(FINISH)

    def take_all(self):
        """Takes note of all that the guest prints."""
        rest = b""
        try:
            for data in self.machine.output(silence=lambda: self.silence):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self.take(line.replace(b"\r", b"").decode(errors="replace"))
        except machine.Hung:
            self.tell_hung()
            raise

    def say_how_to_repeat(self, operations):
        """Says with which command what happened happens again."""
        if operations:
            self.repeat += f" --operations {operations}"
        self.account.add({"repeat": self.repeat})
        self.screen.show(f"stress: repeat with: {self.repeat}")

    def take(self, line):
        """Takes note of a line, and shows it."""
        if line.startswith(DATA):
            self.take_data(line)
        elif found := MARKER.search(line):
            self.marker = found.group(1)
        elif found := PROGRESS.search(line):
            self.take_progress(found)
            self.screen.progress(line, found)
        else:
            self.take_note(line)
            self.screen.show(line)

    def take_data(self, line):
        """Takes note of a line for the report. One that was cut short is shown."""
        try:
            told = self.account.read(line[len(DATA):])
            if told.get("map") == NOW:
                self.screen.map(told)
            else:
                self.account.add(told)
        except ValueError:
            self.screen.show(line)

    def take_progress(self, found):
        """Takes note of how far it is."""
        self.last, self.phase = int(found["operations"]), found["phase"]
        if not self.phase.startswith("warm-up"):
            self.account.add({"progress": self.last})
        if self.asked and not self.told:
            # The kernel, while it boots, may have thrown it away.
            self.machine.say(FINISH)

    def take_note(self, line):
        """Keeps what the report, the verdict and the command to repeat it want."""
        if found := FAILED.search(line):
            self.failed, self.end_line = int(found.group(1)), line
        elif found := BALANCE.search(line):
            self.account.add({"balance": [found[1], int(found[2]), int(found[3])]})
        elif found := DONE.search(line):
            self.account.add({"progress": int(found[1])})
        elif ASKED.search(line):
            self.told = True
            self.account.add({"asked": True})

    def tell_hung(self):
        """Says where it hangs."""
        number = operation_of(self.monitor, self.marker)
        where = f"in operation {number}" if number is not None else f"after operation {self.last}"
        self.end_line = f"stress: HUNG {where}: nothing was heard for {self.silence} seconds"
        self.screen.finish()
        self.screen.show(self.end_line)
        self.say_how_to_repeat(number if number is not None else (self.last or 0) + 1)

    def ended(self, why):
        """What is known of a run that was ended before its end."""
        done = self.account.data["done"]
        where = f"{done:,} operations" if done else "no operation, in the warm-up"
        phase = f", in the phase {self.phase}" if done and self.phase else ""
        return f"Ended early by {why}, after {where}{phase}: what was left behind was not checked"
