"""Watches a stress run: shows what it prints, ends it when it hangs, says how to repeat a failure.

Usage: stress.py SILENCE REPEAT COMMAND...

The guest names the physical address of a page in which it keeps the number of its operation and that
operation's kind. When nothing was heard for SILENCE seconds since, QEMU's monitor is asked for the
number.
"""

import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time

HUNG = 124
# Seconds until the guest is heard for the first time: set-up may have to build everything.
SET_UP = 3600
MARKER = re.compile(rb"stress: marker at physical 0x([0-9a-f]+)")
FAILED = re.compile(rb"stress: FAILED: .*operation (\d+) ")
PROGRESS = re.compile(rb"stress: \d+ s, (\d+) operations")


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


class Watch:
    """A run that is watched."""

    def __init__(self, silence, repeat, command):
        self.silence, self.repeat = silence, repeat
        self.marker = self.failed = self.last = None
        self.folder = tempfile.TemporaryDirectory()
        self.monitor = os.path.join(self.folder.name, "monitor")
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
                self.take(line.replace(b"\r", b""))
        status = self.process.wait()
        if status:
            operations = f" --operations {self.failed}" if self.failed else ""
            print(f"stress: repeat with: {self.repeat}{operations}", flush=True)
        return status

    def take(self, line):
        """Takes note of a line, and shows it."""
        if found := MARKER.search(line):
            self.marker = found.group(1).decode()
            return
        if found := FAILED.search(line):
            self.failed = int(found.group(1))
        if found := PROGRESS.search(line):
            self.last = int(found.group(1))
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()

    def hung(self):
        """Says where, and ends it."""
        number = operation_of(self.monitor, self.marker)
        where = f"in operation {number}" if number is not None else f"after operation {self.last}"
        print(f"stress: HUNG {where}: nothing was heard for {self.silence} seconds")
        limit = number if number is not None else (self.last or 0) + 1
        print(f"stress: repeat with: {self.repeat} --operations {limit}", flush=True)
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


def main():
    """Watches the command that is given."""
    # Ended from outside, it ends what it started, as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    watch = Watch(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
    try:
        sys.exit(watch.run())
    except KeyboardInterrupt:
        watch.end()
        sys.exit(130)


main()
