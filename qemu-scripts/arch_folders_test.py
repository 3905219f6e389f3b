# SPDX-License-Identifier: BSD-2-Clause
"""Tests of arch_folders.py: it must notice what it is there for."""

import sys

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import subprocess
import tempfile
import unittest
from pathlib import Path

import arch_folders

ASKING = '#[cfg(target_arch = "x86")]\nconst A: u8 = 1;\n'


class ArchFolders(unittest.TestCase):
    """A checkout with a file for each exception, and one file more."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        subprocess.run(["git", "init", "--quiet", folder.name], check=True)
        for name in arch_folders.EXCEPTIONS:
            self.write(name + "some.rs" if name.endswith("/") else name, ASKING)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def test_exceptions_and_folders_are_no_offence(self):
        self.write("vmm/src/arch/ia32.rs", ASKING)
        self.write("vmm/src/model/arch.rs", ASKING)
        self.write("vmm/src/said.rs", "// cfg(target_arch) is a word here\n")
        self.assertEqual(arch_folders.offences(self.root), [])

    def test_any_other_place_is(self):
        self.write("vmm/src/mapping/map.rs", "\nconst B: bool = cfg!(target_pointer_width = \"64\");\n")
        self.assertEqual(arch_folders.offences(self.root), [
            "vmm/src/mapping/map.rs:2: what depends on the architecture belongs to a folder arch/"])

    def test_more_than_an_exception_is_for(self):
        self.write("vmm/src/state/region.rs", ASKING * 2)
        self.assertIn("2 lines ask for the architecture, at most 1 may", arch_folders.offences(self.root)[0])

    def test_an_exception_that_nobody_needs(self):
        self.write("vmm/src/state/region.rs", "\n")
        self.assertEqual(arch_folders.offences(self.root),
                         ["vmm/src/state/region.rs: is an exception, and asks for nothing"])


if __name__ == "__main__":
    unittest.main()
