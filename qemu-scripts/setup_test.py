# SPDX-License-Identifier: BSD-2-Clause
"""Tests of setup.sh: what is too old or cannot be had is refused before anything is done."""

import os
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True  # leave nothing beside the scripts

from fake_qemu import SCRIPTS, ScriptTest

SETUP = SCRIPTS / "setup.sh"
# What set-up would need the network or root rights for.
TOOLS = ("apt-get", "sudo", "rustup", "pip", "curl")


class RustVersion(ScriptTest):
    """cargo and rustc of some version."""

    def set_up(self, cargo, rustc):
        """The exit code, what was said, and which tools were called."""
        for name, version in (("cargo", cargo), ("rustc", rustc)):
            self.fake(name, f'[[ $1 != --version ]] || {{ echo "{name} {version}"; exit; }}; exit 1')
        for name in TOOLS:
            self.fake(name, "exit 1")
        for name in ("cargo", "rustc", *TOOLS):
            (self.folder / f"{name}.pid").unlink(missing_ok=True)
        code, printed, said = self.run_script(SETUP)
        self.assertEqual(printed, b"")
        return code, said, [name for name in TOOLS if (self.folder / f"{name}.pid").exists()]

    def test_one_that_is_too_old_is_refused_at_once(self):
        for cargo, rustc, which in (
            ("1.65.0", "1.63.0", "cargo is 1.65.0"), ("1.84.1 (66221abde 2024-11-19)", "1.85.0", "cargo is 1.84.1"),
            ("1.90.0", "1.63.0", "rustc is 1.63.0"), ("0.66.0", "1.90.0", "cargo is 0.66.0"),
        ):
            with self.subTest(cargo=cargo, rustc=rustc):
                code, said, called = self.set_up(cargo, rustc)
                self.assertEqual((code, called), (1, []))
                self.assertRegex(said, f"^setup.sh: {which} .*too old: Rust 1.85 or newer is needed, from https://")
                self.assertEqual(said.count("\n"), 1)

    def test_newer_ones_pass(self):
        for version in ("1.85.0", "1.85.0 (4d91de4e4 2025-02-17) (built from a source tarball)", "1.100.0-nightly",
                        "2.0.0", "unknown"):
            with self.subTest(version):
                self.assertNotIn("too old", self.set_up(version, version)[1])

    def test_the_readme_names_it(self):
        manifest = (SCRIPTS.parent / "Cargo.toml").read_text(encoding="utf-8")
        self.assertIn('\nrust-version = "1.85"\n', manifest)
        readme = (SCRIPTS.parent / "README.md").read_text(encoding="utf-8")
        self.assertIn("Rust 1.85 or newer", readme)


class WithoutQemu(ScriptTest):
    """A machine on which QEMU is not installed: PATH has all programs but it and what would install it."""

    def setUp(self):
        super().setUp()
        for folder in map(Path, reversed(os.environ["PATH"].split(os.pathsep))):
            for path in folder.iterdir() if folder.is_dir() else ():
                if not path.name.startswith(("qemu-", "apt")):
                    link = self.folder / "bin" / path.name
                    link.unlink(missing_ok=True)
                    link.symlink_to(path.resolve())
        for name in ("cargo", "rustc"):
            (self.folder / "bin" / name).unlink(missing_ok=True)
            self.fake(name, f"echo {name} 1.85.0")
        self.environment["PATH"] = str(self.folder / "bin")

    def test_set_up_says_which_package_is_missing(self):
        for arch in ("ia32", "x86_64"):
            with self.subTest(arch):
                code, printed, said = self.run_script(SETUP, "--arch", arch)
                self.assertEqual((code, printed), (1, b""))
                self.assertRegex(said, "^setup.sh: missing, and there is no apt-get to install them: .*qemu-system-x86")
                self.assertEqual(said.count("\n"), 1)

    def test_nothing_is_booted_without_it(self):
        code, printed, said = self.run_script(SCRIPTS / "run.sh", self.elf)
        self.assertEqual((code, printed), (1, b""))
        self.assertIn("qemu-system-x86", said)
        self.assertIn("run.sh: set-up failed, so nothing was run", said)


if __name__ == "__main__":
    unittest.main()
