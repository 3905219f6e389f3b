# SPDX-License-Identifier: BSD-2-Clause
"""Tests of arch_folders.py: it must notice what it is there for."""

import sys

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import subprocess
import tempfile
import unittest
from pathlib import Path

import arch_folders

SIZE = "const BYTES: usize = 4096;\n"
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
        for name in arch_folders.SIZE_EXCEPTIONS:
            self.write(name, (ASKING if name in arch_folders.EXCEPTIONS else "") + SIZE)

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
        self.write("vmm/src/state/region.rs", ASKING * 2 + SIZE)
        self.assertIn("2 lines ask for the architecture, at most 1 may", arch_folders.offences(self.root)[0])

    def test_an_exception_that_nobody_needs(self):
        self.write("vmm/src/state/region.rs", "\n")
        self.assertEqual(arch_folders.offences(self.root), [
            "vmm/src/state/region.rs: is an exception, and no line does ask for the architecture",
            "vmm/src/state/region.rs: is an exception, and no line does have a page's size as a number"])

    def test_sizes_of_pages_are_found_however_they_are_written(self):
        for text in ("4096", "0x1000usize", "!0xfff", "1 << 12", "address >> 22", "0x20_0000", "0x3fffff", "1u64 << 39"):
            with self.subTest(text):
                self.write("vmm/src/mapping/map.rs", f"\nconst B: usize = {text};\n")
                self.assertEqual(arch_folders.offences(self.root), [
                    "vmm/src/mapping/map.rs:2: a page's size is data: geometry, ObjectSizes, PAGE_BYTES"])

    def test_other_numbers_are_none(self):
        for text in ("14096", "0x10000", "x.4096", "1 << bits", "40960", "1 << 120"):
            with self.subTest(text):
                self.write("vmm/src/mapping/map.rs", f"const B: usize = {text}; // 4096\n")
                self.assertEqual(arch_folders.offences(self.root), [])
        for name in ("vmm/src/arch/ia32.rs", "vmm/src/state/tests/some.rs", "roottask/src/bin/hello.rs"):
            self.write(name, SIZE if "state" not in name else ASKING + SIZE)
        self.assertEqual(arch_folders.offences(self.root), [])


if __name__ == "__main__":
    unittest.main()
