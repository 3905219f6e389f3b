# SPDX-License-Identifier: BSD-2-Clause
"""Tests of stress.sh: what it shows, keeps and says, and how it ends. The guest is a shell script here."""

import json
import os
import pty
import re
import signal
import sys
import time
import unittest

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import stress
import stress_data
from fake_qemu import PATIENCE, SCRIPTS, ScriptTest, needs_set_up, wait_until

QEMU = "qemu-system-i386"
MARKER = "stress: marker at physical 0x1000"
SAMPLE = 'stress-data: {"sample":[128,1000,4096,4096,4096,0,1,0,7,"churn"]}'
BALANCE = "stress: free bytes             10           10  the same"
WELL = [BALANCE, "stress: 512 operations, 1234 kernel calls"]
# stress.sh with nothing to build.
DRIVER = """
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, {scripts!r})
import pathlib, interrupts, machine, stress

def prepare(wanted):
    made = machine.Machine("ia32", "debug", "64M", pathlib.Path({elf!r}),
                           arguments=stress.guest_arguments(wanted))
    return made, [("seed", "1")]

stress.prepare = prepare
interrupts.main("stress.sh", stress.main, sys.argv[1:])
"""


def progress(seconds, operations):
    """What the guest prints once a second."""
    return (
        f"stress: {seconds} s, {operations} operations, 1234/s, map large, 1006 pages live, "
        "9742 KiB free, fragmentation 987 permille, 14 faults"
    )


def printing(lines, end="exit 33"):
    """A guest that prints lines."""
    return "".join(f"printf '%s\\n' '{line}'\n" for line in lines) + end


# One that finishes when it is asked to, and one that does not.
LISTENING = printing([MARKER, SAMPLE, progress(1, 500)]) [:-len("exit 33")] + f"""
read -r -n 1 word
[[ $word == q ]] || exit 35
{printing(["stress: asked to finish, in operation 512", *WELL])}
"""
DEAF = printing([MARKER, SAMPLE, progress(1, 500)], "exec sleep 1000")


@needs_set_up
class StressTest(ScriptTest):
    """A guest that prints some lines and ends."""

    def setUp(self):
        super().setUp()
        self.driver = self.folder / "driver.py"
        self.driver.write_text(DRIVER.format(scripts=str(SCRIPTS), elf=str(self.elf)), encoding="utf-8")
        self.data = self.folder / "data.jsonl"

    def command(self, *options):
        """The command that watches the guest."""
        return [sys.executable, self.driver, "--silence", "4", "--data", self.data, *options]

    def run_in_pipe(self, guest, *options):
        """The exit code, and the lines that were printed to a pipe."""
        self.fake_qemu(guest)
        code, printed, self.said = self.run_script(*self.command(*options))
        return code, printed.decode().splitlines()

    def run_in_terminal(self, guest, *options, columns=80, act=lambda terminal, process: None):
        """The exit code, and what was printed to a terminal of so many columns, on which somebody acts."""
        self.fake_qemu(guest)
        process, terminal = pty.fork()
        if process == 0:
            environment = {**self.environment, "COLUMNS": str(columns), "LINES": "24", "TERM": "xterm-256color"}
            os.execve(sys.executable, list(map(str, self.command(*options))), environment)
        act(terminal, process)
        printed = b""
        # At the end of what is written to it a terminal fails to be read.
        try:
            while data := os.read(terminal, 4096):
                printed += data
        except OSError:
            pass
        os.close(terminal)
        status = os.waitpid(process, 0)[1]
        return os.waitstatus_to_exitcode(status), printed.decode()

    def wait_for_sample(self):
        """Until the data are there."""
        wait_until(lambda: self.data.exists() and "progress" in self.data.read_text(encoding="utf-8"), "data")

    def saved(self):
        """What was kept, each line of it."""
        return [json.loads(line) for line in self.data.read_text(encoding="utf-8").splitlines()]

    def end(self):
        """The last of it."""
        return self.saved()[-1]


