# SPDX-License-Identifier: BSD-2-Clause
"""For tests of the scripts: a shell script in place of QEMU, a file in place of a program."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
BUILD = SCRIPTS.parent / "build"
# Seconds after which what does not end hangs, on a machine that has much else to do, too.
PATIENCE = 90


def wait_until(condition, what, seconds=PATIENCE):
    """Fails the test that waits for something that does not come."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain: {what}")
        time.sleep(0.02)


def is_running(process):
    """Whether a process, which need not be a child, is there and no zombie."""
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def files_in(folder):
    """What is in a folder that is no folder; nothing in one that is not there yet."""
    if not folder.exists():
        return set()
    return {path for path in folder.iterdir() if not path.is_dir()}


def missing_of_set_up():
    """What a script would bring before it boots anything, and has not yet; `None` if that is nothing."""
    for tool in ("cargo", "rustc", "gcc", "ld", "qemu-system-i386"):
        if not shutil.which(tool):
            return tool
    for name in ("fetched.lock", "kernel/ia32/debug/kernel.elf", "kernel/ia32/release/kernel.elf"):
        if not (BUILD / name).exists():
            return f"build/{name}"
    return None


MISSING = missing_of_set_up()
needs_set_up = unittest.skipIf(MISSING, f"{MISSING} is missing: qemu-scripts/setup.sh brings it")

# Whether what draws on a terminal can be imported, from where set-up puts it or from elsewhere.
sys.path.append(str(BUILD / "live" / "python"))
HAS_RICH = importlib.util.find_spec("rich") is not None
needs_rich = unittest.skipUnless(HAS_RICH, "rich is missing: qemu-scripts/setup.sh --live brings it")


class ScriptTest(unittest.TestCase):
    """Runs a script with folders of its own for what it leaves behind and for what it finds on PATH."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        for name in ("bin", "tmp"):
            (self.folder / name).mkdir()
        self.elf = self.folder / "program"
        self.elf.write_bytes(b"\x7fELF\x01rest")
        self.environment = {**os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
                            "TMPDIR": str(self.folder / "tmp"), "FAKE": str(self.folder)}
        self.before = files_in(BUILD)

    def fake(self, name, lines):
        """Puts a shell script in place of a program; it first tells its process."""
        path = self.folder / "bin" / name
        path.write_text(f'#!/bin/bash\necho $$ >"$FAKE/{name}.pid"\n{lines}\n', encoding="utf-8")
        path.chmod(0o755)

    def fake_qemu(self, lines):
        """What QEMU does. On the descriptor 0 it has what is said to the guest."""
        self.fake("qemu-system-i386", lines)

    def process_of(self, name):
        """The process that the fake runs as, once it does."""
        path = self.folder / f"{name}.pid"
        wait_until(lambda: path.exists() and path.read_text(encoding="utf-8").endswith("\n"), f"{name} starts")
        return int(path.read_text(encoding="utf-8"))

    def start(self, *command, **settings):
        """Starts a script."""
        settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **settings}
        process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, env=self.environment,
                                   **settings)
        self.addCleanup(self.drop, process)
        return process

    @staticmethod
    def drop(process):
        """Whatever the test came to."""
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()

    def run_script(self, *command, **settings):
        """The exit code, what was printed, and what was said."""
        process = self.start(*command, **settings)
        printed, said = process.communicate(timeout=PATIENCE)
        return process.returncode, printed, (said or b"").decode()

    def check_nothing_is_left(self, *names):
        """No process of the fakes named, and no file."""
        for name in names:
            process = self.process_of(name)
            wait_until(lambda: not is_running(process), f"{name} ends")
        self.assertEqual(list((self.folder / "tmp").iterdir()), [])
        # Others may run meanwhile, whose files are there for a moment, and who make folders.
        wait_until(lambda: not files_in(BUILD) - self.before, "files go")


ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

if __name__ == "__main__":
    sys.exit("this is for other tests")
