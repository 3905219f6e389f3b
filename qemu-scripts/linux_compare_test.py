# SPDX-License-Identifier: BSD-2-Clause
"""Tests of linux-compare.sh: what it reads, shows and refuses, and what it says where Debian's Linux cannot be had."""

import contextlib
import io
import os
import sys
import unittest
from unittest import mock

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import bench
import interrupts
import linux_compare
from fake_qemu import SCRIPTS, ScriptTest

FETCH = SCRIPTS / "debian-linux.sh"
INSTEAD = "or name a Linux kernel for x86_64: linux-compare.sh --kernel FILE"


def raw(name, each, count=10):
    """A row as a guest prints it."""
    return f'{{"name":"{name}","unit":"page","count":{count},"instructions":{each * count},"kernel_calls":0}}'


def output(figures, before=("noise",)):
    """What a guest prints whose rows have these figures."""
    return "\n".join([*before, "bench: begin", *(raw(*pair) for pair in figures.items()), "bench: end", "noise"])


class Comparison(unittest.TestCase):
    """Linux needs 1000 instructions for anything, and the manager 500; clearing a page takes it 300."""

    def setUp(self):
        self.linux = dict.fromkeys(linux_compare.ROWS, 1000) | {"loop_of_2": 2}
        self.here = dict.fromkeys(linux_compare.ROWS, 500) | {"loop_of_2": 2, "clear_page": 300}

    def run_compare(self):
        """The exit code, and what was printed."""
        printed, booted = io.StringIO(), mock.patch.object(linux_compare, "boot_linux", self.boot_linux)
        here = mock.patch.object(bench, "read_rows", lambda path: bench.rows_in(output(self.here).splitlines()))
        words = ["--memory=1G", "--kernel=bzImage", "--package=a-kernel", "--init=init", "output"]
        with booted, here, mock.patch.object(interrupts, "tell"), contextlib.redirect_stdout(printed):
            return linux_compare.main(words), printed.getvalue()

    def boot_linux(self, *_):
        return output(self.linux, ["[    0.1] a message", "linux: 6.1"])

    def line(self, name):
        """The words of a row of the table."""
        code, printed = self.run_compare()
        self.assertEqual(code, 0, printed)
        return next(line.split() for line in printed.splitlines() if line.startswith(f"{name} "))

    def refused(self):
        """What is said where there is no comparison."""
        with self.assertRaises(interrupts.Failed) as failed:
            self.run_compare()
        self.assertEqual(failed.exception.code, 1)
        return str(failed.exception)

    def test_both_columns_are_shown_with_their_ratio(self):
        self.linux["protect_64m"], self.here["protect_64m"] = 2000, 8000
        self.assertEqual(self.line("protect_64m")[:5], ["protect_64m", "page", "2,000", "8,000", "4.00"])

    def test_what_linux_clears_is_cleared_here(self):
        self.assertEqual(self.line("touch_64m")[2:6], ["1,000", "500", "300", "0.80"])
        self.assertEqual(self.line("touch_64m_used")[2:5], ["1,000", "500", "0.50"])

    def test_a_figure_of_one_digit_has_a_place_more(self):
        self.linux["protect_64m_large"] = 1
        self.assertEqual(self.line("protect_64m_large")[2:4], ["1.0", "500"])

    def test_what_must_not_cost_more_is_told(self):
        for name in ("touch_64m", "region_pair"):
            with self.subTest(name):
                self.setUp()
                self.here[name] = 1100
                code, printed = self.run_compare()
                self.assertEqual(code, 1)
                self.assertIn(f"not held: {name}: 1.", printed)

    def test_clearing_counts_in_what_must_not_cost_more(self):
        self.here["clear_page"] = 501
        code, printed = self.run_compare()
        self.assertEqual(code, 1)
        self.assertIn("not held: touch_64m: ", printed)

    def test_a_row_that_is_missing_is_named(self):
        del self.linux["fork_64m"]
        self.assertIn("on Linux there is no row fork_64m:", self.refused())
        self.setUp()
        del self.here["clear_page"]
        self.assertIn("on seL4 there is no row clear_page:", self.refused())

    def test_what_is_no_instructions_is_refused(self):
        for figure in (4, 1, 0):
            self.linux["loop_of_2"] = figure
            self.assertIn(f"on Linux a turn of a loop of 2 instructions counts {figure}:", self.refused())

    def test_output_that_is_not_complete_is_refused(self):
        with mock.patch.object(self, "boot_linux", lambda *_: "bench: begin\n" + raw("loop_of_2", 2)):
            self.assertRaises(SystemExit, self.run_compare)

    def test_both_programs_have_rows_of_these_names(self):
        for path in (SCRIPTS / "linux" / "init.c", SCRIPTS.parent / "roottask/src/bin/bench-large/program.rs"):
            text = path.read_text(encoding="utf-8")
            for name in (linux_compare.LOOP, *linux_compare.ROWS):
                self.assertIn(f'"{name}"', text, path)


