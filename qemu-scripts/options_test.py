# SPDX-License-Identifier: BSD-2-Clause
"""Tests of the command lines of all scripts: each tells what it takes, and refuses the rest in a sentence."""

import re
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True  # leave nothing beside the scripts

from fake_qemu import SCRIPTS, ScriptTest

# What is sourced or imported, and called by nobody.
PARTS = {"lib.sh", "tracks.sh", "options.sh"}
# What is called by other scripts alone, with what these know.
CALLED = {
    "run.py", "stress.py", "bench.py", "mutants.py", "linux_compare.py", "memory_table.py", "swap_demo.py",
    "bench_profile.py",
}
SEEDS = "it takes a whole number from 0 to 999999999"


def scripts():
    """The scripts that a person calls."""
    for path in sorted(SCRIPTS.iterdir()):
        called = path.suffix == ".sh" or path.suffix == ".py" and "\nif __name__ ==" in path.read_text(encoding="utf-8")
        if called and path.name not in PARTS | CALLED and not re.search("_test|fake_", path.name):
            yield path


def words_for(path):
    """How a script is called."""
    return [sys.executable, path] if path.suffix == ".py" else [path]


class CommandLines(ScriptTest):
    """Nothing of this runs anything."""

    def test_each_script_has_help(self):
        found = list(scripts())
        self.assertGreater(len(found), 18)
        for path in found:
            for word in ("-h", "--help"):
                with self.subTest(script=path.name, word=word):
                    code, printed, said = self.run_script(*words_for(path), word)
                    self.assertEqual((code, said), (0, ""))
                    self.assertIn(f"sage: {path.name}", printed.decode())

    def test_what_is_not_known_is_refused(self):
        # Before it there must be what else is wanted.
        for path in scripts():
            before = {"debug.sh": ["hello"], "run.sh": ["hello"], "debian-rust.sh": ["folder"]}.get(path.name, [])
            if path.name in ("attend.py", "cc.sh", "mutants.sh"):
                continue  # of which the first is a command, and the second gives the rest to gcc
            with self.subTest(script=path.name):
                code, printed, said = self.run_script(*words_for(path), *before, "--bogus")
                self.assertEqual((code, printed), (2, b""), said)

    def test_a_mistake_names_the_option_and_what_it_takes(self):
        for words, wanted in (
            (["bench.sh", "--margin"], "--margin wants a value: it takes a percentage, such as 3 or 2.5"),
            (["bench.sh", "--margin=-3"], "--margin: not a percentage: '-3': it takes a percentage"),
            (["bench.sh", "--compare", "/nonexistent"], "--compare: cannot read /nonexistent: it takes the path"),
            (["bench.sh", "--arch=arm"], "--arch: not an architecture: 'arm': it is one of ia32, x86_64"),
            (["bench.sh", "--json"], "--json wants a value: it takes the path of a file"),
            (["linux-compare.sh", "--kernel", "/"], "--kernel: cannot read /: it takes the path of a file"),
            (["linux-compare.sh", "--json"], "--json wants a value: it takes the path of a file"),
            (["debian-linux.sh"], "it takes one folder"),
            (["compare.sh", "--seed=x"], f"--seed: not a number: 'x': {SEEDS}"),
            (["compare.sh", "--seed", "1000000000"], f"--seed: 1000000000 is too large: {SEEDS}"),
            (["compare.sh", "--calls", "0"], "--calls: 0 is too small: it takes a whole number from 1 to"),
            (["compare.sh", "--timeout"], "--timeout wants a value: it takes a whole number"),
            (["fuzz.sh", "bogus"], "unknown target: 'bogus': it is one of addresses "),
            (["fuzz.sh", "--seconds=0"], "--seconds: 0 is too small: it takes"),
            (["fuzz.sh", "--repeat", "/"], "--repeat: cannot read /: it takes the path of a file"),
            (["debug.sh", "hello", "--memory"], "--memory wants a value: it takes a size, such as 64m"),
            (["debug.sh", "hello", "--commands=/nonexistent"], "--commands: cannot read /nonexistent"),
            (["debug.sh", "hello", "--arch"], "--arch wants a value: it takes ia32 or x86_64"),
            (["doc.sh", "--arch=arm"], "--arch: not an architecture: 'arm'"),
            (["setup.sh", "--arch"], "--arch wants a value: it takes ia32 or x86_64"),
            (["cc.sh", "--arch=arm"], "--arch: not an architecture: 'arm'"),
            (["semver.sh", "--since=bogus"], "--since: not known to git: 'bogus': it takes a commit or tag of git"),
            (["test.sh", "bogus"], "no such lane: bogus: there are host "),
            (["demo.sh", "--memory=3x"], "--memory: not a size of memory: '3x': it takes 16M to 4G"),
        ):
            with self.subTest(words):
                code, printed, said = self.run_script(SCRIPTS / words[0], *words[1:])
                self.assertEqual((code, printed), (2, b""))
                self.assertIn(wanted, said)
                self.assertTrue(said.endswith(" (try --help)\n") and said.count("\n") == 1, said)

    def test_a_value_may_stand_behind_an_equals_sign(self):
        lines = f"""source "{SCRIPTS}/lib.sh"; spread_options "$@"; printf '<%s>' "${{WORDS[@]}}" """
        words = ["--seed=5", "--empty=", "--memory", "64m", "name=x", "--", "--seed=5"]
        with tempfile.NamedTemporaryFile("w", suffix=".sh") as script:
            script.write(lines)
            script.flush()
            _, printed, _ = self.run_script("bash", script.name, *words)
        self.assertEqual(printed.decode(), "<--seed><5><--empty><><--memory><64m><name=x><--><--seed=5>")


if __name__ == "__main__":
    unittest.main()
