# SPDX-License-Identifier: BSD-2-Clause
"""Tests of run.sh: what it says of the guest's end, and how it ends itself. QEMU is a shell script here."""

import os
import signal
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True  # leave nothing beside the scripts

from fake_qemu import ENDING, PATIENCE, SCRIPTS, ScriptTest, needs_set_up

RUN = SCRIPTS / "run.sh"
QEMU = "qemu-system-i386"
# What the fake stands in front of.
REAL = 'PATH=${PATH#*:} exec "${0##*/}" "$@"'
IDLE = "echo begun; exec sleep 1000"


@needs_set_up
class RunTest(ScriptTest):
    """A guest that does as it is told."""

    def run_guest(self, lines, *options, **settings):
        """The exit code, what was printed, and what was said."""
        self.fake_qemu(lines)
        return self.run_script(RUN, self.elf, *options, **settings)

    def start_guest(self, lines, **settings):
        """Starts it, and waits for its first line."""
        self.fake_qemu(lines)
        process = self.start(RUN, self.elf, **settings)
        self.process_of(QEMU)
        if process.stdout:
            process.stdout.readline()
        return process

    def test_what_the_guest_reports_is_the_exit_code(self):
        for code, wanted, words in (
            (33, 0, ""), (35, 1, "reported failure"), (37, 1, "panicked"), (7, 1, "exit code 7 before"),
        ):
            with self.subTest(code=code):
                got, printed, said = self.run_guest(f"printf 'one\\r\\ntwo'; exit {code}")
                self.assertEqual((got, printed), (wanted, b"one\r\ntwo"))
                self.assertIn(words, said)
                self.check_nothing_is_left(QEMU)

    def test_a_hang_is_ended(self):
        code, printed, said = self.run_guest(IDLE, "--timeout", "1")
        self.assertEqual((code, printed), (124, b"begun\n"))
        self.assertIn("hung: it did not end within 1 seconds\n", said)
        self.check_nothing_is_left(QEMU)

    def test_a_silent_hang_names_what_may_be_too_small(self):
        code, printed, said = self.run_guest("exec sleep 1000", "--timeout", "1")
        self.assertEqual((code, printed), (124, b""))
        self.assertIn("wrote nothing: the kernel stops like this where the memory (--memory)", said)

    def test_each_signal_ends_everything(self):
        for number in ENDING:
            with self.subTest(signal=number):
                process = self.start_guest(IDLE)
                process.send_signal(number)
                self.assertEqual(process.wait(PATIENCE), -number)
                self.check_nothing_is_left(QEMU)

    def test_a_machine_that_does_not_listen_is_ended_too(self):
        process = self.start_guest("trap '' INT TERM HUP; echo begun; while :; do sleep 0.1; done")
        process.terminate()
        time.sleep(0.5)
        process.terminate()  # impatience changes nothing
        self.assertEqual(process.wait(PATIENCE), -signal.SIGTERM)
        self.check_nothing_is_left(QEMU)

    def test_a_signal_that_the_caller_ignored_ends_it(self):
        # As in a script that has it run in the background.
        self.fake_qemu(IDLE)
        process = self.start("sh", "-c", f"'{RUN}' '{self.elf}' & echo $!; wait $!")
        child = int(process.stdout.readline())
        self.process_of(QEMU)
        process.stdout.readline()
        os.kill(child, signal.SIGINT)
        self.assertEqual(process.wait(PATIENCE), 128 + signal.SIGINT)
        self.check_nothing_is_left(QEMU)

    def test_a_closed_pipe_ends_it(self):
        for lines in (IDLE, "while :; do echo busy; sleep 0.01; done"):
            with self.subTest(lines):
                process = self.start_guest(lines)
                process.stdout.close()
                self.assertEqual(process.wait(PATIENCE), -signal.SIGPIPE)
                self.check_nothing_is_left(QEMU)
                process.stdout = None

    def test_a_full_disk_ends_it(self):
        with open("/dev/full", "wb") as full:
            process = self.start_guest(IDLE, stdout=full)
            self.assertEqual(process.wait(PATIENCE), 1)
        self.assertIn("No space left on device", process.stderr.read().decode())
        self.check_nothing_is_left(QEMU)

    def test_killed_it_leaves_no_machine(self):
        process = self.start_guest(IDLE)
        process.kill()
        process.wait(PATIENCE)
        self.check_nothing_is_left(QEMU)

    def test_a_signal_during_the_build_ends_the_build(self):
        self.fake("cargo", f"[[ $1 != build ]] || exec sleep 1000; {REAL}")
        process = self.start(RUN, "hello")
        self.process_of("cargo")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(PATIENCE), -signal.SIGTERM)
        self.check_nothing_is_left("cargo")

    def test_a_build_that_fails_is_a_failure(self):
        self.fake("cargo", f"[[ $1 != build ]] || exit 101; {REAL}")
        code, printed, said = self.run_script(RUN, "hello")
        self.assertEqual((code, printed), (1, b""))
        self.assertIn("run.sh: building hello failed", said)

    def test_a_path_is_booted_as_it_is(self):
        lines = 'while (($# > 1)); do [[ $1 == -initrd ]] && cat "$2"; shift; done; exit 33'
        self.assertEqual(self.run_guest(lines)[:2], (0, b"\x7fELF\x01rest"))

    def test_arguments_and_options_reach_qemu(self):
        _, printed, _ = self.run_guest('printf "%s\\n" "$@"; exit 33', "--memory=64m", "--icount", "--device", "ide",
                                       "--device=irq=3", "--large-pages", "3", "--disk", str(self.elf), "--", "a,b", "c")
        words = printed.decode().splitlines()
        self.assertIn("name=opt/vmm/arguments,string=a,,b c", words)
        self.assertEqual(words[words.index("-m") + 1], "64M")
        self.assertIn("-icount", words)
        self.assertIn("name=opt/vmm/devices,string=ide irq=3", words)
        self.assertIn("name=opt/vmm/large-pages,string=3", words)
        self.assertTrue(any(word.startswith("if=ide,") and word.endswith(f"file={self.elf}") for word in words))