class Archive(unittest.TestCase):
    """The first file system, read as cpio's manual describes the format: numbers of eight hexadecimal digits."""

    @staticmethod
    def read(archive):
        """Name, mode, device and contents of each file."""
        at = 0
        while at < len(archive):
            assert archive[at:at + 6] == b"070701", at
            fields = [int(archive[at + 6 + 8 * field:at + 14 + 8 * field], 16) for field in range(13)]
            name = archive[at + 110:at + 110 + fields[11]]
            data = at + 110 + fields[11] + -(110 + fields[11]) % 4
            yield name, fields[1], tuple(fields[9:11]), archive[data:data + fields[6]]
            at = data + fields[6] + -fields[6] % 4

    def test_it_has_a_console_and_the_program(self):
        for size in range(5):
            program = b"\x7fELF!"[:size]
            self.assertEqual(list(self.read(linux_compare.first_file_system(program))), [
                (b"dev\0", 0o40755, (0, 0), b""),
                (b"dev/console\0", 0o20600, (5, 1), b""),
                (b"init\0", 0o100755, (0, 0), program),
                (b"TRAILER!!!\0", 0, (0, 0), b""),
            ])


class Fetching(ScriptTest):
    """Debian's tools, which do as they are told."""

    def setUp(self):
        super().setUp()
        self.fake("apt-cache", 'echo "linux-image-cloud-amd64"; echo "  Depends: linux-image-9-cloud-amd64"')
        self.fake("apt-get", '[[ " $* " != *" download "* ]] || : >"${!#}_9.0_amd64.deb"')
        self.fake("dpkg", 'mkdir -p "$3/boot" && echo kernel >"$3/boot/vmlinuz-9-cloud-amd64"')
        self.target = self.folder / "linux"

    def fetch(self):
        """The exit code, and the last line that was said."""
        code, printed, said = self.run_script(FETCH, self.target)
        self.assertEqual(printed, b"")
        return code, said.splitlines()[-1] if said else ""

    def refused(self):
        """The same, where nothing is to be left of it."""
        code, said = self.fetch()
        self.assertEqual(code, 1, said)
        self.assertTrue(said.startswith("debian-linux.sh: ") and said.endswith(INSTEAD), said)
        self.assertEqual([path.name for path in self.folder.iterdir() if "linux" in path.name], [])
        return said

    def test_the_kernel_and_what_it_is(self):
        self.assertEqual(self.fetch()[0], 0)
        self.assertEqual((self.target / "vmlinuz").read_text(encoding="utf-8"), "kernel\n")
        self.assertEqual((self.target / "package").read_text(encoding="utf-8"),
                         "linux-image-9-cloud-amd64_9.0_amd64\n")

    def test_what_is_there_is_not_fetched_again(self):
        self.fetch()
        self.fake("apt-get", "exit 1")
        (self.folder / "apt-get.pid").unlink()
        self.assertEqual(self.fetch(), (0, ""))
        self.assertFalse((self.folder / "apt-get.pid").exists())

    def test_without_package_lists(self):
        self.fake("apt-get", "exit 1")
        self.fake("apt-cache", "exit 100")
        self.assertIn("the package lists have no linux-image-cloud-amd64: see that there is a network", self.refused())

    def test_without_what_it_depends_on(self):
        self.fake("apt-cache", 'echo "linux-image-cloud-amd64"; echo "  Depends: something-else"')
        self.assertIn("the package lists have no linux-image-cloud-amd64", self.refused())

    def test_without_a_network(self):
        self.fake("apt-get", '[[ " $* " != *" download "* ]]')
        self.assertIn("linux-image-9-cloud-amd64 could not be fetched: see that there is a network", self.refused())

    def test_a_package_that_is_broken(self):
        self.fake("dpkg", "exit 2")
        self.assertIn("linux-image-9-cloud-amd64 cannot be unpacked", self.refused())

    def test_a_package_without_a_kernel(self):
        self.fake("dpkg", 'mkdir -p "$3/boot"')
        self.assertIn("linux-image-9-cloud-amd64 has no file boot/vmlinuz-*", self.refused())

    def test_without_debian(self):
        for name in ("apt-cache", "apt-get", "dpkg"):
            (self.folder / "bin" / name).unlink()
        for name in ("bash", "dirname", "env"):
            (self.folder / "bin" / name).symlink_to(f"/usr/bin/{name}")
        self.environment["PATH"] = os.fspath(self.folder / "bin")
        self.assertIn("there is no apt-get to fetch Debian's Linux with: run this on Debian", self.refused())


if __name__ == "__main__":
    unittest.main()
