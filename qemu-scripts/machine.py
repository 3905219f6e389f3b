# SPDX-License-Identifier: BSD-2-Clause
"""A machine in QEMU that boots a root task; it ends when this script does, however that ends."""

import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import interrupts
import toolchain

# What the guest's last byte to the port of isa-debug-exit makes QEMU's exit code.
SUCCESS, FAILURE, PANIC = 33, 35, 37
# Bytes of a client's name that the guest looks at.
CLIENT_NAME = 20
HUNG = 124


class Hung(Exception):
    """Nothing came for as long as was said, or the machine runs longer than it may."""


def doubled(text):
    """A value for QEMU, which takes a comma for its end, and two for one."""
    return str(text).replace(",", ",,")


def stripped(path):
    """An open file with the program at `path`, without symbols and what debuggers read.

    The kernel has the whole file in memory beside the loaded program while it boots: on the smallest
    machines there is no room for both. A file that `strip` does not take is given as it is.
    """
    with interrupts.deferred(), tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, "program")
        command = ["strip", "-o", copy, path]
        try:
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return open(path, "rb")
        return open(copy, "rb")


def drive(path):
    """A file as a disk, for Machine."""
    return f"file={doubled(os.path.abspath(path))}"


class Machine:
    """What is booted, and how. All paths but those of sockets are in the build folder.

    QEMU runs there and names its files from there: the path of the checkout may have a blank or a
    comma, which it takes for the end of a value.
    """

    def __init__(self, arch, kernel, memory, elf, *, arguments="", icount=False, clients=(),
                 devices=(), large_pages=0, drive=None):
        _, system, processor, _ = toolchain.ARCHITECTURES[arch]
        self.elf = elf
        self.command = [
            system, "-accel", "tcg", "-cpu", processor, "-m", memory,
            "-kernel", f"kernel/{arch}/{kernel}/boot.elf", "-display", "none", "-serial", "stdio",
            "-no-reboot", "-nic", "none",
            # A byte v that is written to this port ends QEMU with the exit code 2v+1.
            "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
        ]
        if arguments:
            self.command += ["-fw_cfg", f"name=opt/vmm/arguments,string={doubled(arguments)}"]
        if large_pages:
            self.command += ["-fw_cfg", f"name=opt/vmm/large-pages,string={large_pages}"]
        if devices:
            self.command += ["-fw_cfg", f"name=opt/vmm/devices,string={doubled(' '.join(devices))}"]
        if drive:
            # What the disk refuses is told to the guest, and does not stop it.
            self.command += ["-drive", f"if=ide,index=0,media=disk,format=raw,werror=report,rerror=report,{drive}"]
        for number, path in enumerate(clients):
            name = f"opt/vmm/client/{number:02}/{os.path.basename(path)[:CLIENT_NAME]}"
            self.command += ["-fw_cfg", f"name={doubled(name)},file={doubled(os.path.abspath(path))}"]
        if icount:
            self.command += ["-icount", "shift=0,sleep=off", "-nodefaults", "-vga", "none"]
        self.process = self.theirs = None

    def boot(self, kernel, command_line):
        """Lets it boot another kernel, which is named from the build folder. Before the start.

        The date is always the same, as that goes into random numbers.
        """
        self.command[self.command.index("-kernel") + 1] = kernel
        self.command += ["-append", command_line, "-rtc", "base=2000-01-01,clock=vm"]

    def listen(self, option, path):
        """Lets the monitor or gdb (`-monitor`, `-gdb`) connect at a path."""
        self.command += [option, f"unix:{doubled(os.path.abspath(path))},server=on,wait=off"]

    def add_monitor(self):
        """A socket to QEMU's monitor. Unlike a path it leaves nothing behind. Before the start."""
        ours, self.theirs = socket.socketpair()
        self.command += ["-chardev", f"socket,id=monitor,fd={self.theirs.fileno()}", "-mon", "monitor"]
        return ours

    def start(self):
        """Boots it. In a session of its own: Ctrl-C is for this script, which decides."""
        with stripped(self.elf) as elf:
            passed = [elf.fileno(), *([self.theirs.fileno()] if self.theirs else [])]
            # By its descriptor: it may lie anywhere, or have no name.
            command = [*self.command, "-initrd", f"/dev/fd/{elf.fileno()}"]
            # If this script is killed, the kernel ends QEMU.
            if shutil.which("setpriv"):
                command = ["setpriv", "--pdeathsig", "KILL", *command]
            try:
                with interrupts.deferred():
                    self.process = subprocess.Popen(
                        command, cwd=toolchain.BUILD, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                        start_new_session=True, pass_fds=passed,
                    )
            except OSError as error:
                raise interrupts.Failed(f"cannot start {command[0]}: {error.strerror}") from error
        if self.theirs:
            self.theirs.close()

    def output(self, limit=None, silence=lambda: None):
        """What the guest prints, as it comes, in pieces of bytes.

        Raises Hung when it runs longer than `limit` seconds, or when nothing came for as many as
        `silence` says; BrokenPipeError when nobody reads this script's output any more.
        """
        end = None if limit is None else time.monotonic() + limit
        source, poll = self.process.stdout.fileno(), select.poll()
        poll.register(source, select.POLLIN)
        # Without an event to wait for: it tells of a closed pipe.
        poll.register(1, 0)
        while True:
            patience = [wait for wait in (end and end - time.monotonic(), silence()) if wait is not None]
            ready = dict(poll.poll(max(0, min(patience)) * 1000 if patience else None))
            if 1 in ready:
                raise BrokenPipeError("nobody reads the output")
            if not ready:
                raise Hung
            data = os.read(source, 65536)
            if not data:
                break
            yield data
        try:
            self.process.wait(end and max(0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise Hung from None

    def say(self, data):
        """Sends bytes to the guest's serial line. Nothing is said to a machine that has ended."""
        try:
            self.process.stdin.write(data)
            self.process.stdin.flush()
        except (OSError, ValueError):
            pass

    def status(self):
        """QEMU's exit code, as a shell has it."""
        code = self.process.returncode
        return code if code >= 0 else 128 - code

    def end(self):
        """Ends it, if it runs."""
        if self.process and self.process.poll() is None:
            interrupts.end_descendants()
            self.process.wait()
        for stream in self.process and (self.process.stdin, self.process.stdout) or ():
            try:
                stream.close()
            except OSError:
                pass

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.end()


def write_out(data):
    """Writes bytes to standard output, all of them and at once."""
    while data:
        try:
            data = data[os.write(1, data):]
        except BlockingIOError:
            # Somebody else made it so, who shares it.
            select.select([], [1], [])


def why_failed(status, program):
    """What QEMU's exit code says of a program that did not succeed."""
    if status == FAILURE:
        return f"{program} reported failure"
    if status == PANIC:
        return f"{program} panicked"
    if status in (128 + signal.SIGKILL, 128 + signal.SIGTERM):
        return f"QEMU was ended by somebody ({signal.Signals(status - 128).name}) before {program} reported a result"
    return f"QEMU ended with exit code {status} before {program} reported a result"