class CommandLineTest(ScriptTest):
    """Mistakes are refused, in a sentence, before anything is done."""

    def test_mistakes(self):
        for words, said in (
            ([], "no program was named"),
            (["bogus"], "no program bogus"),
            (["hello", "hello"], "more than one program: hello"),
            (["hello", "--bogus"], "--bogus"),
            (["hello", "--mem", "64M"], "--mem"),
            (["hello", "--memory", "3X"], "--memory: not a size of memory: '3X': it takes 16M to 4G"),
            (["hello", "--memory", "8G"], "--memory: not 8G: it takes 16M to 4G"),
            (["hello", "--memory"], "--memory wants a value: SIZE"),
            (["hello", "--timeout", "0"], "--timeout: 0 is too small: it takes"),
            (["hello", "--arch=arm"], "--arch: not an architecture: 'arm': it is one of ia32, x86_64"),
            (["hello", "--device", "parallel"], "--device: not a device: 'parallel': such as ports=0x1f0-0x1f7, irq=14"),
            (["hello", "--device", "memory=0xb8000"], "--device: not a device: 'memory=0xb8000': such as ports="),
            (["hello", "--device"], "--device wants a value: DEVICE"),
            (["hello", "--disk", "/nonexistent"], "--disk: no file /nonexistent"),
            (["/nonexistent"], "cannot read /nonexistent"),
            ([str(RUN)], "is no ELF file for ia32"),
            ([str(self.elf), "--arch", "x86_64"], "is no ELF file for x86_64, but for ia32: say --arch ia32, or compile it for x86_64"),
        ):
            with self.subTest(words):
                code, printed, told = self.run_script(RUN, *words)
                self.assertEqual((code, printed), (2, b""))
                self.assertTrue(told.startswith("run.sh: ") and told.endswith(" (try --help)\n"), told)
                self.assertIn(said, told)

    def test_help(self):
        for word in ("-h", "--help"):
            code, printed, _ = self.run_script(RUN, word)
            self.assertEqual(code, 0)
            self.assertIn(b"\n  guest-tests\n", printed)
        code, _, said = self.run_script(RUN, "-h", stdout=subprocess.DEVNULL)
        self.assertEqual((code, said), (0, ""))


if __name__ == "__main__":
    # Below nohup it is ignored, and whoever is started here would ignore it too.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    unittest.main()
