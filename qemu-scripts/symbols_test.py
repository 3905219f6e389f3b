# SPDX-License-Identifier: BSD-2-Clause
"""Tests of the names that are put to a guest's addresses: of a program that gcc makes."""

import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import symbols

SOURCE = """\
volatile int it;
__attribute__((noinline)) int leaf(int by) { it = by; return it; }
static inline __attribute__((always_inline)) int between(int by) { return leaf(by) + 1; }
__attribute__((noinline)) int middle(int by) { return between(by) + 1; }
__attribute__((noinline)) int through(int (*what)(int)) { return what(2) + 1; }
void _start(void) { middle(1); through(leaf); for (;;); }
"""


def make(path, base):
    """A program without libraries at an address."""
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", "-x", "c", "-", "-o", str(path), "-O1", "-g", "-static", "-nostdlib", "-no-pie",
                    "-fno-omit-frame-pointer", f"-Wl,-Ttext={base:#x}"],
                   input=SOURCE, text=True, check=True)


class Symbols(unittest.TestCase):
    """A root task, and a client with other addresses."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        folder = Path(cls.folder.name)
        cls.root, cls.client = folder / "release" / "task", folder / "client" / "guest"
        make(cls.root, 0x401000)
        make(cls.client, 0x10400000)
        code = subprocess.run(["objdump", "-d", str(cls.root)], text=True, check=True, stdout=subprocess.PIPE).stdout
        cls.at = {}
        for name, body in re.findall(r"^[0-9a-f]+ <(\w+)>:\n(.*?)(?=\n\n|\Z)", code, re.M | re.S):
            lines = [int(line.split(":")[0], 16) for line in body.splitlines()]
            calls = [index for index, line in enumerate(body.splitlines()) if "call" in line]
            cls.at[name] = lines[0], [lines[index + 1] for index in calls]

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def chain(self):
        """leaf, called from middle, called from _start."""
        return [self.at["leaf"][0], self.at["middle"][1][0], self.at["_start"][1][0]]

    def explain(self, line, elf=None):
        """The functions named behind a line; the line itself must come out first, as it is."""
        out = symbols.Explained(elf or self.root).feed(line.encode() + b"\n").decode().splitlines()
        self.assertEqual(out[0], line)
        return [re.sub(r"^    0x[0-9a-f]{8}  (.*) at \S+$", r"\1", more) for more in out[1:]]

    def test_functions_are_named_inlined_ones_too(self):
        leaf, *callers = map(hex, self.chain())
        names = ["leaf", "between (inlined)", "middle", "_start"]
        self.assertEqual(self.explain(f"  backtrace of main: {leaf}, called from {' '.join(callers)}"), names)
        self.assertEqual(self.explain(f"backtrace: called from {' '.join(callers)} and more"), names[1:])
        self.assertEqual(self.explain(f"  backtrace of main: {leaf}"), names[:1])

    def test_a_call_of_what_a_register_says_is_one(self):
        back = self.at["through"][1][0]
        self.assertEqual(self.explain(f"backtrace: called from {back:#x}"), ["through"])

    def test_what_no_call_goes_back_to_has_no_name(self):
        for address in (self.at["leaf"][0] + 1, 0x1000, 0):
            self.assertEqual(self.explain(f"backtrace: called from {address:#x}"), [])

    def test_a_client_is_found_by_its_addresses(self):
        moved = [hex(address - 0x401000 + 0x10400000) for address in self.chain()[1:]]
        for line in (f"guest: backtrace: called from {' '.join(moved)}",
                     f"other name: backtrace: called from {' '.join(moved)}"):
            self.assertEqual(self.explain(line), ["between (inlined)", "middle", "_start"])

    def test_the_debug_kernel_s_words_are_known(self):
        line = f'in thread 0xe0b6 "rootserver" at address {self.at["leaf"][0]:#x}'
        self.assertEqual(self.explain(line), ["leaf"])

    def test_all_else_goes_by_as_it_comes(self):
        explained = symbols.Explained(self.root)
        for data in (b"no end of a line", b"\r\n\rback", b"trace: called from\n", b"\xff\x00backtrace: not known\n"):
            self.assertEqual(explained.feed(data), data)
        self.assertEqual(symbols.Explained(Path("/nonexistent")).feed(b"backtrace: called from 0x1\n"),
                         b"backtrace: called from 0x1\n")


if __name__ == "__main__":
    unittest.main()