class Shown(StressTest):
    """What is printed."""

    def test_in_a_pipe_every_line_is_a_line_and_the_last_one_is_the_verdict(self):
        lines = [progress(1, 100), "stress: hello", *WELL]
        code, printed = self.run_in_pipe(printing([MARKER, *lines]))
        last = "stress: passed: 512 operations on seed 1, and everything is as it was at the start"
        self.assertEqual((code, printed), (0, [*lines, last]))
        self.check_nothing_is_left(QEMU)

    def test_on_a_terminal_progress_is_one_line(self):
        lines = [progress(1, 100), progress(62, 1234567), "stress: hello"]
        _, printed = self.run_in_terminal(printing([MARKER, *lines]), "--plain", columns=200)
        status = (
            "\r\x1b[K1:02 | 1,234,567 operations, 1,234/s | map large | 1,006 pages live | "
            "9.5 MiB free, 98.7 % fragmented | 14 faults"
        )
        self.assertIn(status, printed)
        self.assertNotIn("seconds", printed)
        self.assertNotIn(lines[0], printed)
        shown = [line.split("\x1b[K")[-1] for line in printed.splitlines() if line.strip("\r")]
        self.assertIn("stress: hello", shown)
        # Between two states of the progress no line begins.
        between = printed[printed.index("0:01 |"):printed.index("1:02 |")]
        self.assertNotIn("\n", between)

    def test_a_line_is_no_wider_than_the_terminal(self):
        _, printed = self.run_in_terminal(printing([MARKER, progress(1, 100)]), "--plain", columns=40)
        status = printed.split("\x1b[K")[1].splitlines()[0]
        self.assertLess(len(status), 40)
        self.assertTrue(status.startswith("0:01 | 100 operations"))

    def test_quiet_is_the_verdict_alone(self):
        code, printed = self.run_in_pipe(printing([MARKER, progress(1, 100), "stress: hello", *WELL]), "--quiet")
        self.assertEqual((code, len(printed)), (0, 1))
        self.assertTrue(printed[0].startswith("stress: passed: 512 operations"))
        failure = "stress: FAILED: seed 1, operation 77 (map), phase churn: not so"
        code, printed = self.run_in_pipe(printing([MARKER, "stress: hello", failure], "exit 35"), "--quiet")
        self.assertEqual((code, printed[0], len(printed)), (1, failure, 3))

    def test_json_is_an_object_a_line(self):
        _, printed = self.run_in_pipe(printing([MARKER, SAMPLE, progress(1, 100), *WELL]), "--json")
        told = [json.loads(line) for line in printed]
        self.assertEqual(told[0]["progress"], {
            "seconds": 1, "operations": 100, "rate": 1234, "pages": 1006, "free": 9742, "permille": 987,
            "faults": 14, "phase": "map large"})
        self.assertEqual(told[1:-1], [{"line": line} for line in WELL])
        self.assertEqual(set(told[-1]), {"passed", "verdict"})
        self.assertIs(told[-1]["passed"], True)

    def test_a_failure_says_how_to_repeat_it(self):
        failure = "stress: FAILED: seed 1, operation 77 (map), phase churn: not so"
        code, printed = self.run_in_pipe(printing([MARKER, failure], "exit 35"))
        self.assertEqual(code, 1)
        self.assertIn("stress: repeat with: stress.sh --arch ia32 --seed 1", printed[-2])
        self.assertTrue(printed[-2].endswith(" --operations 77"))
        self.assertEqual(printed[-1], f"stress: failed: {failure.removeprefix('stress: ')}")
        self.assertEqual(self.end(), {"status": 1, "end": failure})

    def test_silence_counts_as_hung(self):
        code, printed = self.run_in_pipe(printing([MARKER, progress(1, 100)], "exec sleep 60"))
        self.assertEqual(code, 124)
        self.assertIn("stress: HUNG after operation 100", printed[-3])
        self.assertTrue(printed[-2].endswith(" --operations 101"))
        self.assertIn("stress: failed: HUNG after operation 100", printed[-1])
        self.assertEqual(self.end()["status"], 124)
        self.check_nothing_is_left(QEMU)

    def test_what_was_not_given_back_is_a_failure(self):
        different = BALANCE.replace("10  the same", "11  DIFFERENT")
        code, printed = self.run_in_pipe(printing([MARKER, different, WELL[1]], "exit 35"))
        self.assertEqual(code, 1)
        self.assertIn("stress: failed: ", printed[-1])
        # Neither does an exit code of success do without the account.
        code, printed = self.run_in_pipe(printing([MARKER, progress(1, 100)]))
        self.assertEqual(code, 1)
        self.assertIn("stress: failed: Not known: 100 operations", printed[-1])


