# SPDX-License-Identifier: BSD-2-Clause
"""Tests of how scripts in bash end before their end: in a checkout with a set-up that does nothing."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True  # leave nothing beside the scripts

from fake_qemu import ENDING, PATIENCE, SCRIPTS, ScriptTest, needs_set_up, wait_until

QEMU = "qemu-system-i386"
# Listens for gdb, and waits.
WAITS_FOR_GDB = r"""
while (($#)); do
    [[ $1 != -gdb ]] || path=${2#unix:}
    shift
done
exec python3 -c '
import socket, sys, time
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
time.sleep(1000)' "${path%%,*}"
"""


class EndsTest(ScriptTest):
    """Scripts of a checkout that consists of links."""

    def setUp(self):
        super().setUp()
        self.scripts = self.folder / "checkout" / "qemu-scripts"
        self.scripts.mkdir(parents=True)
        for path in SCRIPTS.iterdir():
            if path.name not in ("run.sh", "setup.sh"):
                (self.scripts / path.name).symlink_to(path)
        (self.scripts.parent / "roottask").symlink_to(SCRIPTS.parent / "roottask")
        self.script("setup.sh", "exit 0")
        self.script("run.sh", f'shift; exec "{SCRIPTS}/run.sh" "$FAKE/program" "$@"')

    def script(self, name, line):
        """Puts a script in place of one of the checkout."""
        path = self.scripts / name
        path.write_text(f"#!/bin/bash\n{line}\n", encoding="utf-8")
        path.chmod(0o755)

    def check_nothing_is_left(self, *names):
        super().check_nothing_is_left(*names)
        build = self.scripts.parent / "build"
        self.assertEqual(list(build.iterdir()) if build.exists() else [], [])


class Attend(EndsTest):
    """What the scripts start by lib.sh's `attend`."""

    def test_a_signal_that_comes_with_the_start_ends_everything(self):
        # What is started asks for the end at once, of a shell that has hardly gone on.
        self.fake("early", 'kill -s "$1" "$PPID"; exec sleep 1000')
        self.script("attends.sh", f"""
            source "{self.scripts}/lib.sh"
            set -o functrace
            trap 'sleep 0.05' DEBUG
            attend early "$1" """.replace("\n            ", "\n"))
        for number in ENDING:
            with self.subTest(number):
                (self.folder / "early.pid").unlink(missing_ok=True)
                process = self.start(self.scripts / "attends.sh", signal.Signals(number).name[3:])
                self.assertEqual(process.wait(PATIENCE), -number)
                self.check_nothing_is_left("early")


@needs_set_up
class Bench(EndsTest):
    """The benchmark."""

    def start_bench(self):
        """Starts one that does not end."""
        self.fake_qemu("exec sleep 1000")
        process = self.start(self.scripts / "bench.sh")
        self.process_of(QEMU)
        return process

    def test_each_signal_ends_everything(self):
        for number in ENDING:
            with self.subTest(number):
                (self.folder / f"{QEMU}.pid").unlink(missing_ok=True)
                process = self.start_bench()
                process.send_signal(number)
                self.assertEqual(process.wait(PATIENCE), -number)
                self.check_nothing_is_left(QEMU)

    def test_killed_it_leaves_no_file(self):
        process = self.start_bench()
        process.kill()
        process.wait(PATIENCE)
        os.kill(self.process_of(QEMU), signal.SIGKILL)
        self.check_nothing_is_left(QEMU)

    def test_a_guest_that_fails_is_shown(self):
        self.fake_qemu("echo what it said; exit 37")
        code, printed, said = self.run_script(self.scripts / "bench.sh")
        self.assertEqual((code, printed), (1, b""))
        self.assertIn("what it said\n", said)
        self.check_nothing_is_left(QEMU)

    def judge(self, *options, **settings):
        """The exit code of the judge."""
        rows = self.folder / "rows"
        rows.write_text("bench: begin\nbench: end\n", encoding="utf-8")
        margins = ("--margin", "3", "--other-margin", "15")
        return self.run_script(sys.executable, SCRIPTS / "bench.py", *margins, *options, rows, **settings)[0]

    def test_a_closed_pipe_is_no_traceback_and_loses_no_result(self):
        reading, writing = os.pipe()
        os.close(reading)
        saved = self.folder / "saved.json"
        with open(writing, "wb") as pipe:
            self.assertEqual(self.judge("--json", saved, stdout=pipe), -signal.SIGPIPE)
        self.assertEqual(saved.read_text(encoding="utf-8"), "[]\n")

    def test_a_result_that_cannot_be_written_leaves_nothing(self):
        folder = self.folder / "full"
        folder.mkdir()
        saved = folder / "saved.json"
        saved.write_text("of before", encoding="utf-8")
        # Files of this process may have no bytes: what a full disk says, without a disk.
        limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); "
        limit += f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); import files; "
        limit += f"files.write_whole({str(saved)!r}, 'new')"
        done = subprocess.run([sys.executable, "-B", "-c", limit], stderr=subprocess.PIPE, check=False)
        self.assertIn(b"File too large", done.stderr)
        self.assertEqual([path.name for path in folder.iterdir()], ["saved.json"])
        self.assertEqual(saved.read_text(encoding="utf-8"), "of before")


    def test_a_closed_pipe_at_its_end_is_no_failure_of_anybody(self):
        kernel = self.scripts.parent / "build" / "kernel" / "ia32" / "release"
        kernel.mkdir(parents=True)
        (kernel / "interface.json").write_text('{"version": "5.0.0"}', encoding="utf-8")
        self.fake_qemu("echo 'bench: begin'; echo 'bench: end'; exit 33")
        reading, writing = os.pipe()
        os.close(reading)
        with open(writing, "wb") as pipe:
            code, _, said = self.run_script(self.scripts / "bench.sh", stdout=pipe)
        self.assertEqual(code, -signal.SIGPIPE)
        self.assertNotIn("Traceback", said)
        self.assertEqual(list(kernel.parent.parent.parent.iterdir()), [kernel.parent.parent])


@needs_set_up
class Demo(EndsTest):
    """The demo."""

    def test_each_signal_to_it_alone_ends_everything(self):
        self.fake_qemu("exec sleep 1000")
        for number in ENDING:
            with self.subTest(number):
                (self.folder / f"{QEMU}.pid").unlink(missing_ok=True)
                process = self.start(self.scripts / "demo.sh")
                self.process_of(QEMU)
                process.send_signal(number)
                self.assertEqual(process.wait(PATIENCE), -number)
                self.check_nothing_is_left(QEMU)

    def test_a_closed_pipe_ends_everything(self):
        self.fake_qemu("while :; do echo busy; sleep 0.01; done")
        process = self.start(self.scripts / "demo.sh")
        process.stdout.readline()
        process.stdout.close()
        self.assertEqual(process.wait(PATIENCE), 128 + signal.SIGPIPE)
        process.stdout = None
        self.check_nothing_is_left(QEMU)

    def test_what_the_demo_printed_is_shown_and_judged(self):
        self.fake_qemu("echo one; exit 33")
        code, printed, said = self.run_script(self.scripts / "demo.sh", "--memory=64m")
        self.assertEqual((code, printed), (1, b"one\n"))
        self.assertIn("missing from the output: ", said)
        self.fake_qemu("echo one; exit 35")
        self.assertEqual(self.run_script(self.scripts / "demo.sh")[:2], (1, b"one\n"))
        self.check_nothing_is_left(QEMU)


@needs_set_up
class AllTests(EndsTest):
    """The whole of the tests."""

    def setUp(self):
        super().setUp()
        # What the first check calls, and what that starts: with a file, and out of the reach of a terminal.
        self.fake("cargo", "mktemp >/dev/null; setsid apart & wait")
        self.fake("apart", "exec sleep 1000")

    def test_each_signal_to_it_alone_ends_everything(self):
        for number in ENDING:
            with self.subTest(number):
                for name in ("cargo", "apart"):
                    (self.folder / f"{name}.pid").unlink(missing_ok=True)
                process = self.start(self.scripts / "test.sh", "host", "x86_64")
                self.process_of("apart")
                process.send_signal(number)
                self.assertEqual(process.wait(PATIENCE), -number)
                self.check_nothing_is_left("cargo", "apart")

    def test_a_closed_pipe_ends_everything(self):
        self.fake("cargo", "[[ $1 != fmt ]] || exec apart")
        process = self.start(self.scripts / "test.sh", "host")
        self.process_of("apart")
        process.stdout.close()
        (self.folder / "bin" / "cargo").write_text("#!/bin/bash\nexit 1\n", encoding="utf-8")
        os.kill(self.process_of("apart"), signal.SIGTERM)
        self.assertEqual(process.wait(PATIENCE), 128 + signal.SIGPIPE)
        process.stdout = None
        self.check_nothing_is_left("cargo", "apart")

    def test_what_does_not_listen_is_ended_by_force(self):
        self.fake("apart", "trap '' INT TERM HUP; while :; do sleep 0.1; done")
        process = self.start(self.scripts / "test.sh", "host")
        self.process_of("apart")
        process.terminate()
        self.assertEqual(process.wait(PATIENCE), -signal.SIGTERM)
        self.check_nothing_is_left("cargo", "apart")

    def test_set_up_is_ended_too(self):
        self.script("setup.sh", 'echo $$ >"$FAKE/setup.pid"; exec sleep 1000')
        process = self.start(self.scripts / "test.sh")
        self.process_of("setup")
        process.terminate()
        self.assertEqual(process.wait(PATIENCE), -signal.SIGTERM)
        self.check_nothing_is_left("setup")

    def test_a_set_up_that_fails_is_a_failure(self):
        self.script("setup.sh", "exit 1")
        code, printed, _ = self.run_script(self.scripts / "test.sh")
        self.assertEqual((code, printed.splitlines()[-1]), (1, b"0 passed, 1 failed"))

    def test_a_lane_that_breaks_off_is_a_failure_and_the_others_go_on(self):
        self.script("tracks-test.sh", f"""
            source "{self.scripts}/lib.sh"; source "$SCRIPTS/tracks.sh"
            TRACKS=("breaks after" "well bad")
            breaks_lane() {{ false; echo not reached; }}
            after_lane() {{ check after true; }}
            well_lane() {{ check well true; }}
            bad_lane() {{ check bad false; check good true; }}
            run=$(mktemp -d)
            run_lanes "$run" breaks after well bad
            rm -rf "$run"
            echo "$PASSED passed, $FAILED failed" """.replace("\n            ", "\nset -euo pipefail; ", 1))
        code, printed, _ = self.run_script(self.scripts / "tracks-test.sh")
        lines = re.sub(r"\([0-9.]+ s\)", "()", printed.decode()).splitlines()
        self.assertEqual((code, lines), (0, [
            "test well ... ok ()", "lane well: 0 s", "test bad ... FAILED ()", "test good ... ok ()",
            "lane bad: 0 s", "2 passed, 2 failed"]))


@needs_set_up
class Debug(EndsTest):
    """The debugger."""

    def setUp(self):
        super().setUp()
        self.fake_qemu(WAITS_FOR_GDB)
        self.fake("gdb", "exec sleep 1000")

    def test_each_signal_ends_everything(self):
        commands = self.folder / "commands"
        commands.write_text("", encoding="utf-8")
        for options, numbers in (
            (["--commands", commands], ENDING), ([], (signal.SIGTERM, signal.SIGHUP)),
        ):
            for number in numbers:
                with self.subTest(options=options, number=number):
                    (self.folder / "gdb.pid").unlink(missing_ok=True)
                    process = self.start(self.scripts / "debug.sh", "hello", *options)
                    self.process_of("gdb")
                    process.send_signal(number)
                    self.assertEqual(process.wait(PATIENCE), -number)
                    self.check_nothing_is_left(QEMU, "gdb")

    def test_the_exit_code_is_gdbs(self):
        self.fake("gdb", "exit 7")
        self.assertEqual(self.run_script(self.scripts / "debug.sh", "hello")[0], 7)
        self.check_nothing_is_left(QEMU)

    def test_an_elf_file_from_anywhere_is_what_gdb_is_given(self):
        self.fake("gdb", 'printf "%s\\n" "$@" >"$FAKE/arguments"')
        code, _, said = self.run_script(self.scripts / "debug.sh", self.elf, cwd=self.folder)
        self.assertEqual(code, 0, said)
        given = (self.folder / "arguments").read_text(encoding="utf-8").splitlines()
        self.assertEqual(given[:2], ["-q", str(self.elf.resolve())])
        self.check_nothing_is_left(QEMU)

    def test_killed_it_leaves_no_machine(self):
        process = self.start(self.scripts / "debug.sh", "hello")
        gdb = self.process_of("gdb")
        process.kill()
        process.wait(PATIENCE)
        machine = self.process_of(QEMU)
        wait_until(lambda: not os.path.exists(f"/proc/{machine}"), "the machine ends")
        os.kill(gdb, signal.SIGKILL)

    def test_ctrl_c_is_for_gdb(self):
        self.fake("gdb", "trap 'echo stopped' INT; echo ready; read -r line; echo \"got $line\"; exit 0")
        process, terminal = pty.fork()
        if process == 0:
            os.execve("/bin/bash", ["bash", str(self.scripts / "debug.sh"), "hello"], self.environment)
        printed = b""
        for wanted, key in ((b"ready", b"\x03"), (b"stopped", b"on\n"), (b"got on", b"")):
            end = time.monotonic() + PATIENCE
            while wanted not in printed and time.monotonic() < end:
                printed += os.read(terminal, 4096)
            os.write(terminal, key)
        status = os.waitpid(process, 0)[1]
        os.close(terminal)
        self.assertEqual(os.waitstatus_to_exitcode(status), 0, printed)
        self.check_nothing_is_left(QEMU, "gdb")


if __name__ == "__main__":
    # Below nohup it is ignored, and whoever is started here would ignore it too.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    unittest.main()
