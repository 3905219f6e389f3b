"""Watches a stress run: shows what it prints, ends it when it hangs, says how to repeat a failure.

The guest names the physical address of a page in which it keeps the number of its operation and that
operation's kind. When nothing was heard for as long as --silence says, QEMU's monitor is asked for the
number.

On a terminal the guest's progress is one line that is written over; otherwise a line each. What the
guest prints for a report is not shown; --data has it written to a file.
"""

import argparse
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HUNG = 124
# Seconds until the guest is heard for the first time: set-up may have to build everything.
SET_UP = 3600
MARKER = re.compile(r"stress: marker at physical 0x([0-9a-f]+)")
FAILED = re.compile(r"stress: FAILED: .*operation (\d+) ")
BALANCE = re.compile(r"stress: (\S.*?) +(\d+) +(\d+)  (?:the same|DIFFERENT)$")
PROGRESS = re.compile(
    r"stress: (?P<seconds>\d+) s, (?P<operations>\d+) operations, (?P<rate>\d+)/s, (?P<phase>.+), "
    r"(?P<pages>\d+) pages live, (?P<free>\d+) KiB free, fragmentation (?P<permille>\d+) permille, "
    r"(?P<faults>\d+) faults"
)
DATA = "stress-data: "


def ask_monitor(path, command, seconds=5):
    """What QEMU's monitor answers to a command."""
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.settimeout(seconds)
        monitor.connect(path)
        monitor.sendall(command.encode() + b"\n")
        answer, end = b"", time.monotonic() + 1
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


class Screen:
    """Where lines are shown, and below them, on a terminal, how far the run is."""

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

    def finish(self):
        """The line that was written over stays as it is."""
        if self.status:
            self.status = ""
            self.write("\n")


def in_short(found):
    """The progress in one line, what matters most first."""
    number = {name: int(text) for name, text in found.groupdict().items() if name != "phase"}
    minutes, seconds = divmod(number["seconds"], 60)
    return (
        f"{minutes}:{seconds:02} | {number['operations']:,} operations, {number['rate']:,}/s | "
        f"{found['phase']} | {number['pages']:,} pages live | {number['free'] / 1024:,.1f} MiB free, "
        f"{number['permille'] / 10:.1f} % fragmented | {number['faults']:,} faults"
    )


class Account:
    """What the guest tells for a report, and how the run ended."""

    def __init__(self):
        self.data = {"samples": [], "maps": {}, "operations": [], "balance": []}
        self.start = None

    def take(self, text):
        """Takes note of one object of the guest's; raises ValueError where it is none."""
        told = json.loads(text)
        if "sample" in told:
            now = time.monotonic()
            self.start = self.start or now
            self.data["samples"].append([*told["sample"], round(now - self.start, 3)])
        elif "map" in told:
            # Of those of one name the last one counts.
            self.data["maps"].pop(told["map"], None)
            self.data["maps"][told["map"]] = told
        elif "operation" in told:
            self.data["operations"].append(told)
        else:
            self.data.update(told)

    def take_balance(self, what, before, after):
        """Takes note of what there was at the start and at the end."""
        self.data["balance"].append([what, int(before), int(after)])

    def save(self, path, status, end, repeat):
        """Writes all of it; end is what the run said last of how it went."""
        self.data.update(status=status, end=end, repeat=repeat)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self.data, file)


class Watch:
    """A run that is watched."""

    def __init__(self, arguments, screen):
        self.silence, self.repeat, self.screen = arguments.silence, arguments.repeat, screen
        self.account = Account()
        self.marker = self.failed = self.last = None
        self.end_line = ""
        self.folder = tempfile.TemporaryDirectory()
        self.monitor = os.path.join(self.folder.name, "monitor")
        command = arguments.command
        place = command.index("--")
        command = command[:place] + ["--monitor", self.monitor] + command[place:]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
        )

    def run(self):
        """Returns the exit code."""
        output, rest = self.process.stdout.fileno(), b""
        while True:
            patience = self.silence if self.marker else SET_UP
            if not select.select([output], [], [], patience)[0]:
                return self.hung()
            data = os.read(output, 65536)
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self.take(line.replace(b"\r", b"").decode(errors="replace"))
        status = self.process.wait()
        self.screen.finish()
        if status:
            self.say_how_to_repeat(self.failed)
        return status

    def say_how_to_repeat(self, operations):
        """Says with which command what happened happens again."""
        if operations:
            self.repeat += f" --operations {operations}"
        self.screen.show(f"stress: repeat with: {self.repeat}")

    def take(self, line):
        """Takes note of a line, and shows it."""
        if line.startswith(DATA):
            self.take_data(line)
        elif found := MARKER.search(line):
            self.marker = found.group(1)
        elif found := PROGRESS.search(line):
            self.last = int(found["operations"])
            self.screen.progress(line, found)
        else:
            self.take_note(line)
            self.screen.show(line)

    def take_data(self, line):
        """Takes note of a line for the report. One that was cut short is shown."""
        try:
            self.account.take(line[len(DATA):])
        except ValueError:
            self.screen.show(line)

    def take_note(self, line):
        """Keeps what the report and the command to repeat it want."""
        if found := FAILED.search(line):
            self.failed, self.end_line = int(found.group(1)), line
        elif found := BALANCE.search(line):
            self.account.take_balance(*found.groups())

    def hung(self):
        """Says where, and ends it."""
        number = operation_of(self.monitor, self.marker)
        where = f"in operation {number}" if number is not None else f"after operation {self.last}"
        self.end_line = f"stress: HUNG {where}: nothing was heard for {self.silence} seconds"
        self.screen.finish()
        self.screen.show(self.end_line)
        self.say_how_to_repeat(number if number is not None else (self.last or 0) + 1)
        self.end()
        return HUNG

    def end(self):
        """Ends what runs."""
        for sent in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, sent)
            except ProcessLookupError:
                return
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                continue


def parse_arguments(words):
    """What stress.sh passes on."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--silence", type=int, required=True, help="seconds until it counts as hung")
    parser.add_argument("--repeat", required=True, help="the command that repeats the run")
    parser.add_argument("--data", help="where the data of a report goes")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="run.sh, with a -- in it")
    return parser.parse_args(words)


def main(words):
    """Watches the command that is given."""
    # Ended from outside, it ends what it started, as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    arguments = parse_arguments(words)
    watch = Watch(arguments, Screen(sys.stdout))
    try:
        status = watch.run()
    except KeyboardInterrupt:
        watch.end()
        watch.screen.finish()
        status, watch.end_line = 130, "ended from outside"
    if arguments.data:
        watch.account.save(arguments.data, status, watch.end_line, watch.repeat)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