class Kept(StressTest):
    """What a report is made of."""

    def test_data_are_kept_and_not_shown(self):
        maps = [f'stress-data: {{"map":"fullest","free_bytes":{free}}}' for free in (2, 1)]
        run = 'stress-data: {"run":{"seed":1}}'
        code, printed = self.run_in_pipe(printing([MARKER, run, SAMPLE, *maps, *WELL]))
        self.assertEqual((code, printed[:-1]), (0, WELL))
        data = stress_data.load(self.data)
        self.assertEqual(data["samples"][0][:2], [128, 1000])
        self.assertEqual(len(data["samples"][0]), 11, "the host's seconds")
        self.assertEqual(data["maps"]["fullest"]["free_bytes"], 1)
        self.assertEqual(data["balance"], [["free bytes", 10, 10]])
        self.assertEqual((data["status"], data["done"], data["about"]), (0, 512, [["seed", "1"]]))

    def test_data_that_were_cut_short_are_shown(self):
        _, printed = self.run_in_pipe(printing([MARKER, SAMPLE[:40]]))
        self.assertIn(SAMPLE[:40], printed)

    def test_of_a_file_that_was_cut_short_as_much_as_is_there_is_read(self):
        run = 'stress-data: {"run":{"seed":1}}'
        self.run_in_pipe(printing([MARKER, run, SAMPLE, progress(9, 700), *WELL]))
        whole = self.data.read_text(encoding="utf-8")
        self.data.write_text(whole[:whole.index('{"balance"') + 9], encoding="utf-8")
        data = stress_data.load(self.data)
        self.assertEqual(stress_data.verdict(data), (
            False, "Not known: cut short after 700 operations on seed 1; what was left behind was not checked"))
        self.data.write_text("nonsense\n" + whole, encoding="utf-8")
        with self.assertRaises(ValueError):
            stress_data.load(self.data)

    def test_a_report_that_cannot_be_made_leaves_what_was_there(self):
        page = self.folder / "page.html"
        page.write_text("of before", encoding="utf-8")
        before = set(self.folder.iterdir())
        code, printed = self.run_in_pipe(printing([MARKER, *WELL]), "--report", page)
        self.assertEqual(code, 1)
        self.assertEqual(printed[-1], "stress: failed: 512 operations on seed 1, and everything is as it was at the "
                                      "start; but no report was written")
        self.assertIn(f"no report was written: a report of what was told: stress.sh --from {self.data}", self.said)
        self.assertEqual(page.read_text(encoding="utf-8"), "of before")
        self.assertEqual({path.name for path in set(self.folder.iterdir()) - before}
                         - {"data.jsonl", "bin", f"{QEMU}.pid"}, set())

    def test_a_full_disk_is_a_failure(self):
        self.data = "/dev/full"
        code, printed = self.run_in_pipe(DEAF)
        self.assertEqual((code, printed), (1, []))
        self.assertEqual(self.said.splitlines()[-1],
                         "stress.sh: failed: nothing was run: cannot write /dev/full: No space left on device")

    def test_a_disk_that_becomes_full_is_a_failure(self):
        # No file may have more bytes than this, which the header has not.
        self.fake_qemu(printing([MARKER, *[SAMPLE] * 100], "exec sleep 1000"))
        limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); " \
                "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)); import os, sys; " \
                "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
        words = [sys.executable, "-c", limit, *self.command()[1:]]
        code, _, said = self.run_script(*words)
        self.assertEqual(code, 1)
        self.assertIn("stress.sh: failed: Ended early by ", said.splitlines()[-1])
        self.assertEqual(self.data.stat().st_size, 2000)
        self.assertGreater(self.data.read_text(encoding="utf-8").count('{"sample"'), 10)
        self.check_nothing_is_left(QEMU)


class Ended(StressTest):
    """How it ends before its end."""

    def check_ended(self, by):
        """Nothing is left but the data, which say so, and with which a report can be made."""
        self.check_nothing_is_left(QEMU)
        self.assertEqual(self.end()["end"], f"Ended early by {by}, after 500 operations, in the phase map large: "
                                            "what was left behind was not checked")
        self.assertIn({"progress": 500}, self.saved())

    def test_signals(self):
        for number in (signal.SIGTERM, signal.SIGHUP):
            with self.subTest(number):
                self.fake_qemu(DEAF)
                self.data.unlink(missing_ok=True)
                process = self.start(*self.command())
                self.wait_for_sample()
                process.send_signal(number)
                _, said = process.communicate(timeout=20)
                self.assertEqual(process.returncode, -number)
                self.check_ended(number.name)
                self.assertRegex(said.decode().splitlines()[-1], f"^stress.sh: failed: Ended early by {number.name}, ")
                self.assertIn(f"stress.sh --from {self.data} --report ", said.decode())

    def test_a_closed_pipe(self):
        self.fake_qemu(DEAF)
        process = self.start(*self.command())
        self.wait_for_sample()
        process.stdout.close()
        self.assertEqual(process.wait(PATIENCE), -signal.SIGPIPE)
        process.stdout = None
        self.check_ended("a closed pipe")

    def test_the_first_interrupt_asks_to_finish(self):
        def act(terminal, _):
            self.wait_for_sample()
            os.write(terminal, b"\x03")

        code, printed = self.run_in_terminal(LISTENING, "--plain", act=act)
        self.assertEqual(code, -signal.SIGINT)
        self.assertIn("the guest is asked to finish", printed)
        self.assertEqual(printed.splitlines()[-1], "stress: passed: 512 operations on seed 1, ended early, "
                                                   "and everything is as it was at the start")
        self.assertEqual(self.end(), {"status": 0, "end": ""})
        self.check_nothing_is_left(QEMU)

    def test_the_second_interrupt_ends_it(self):
        def act(terminal, _):
            self.wait_for_sample()
            os.write(terminal, b"\x03")
            time.sleep(0.5)
            os.write(terminal, b"\x03")

        code, printed = self.run_in_terminal(DEAF, act=act)
        self.assertEqual(code, -signal.SIGINT)
        self.assertIn("failed: Ended early by Ctrl-C, after 500 operations", printed.splitlines()[-1])
        self.check_ended("Ctrl-C")

    def test_a_terminal_that_is_closed(self):
        def act(terminal, process):
            self.wait_for_sample()
            os.kill(process, signal.SIGHUP)

        self.assertEqual(self.run_in_terminal(DEAF, act=act)[0], -signal.SIGHUP)
        self.check_ended("SIGHUP")


