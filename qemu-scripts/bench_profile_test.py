# SPDX-License-Identifier: BSD-2-Clause
"""Tests of bench_profile.py: what was counted is read, found for its row, and told by function."""

import sys
import unittest

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import bench_profile

KERNEL = bench_profile.KERNEL["ia32"]
# Two stretches of one row: its operation, and what lies between two of them.
COUNTED = f"""run 100
1000 10 100
2000 5 40
{KERNEL:x} 90 100
run 100
3000 3 100
"""


class Profile(unittest.TestCase):
    """Stretches, and the parts of one."""

    def setUp(self):
        self.runs = bench_profile.runs_of(COUNTED)

    def test_stretches_are_read(self):
        turns, blocks = self.runs[0]
        self.assertEqual(turns, 100)
        self.assertEqual(blocks, [(0x1000, 1000), (0x2000, 200), (KERNEL, 9000)])
        self.assertEqual(self.runs[1], (100, [(0x3000, 300)]))

    def test_a_row_is_found_by_its_instructions(self):
        row = {"instructions": 10_300, "count": 100}
        self.assertIs(bench_profile.run_of(row, self.runs), self.runs[0])

    def test_what_is_longer_or_came_seldom_is_no_row(self):
        self.assertIsNone(bench_profile.run_of({"instructions": 12_000, "count": 100}, self.runs))
        self.assertIsNone(bench_profile.run_of({"instructions": 41_200, "count": 400}, self.runs))

    def test_parts_are_the_whole(self):
        functions = {0x1000: "Vmm::populate", 0x2000: "Chunks::alloc"}
        whole, kernel, parts = bench_profile.breakdown(self.runs[0], KERNEL, functions)
        self.assertEqual((whole, kernel), (102, 90))
        self.assertEqual(parts, [("Vmm::populate", 10), ("Chunks::alloc", 2)])

    def test_rows_without_single_operations_have_none(self):
        printed = 'bench: begin\n{"name": "a", "p99": 3}\n{"name": "b"}\nbench: end\n'
        self.assertEqual(list(bench_profile.rows_of(printed)), ["a"])

    def test_names_are_short(self):
        for name, bare in (
            ("vmm::mapping::map::<impl vmm::manager::vmm::Vmm<K>>::populate", "Vmm::populate"),
            ("untyped_alloc::state::chunks::Chunks::alloc", "Chunks::alloc"),
            ("memset", "memset"),
        ):
            self.assertEqual(bench_profile.short(name), bare)


if __name__ == "__main__":
    unittest.main()
