# SPDX-License-Identifier: BSD-2-Clause
"""Tests of setup.sh: a Rust that is too old is refused before anything is done."""

import sys
import unittest

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


if __name__ == "__main__":
    unittest.main()
