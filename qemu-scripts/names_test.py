# SPDX-License-Identifier: BSD-2-Clause
"""Tests of names.py: it must notice what it is there for."""

import sys

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import subprocess
import tempfile
import unittest
from pathlib import Path

import folder_check
import names

BLOCK = "text\n```names\nscrub, make_way: zero, ensure\nMOST: MAX\nForeign: Borrowed\n```\n"


class Names(unittest.TestCase):
    """A checkout with a file, and words that are not used in it."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        subprocess.run(["git", "init", "--quiet", folder.name], check=True)
        (self.root / "ARCHITECTURE.md").write_text(BLOCK)

    def offences(self, code):
        (self.root / "some.rs").write_text(code)
        return names.offences(self.root)

    def test_other_words_are_no_offence(self):
        code = "fn zero_almost(way: u8) {}\nstruct Mostly;\n// fn scrub() is a word here\nlet x = scrub::way();\n"
        self.assertEqual(self.offences(code), [])

    def test_each_kind_of_definition_is(self):
        for code, name in (
            ("pub(crate) fn scrub_page() {}", "scrub_page"),
            ("struct PageScrub;", "PageScrub"),
            ("    const MOST_PAGES: usize = 1;", "MOST_PAGES"),
            ("mod make_way;", "make_way"),
            ("enum MakeWay {}", "MakeWay"),
            ("    pub scrub: Cell<bool>,", "scrub"),
            ("fn zero(pages: usize, to_scrub: usize) {}", "to_scrub"),
        ):
            found = self.offences(f"// first\n{code}\n")
            self.assertEqual(len(found), 1, code)
            self.assertTrue(found[0].startswith(f"some.rs:2: {name}: the field says "), found)

    def test_a_word_of_a_style_is_found_in_that_alone(self):
        self.assertEqual(self.offences("fn most(foreign: u8) {}\nconst FOREIGN: u8 = 1;\nstruct Most;\n"), [])
        self.assertEqual(len(self.offences("struct ForeignPage;\nconst THE_MOST: u8 = 1;\n")), 2)

    def test_it_tells_what_the_field_says(self):
        self.assertEqual(self.offences("fn scrub() {}\n"), ["some.rs:1: scrub: the field says zero, ensure"])

    def test_a_block_that_cannot_be_read_is_refused(self):
        for text, why in (("no block", "has no block"), ("```names\nscrub\n```\n", "is no `WORD"),
                          ("```names\nscrub:\n```\n", "is no `WORD")):
            (self.root / "ARCHITECTURE.md").write_text(text)
            with self.assertRaisesRegex(ValueError, why):
                self.offences("fn a() {}\n")

    def test_this_checkout_has_a_block(self):
        self.assertGreater(len(names.words_of((folder_check.ROOT / "ARCHITECTURE.md").read_text())), 20)


if __name__ == "__main__":
    unittest.main()