class CommandLine(StressTest):
    """Mistakes are refused, in a sentence, before anything is done."""

    def earlier(self):
        """What is kept of a run."""
        self.data.write_text('{"run":{}}\n{"sample":[0]}\n', encoding="utf-8")
        return self.data

    def test_mistakes(self):
        for words, said in (
            (["--seconds", "0"], "--seconds: 0 is too small: it takes a whole number from 1 on"),
            (["--operations=0"], "--operations: 0 is too small"),
            (["--validate", "0"], "--validate: 0 is too small"),
            (["--seed", "x"], "--seed: not a number: 'x': it takes"),
            (["--seed"], "--seed wants a value: N, what decides"),
            (["--memory", "31m"], "--memory: not 31m: it takes 32M to 2G"),
            (["--kernel", "x"], "--kernel: not a kernel: 'x': it is one of debug, release"),
            (["--phases", "churn,bogus"], "--phases: no such phase: 'bogus': it takes"),
            (["--report", "/nonexistent/report.html"], "--report: cannot write /nonexistent/report.html"),
            (["--from", "/nonexistent"], "--from: cannot read /nonexistent"),
            (["--from", "/dev/null"], "--from wants --report FILE"),
            (["--compare", "/nonexistent"], "--compare: cannot read /nonexistent: it takes the path of a file"),
            (["--compare", "/dev/null"], "--compare: /dev/null: the run ended before there was anything to report: "
                                         "it takes what --data kept of a run"),
            (["--compare", str(self.earlier())], "--compare wants --report FILE"),
            (["--report", str(self.folder / "r.jsonl"), "--data", str(self.folder / "r.jsonl")], "the same file"),
            (["bogus"], "cannot read bogus"),
            (["/bin/sh"], "is no ELF file for ia32"),
            (["--quiet", "--json"], "--json: not allowed with argument --quiet"),
        ):
            with self.subTest(words):
                code, printed, told = self.run_script(SCRIPTS / "stress.sh", *words)
                self.assertEqual((code, printed), (2, b""))
                self.assertTrue(told.startswith("stress.sh: ") and told.endswith(" (try --help)\n"), told)
                self.assertIn(said, told)

    def test_the_guest_is_told(self):
        wanted = stress.parse(["--seed=5", "--memory", "64m", "--phases", "churn,cow", "--operations", "7"])
        self.assertEqual(stress.guest_arguments(wanted), "seed=5 validate=1000 operations=7 phases=churn,cow")
        self.assertEqual(wanted.memory, "64M")
        paced = stress.parse(["--pacer", "--seconds", "1"])
        self.assertEqual(stress.guest_arguments(paced), "seed=1 validate=1000 seconds=1 pacer=1")
        self.assertIn(" --pacer", stress.repeat(paced))
        self.assertNotIn("--pacer", stress.repeat(wanted))
        self.assertEqual(stress.parse([]).seconds, 60)

    def test_the_phases_are_those_of_the_guest(self):
        table = SCRIPTS.parent / "roottask" / "src" / "bin" / "stress" / "phases" / "table.rs"
        names = re.findall(r'Phase \{ name: "([^"]*)"', table.read_text(encoding="utf-8"))
        self.assertEqual(names, list(stress.PHASES))


if __name__ == "__main__":
    # Below nohup it is ignored, and whoever is started here would ignore it too.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    unittest.main()
