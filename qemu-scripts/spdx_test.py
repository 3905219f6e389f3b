# SPDX-License-Identifier: BSD-2-Clause
"""Tests of spdx.py, on a checkout of some files."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True  # leave nothing beside the scripts

from fake_qemu import SCRIPTS

RUST = "// SPDX-License-Identifier: BSD-2-Clause\n"
SHELL = RUST.replace("//", "#")


class Licence(unittest.TestCase):
    """A first line that names the licence."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        subprocess.run(["git", "init", "--quiet", self.folder], check=True)

    def write(self, **files):
        """Files that git knows: `lib_rs` is lib.rs."""
        for name, text in files.items():
            (self.folder / name.replace("_", ".")).write_text(text, encoding="utf-8")
        subprocess.run(["git", "-C", self.folder, "add", "."], check=True)

    def read(self, name):
        return (self.folder / name).read_text(encoding="utf-8")

    def spdx(self, *options):
        """The exit code, and what was printed."""
        done = subprocess.run([sys.executable, SCRIPTS / "spdx.py", *options, self.folder],
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    def test_a_file_without_the_line_is_named(self):
        self.write(lib_rs=f"{RUST}fn f() {{}}\n", main_rs="fn main() {}\n", notes_md="nothing\n")
        self.assertEqual(self.spdx("--check"), (1, "main.rs\n"))
        self.assertEqual(self.spdx(), (1, "main.rs\n"), "without an option it does the same")

    def test_a_line_elsewhere_or_another_licence_is_not_it(self):
        self.write(late_rs=f"\n{RUST}", other_rs="// SPDX-License-Identifier: MIT\n", hash_rs=SHELL, good_rs=RUST)
        self.assertEqual(self.spdx("--check"), (1, "hash.rs\nlate.rs\nother.rs\n"))

    def test_what_was_added_is_found_and_nothing_else_is_changed(self):
        self.write(lib_rs="#![no_std]\n", run_sh="#!/bin/bash\nexit\n", empty_py="", page_html="<!DOCTYPE html>\n<p>\n",
                   page_css="p {}\n", data_json="{}\n", part_jinja="<p>\n")
        self.assertEqual(self.spdx("--add")[0], 0)
        self.assertEqual(self.spdx("--check"), (0, ""))
        self.assertEqual(self.read("lib.rs"), f"{RUST}#![no_std]\n")
        self.assertEqual(self.read("run.sh"), f"#!/bin/bash\n{SHELL}exit\n")
        self.assertEqual(self.read("page.html").split("\n")[0], "<!DOCTYPE html>")
        self.assertEqual(self.read("part.jinja"), "{# SPDX-License-Identifier: BSD-2-Clause #}\n<p>\n")
        self.assertEqual(self.read("data.json"), "{}\n")
        before = self.read("lib.rs")
        self.spdx("--add")
        self.assertEqual(self.read("lib.rs"), before, "a second time adds nothing")

    def test_a_checkout_without_sources_is_no_success(self):
        self.write(notes_md="nothing\n")
        self.assertEqual(self.spdx("--check")[0], 1)


if __name__ == "__main__":
    unittest.main()
