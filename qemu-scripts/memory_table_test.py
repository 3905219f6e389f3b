# SPDX-License-Identifier: BSD-2-Clause
"""Tests of memory_table.py: images that are read, goals that are told, rows that are missing."""

import contextlib
import io
import struct
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import interrupts
import memory_table


def image(wide, segments):
    """An ELF file of nothing but a table of segments: kind, bytes in the file, bytes in memory."""
    header, entry = (64, 56) if wide else (52, 32)
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1, 1]) + bytes(9)
    rest = struct.pack("<HHIQQQIHHHHHH" if wide else "<HHIIIIIHHHHHH", 2, 62, 1, 0, header, 0, 0, header, entry,
                       len(segments), 0, 0, 0)
    table = b""
    for kind, in_file, in_memory in segments:
        table += (struct.pack("<IIQQQQQQ", kind, 0, 0, 0, 0, in_file, in_memory, 0) if wide
                  else struct.pack("<IIIIIIII", kind, 0, 0, 0, in_file, in_memory, 0, 0))
    return ident + rest + table


class Table(unittest.TestCase):
    """What is printed of rows and images."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.bytes = dict.fromkeys(memory_table.ROWS, 50)

    def run_table(self, word, *programs):
        """The lines, each by its first word."""
        rows = [f'{{"name":"{name}","unit":"page","count":2,"instructions":0,"kernel_calls":0,'
                f'"bytes":{2 * value},"pages":2}}' for name, value in self.bytes.items()]
        output = self.folder / "output"
        output.write_text("\n".join(["bench: begin", *rows, "bench: end"]), encoding="utf-8")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            code = memory_table.main(["--word", str(word), str(output), *map(str, programs)])
        self.assertEqual(code, 0)
        return {line.split()[0]: line for line in printed.getvalue().splitlines()}

    def test_bytes_are_by_the_unit(self):
        self.assertEqual(self.run_table(4)["region"].split()[1], "50.0")

    def test_goals_are_told_in_words(self):
        self.bytes |= {"page_scattered": 20, "page_shared_singly": 41, "tcb": 120}
        lines = self.run_table(4)
        self.assertIn("at most 20: held", lines["page_scattered"])
        self.assertIn("at most 40: not held", lines["page_shared_singly"])
        self.assertIn("at most 60: not held", lines["tcb"])
        lines = self.run_table(8)
        self.assertIn("at most 40: held", lines["page_scattered"])
        self.assertIn("at most 120: held", lines["tcb"])

    def test_only_what_is_loaded_counts(self):
        segments = ((1, 100, 300), (7, 1000, 1000), (1, 20, 20))
        for wide in (False, True):
            self.assertEqual(memory_table.image_sizes(image(wide, segments)), (120, 320))
            path = self.folder / "hello"
            path.write_bytes(image(wide, segments))
            lines = self.run_table(4, path)
            self.assertEqual(lines["image_of_hello"].split()[1], "120")
            self.assertEqual(lines["memory_of_hello"].split()[1], "320")

    def test_a_row_that_is_missing_is_named(self):
        del self.bytes["tcb"]
        with self.assertRaisesRegex(interrupts.Failed, "there is no row tcb"):
            self.run_table(4)


if __name__ == "__main__":
    unittest.main()
