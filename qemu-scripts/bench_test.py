# SPDX-License-Identifier: BSD-2-Clause
"""Tests of bench.py: what a comparison refuses, and what it accepts."""

import contextlib
import copy
import io
import json
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import bench
import interrupts

MARGINS = ["--margin", "1", "--other-margin", "15"]
TOOLS = ["rustc=rustc 1.0.0", "QEMU=7.2"]
# As the guest prints them, with every row that a measure asks for.
RAW = [
    {"name": name, "unit": "page", "count": 100, "pages": 100, "bytes": 100,
     "instructions": 100_000, "floor": 100_000, "kernel_calls": 100, "worst": 2000, "floor_worst": 2000}
    for name in {**bench.RATIO, **bench.BYTES_PER_PAGE, **bench.INSTRUCTIONS, **bench.WORST}
] + [
    {"name": "no_floor", "unit": "call", "count": 10, "instructions": 10_000, "kernel_calls": 10},
]
RAW[[raw["name"] for raw in RAW].index("alloc_1024_frames")]["count"] = 10


class Comparison(unittest.TestCase):
    """A result, saved, and another that is compared with it."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.saved = self.folder / "saved.json"
        self.raw = copy.deepcopy(RAW)
        code, printed = self.run_bench("--save", self.saved)
        self.assertEqual(code, 0, printed)

    def run_bench(self, *options, tools=TOOLS):
        """The exit code, and what was printed."""
        output = self.folder / "output"
        lines = ["noise", "bench: begin", *map(json.dumps, self.raw), "bench: end"]
        output.write_text("\n".join(lines), encoding="utf-8")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            code = bench.main([*MARGINS, *map(str, options), str(output), *tools])
        return code, printed.getvalue()

    def compare(self, *options, tools=TOOLS):
        """As run_bench, compared with what was saved."""
        return self.run_bench("--compare", self.saved, *options, tools=tools)

    def row(self, name):
        """The guest's row of that name."""
        return next(raw for raw in self.raw if raw["name"] == name)

    def assert_refused(self, word, result):
        """Refused, for a reason in which the word occurs."""
        code, printed = result
        self.assertEqual(code, 1, printed)
        self.assertIn(word, printed)

    def test_the_same_result_is_accepted(self):
        self.assertEqual(self.compare()[0], 0)

    def test_a_worse_ratio_is_refused(self):
        self.row("map_bulk_4k")["instructions"] = 102_000
        self.assert_refused("got worse: map_bulk_4k: ratio 1.02, was 1.0", self.compare())

    def test_what_is_within_the_margin_is_accepted(self):
        self.row("map_bulk_4k")["instructions"] = 102_000
        self.assertEqual(self.compare("--margin", 2.5)[0], 0)

    def test_more_instructions_are_refused_where_there_is_no_floor(self):
        self.row("no_floor")["instructions"] = 10_200
        self.assert_refused("got worse: no_floor: instructions 1020, was 1000", self.compare())

    def test_book_keeping_is_limited_in_words(self):
        name, limit = next(iter(bench.BYTES_PER_PAGE.items()))
        row = self.row(name)
        row["bytes"] = 2 * limit * row["pages"]
        self.assert_refused(f"measure not held: {name}: bytes_per_page", self.run_bench())
        wide = ["architecture=x86_64", *TOOLS]
        self.assertEqual(self.run_bench(tools=wide)[0], 0)
        row["bytes"] += row["pages"]
        self.assert_refused(f"measure not held: {name}: bytes_per_page", self.run_bench(tools=wide))

    def test_the_longest_operation_has_limits_of_its_own(self):
        self.row("cold_single")["worst"] = 2200
        self.assert_refused("measure not held: cold_single: worst_ratio 1.1, at most 1.05", self.run_bench())
        self.row("cold_single")["worst"] = 2000
        self.row("cold_single_paced")["worst"] = 50_001
        self.assert_refused("measure not held: cold_single_paced: worst 50001", self.run_bench())

    def test_instructions_have_limits(self):
        self.row("clear_page")["instructions"] = 200_100
        self.assert_refused("measure not held: clear_page: instructions 2001", self.run_bench())

    def test_parts_follow_each_other_and_each_must_be_whole(self):
        output = self.folder / "parts"
        row = json.dumps(self.row("no_floor"))
        part = ["bench: begin", row, "bench: end"]
        output.write_text("\n".join([*part, "noise", *part]), encoding="utf-8")
        self.assertEqual(len(bench.read_rows(output)), 2)
        output.write_text("\n".join([*part, "bench: begin", row]), encoding="utf-8")
        self.assertRaises(SystemExit, bench.read_rows, output)

    def test_a_slower_kernel_is_no_worse_ratio(self):
        raw = self.row("map_bulk_4k")
        raw["instructions"], raw["floor"] = 200_000, 200_000
        self.assertEqual(self.compare()[0], 0)

    def test_kernel_calls_and_bytes_are_told_and_do_not_count(self):
        self.row("no_floor")["kernel_calls"] = 11
        self.row("ipc_buffer")["bytes"] = 110
        code, printed = self.compare()
        self.assertEqual(code, 0)
        self.assertIn("differs: no_floor: kernel_calls 1.1, was 1", printed)

    def test_a_measure_that_was_held_counts(self):
        self.row("map_scattered_4k")["bytes"] = 3300
        refused = self.compare("--only-compare")
        self.assert_refused("got worse: map_scattered_4k: bytes_per_page 33, at most 32", refused)

    def test_a_measure_that_was_held_with_other_tools_does_not_count(self):
        self.row("map_scattered_4k")["bytes"] = 3300
        other = ["rustc=rustc 2.0.0", "QEMU=7.2"]
        self.assertEqual(self.compare("--only-compare", tools=other)[0], 0)

    def test_a_row_that_is_gone_is_refused(self):
        self.raw.remove(self.row("no_floor"))
        self.assert_refused("got worse: no_floor: there is no such row any more", self.compare())

    def test_a_floor_that_is_gone_is_refused(self):
        del self.row("ipc_buffer")["floor"]
        self.assert_refused("got worse: ipc_buffer: ratio None, was 1.0", self.compare())

    def test_a_row_that_is_new_is_refused(self):
        self.raw.append({**self.row("no_floor"), "name": "new"})
        self.assert_refused("unknown: new", self.compare())

    def test_what_got_better_is_told_and_accepted(self):
        self.row("no_floor")["instructions"] = 9_000
        code, printed = self.compare()
        self.assertEqual(code, 0)
        self.assertIn("got better: no_floor", printed)

    def test_other_tools_have_the_other_margin(self):
        self.row("no_floor")["instructions"] = 11_000
        other = ["rustc=rustc 2.0.0", "QEMU=7.2"]
        code, printed = self.compare(tools=other)
        self.assertEqual(code, 0)
        self.assertIn("rustc: rustc 2.0.0, then rustc 1.0.0", printed)
        self.row("no_floor")["instructions"] = 11_600
        self.assert_refused("got worse: no_floor", self.compare(tools=other))

    def test_rows_without_tools_can_be_compared_with(self):
        code, _ = self.run_bench("--json", self.saved)
        self.assertEqual(code, 0)
        self.assertIsInstance(json.loads(self.saved.read_text(encoding="utf-8")), list)
        self.assertEqual(self.compare()[0], 0)
        self.row("no_floor")["instructions"] = 10_200
        self.assert_refused("got worse: no_floor", self.compare())

    def test_a_measure_that_is_not_held_is_told_and_fails_unless_only_comparing(self):
        self.row("map_bulk_4k")["instructions"] = 106_000
        self.run_bench("--save", self.saved)
        self.assert_refused("measure not held: map_bulk_4k: ratio 1.06", self.compare())
        code, printed = self.compare("--only-compare")
        self.assertEqual(code, 0)
        self.assertIn("measure not held: map_bulk_4k", printed)

    def test_only_comparing_still_compares(self):
        self.row("no_floor")["instructions"] = 10_200
        self.assert_refused("got worse: no_floor", self.compare("--only-compare"))

    def test_output_that_is_not_complete_is_refused(self):
        output = self.folder / "output"
        output.write_text("bench: begin\n", encoding="utf-8")
        with self.assertRaises(SystemExit) as ended:
            bench.main([*MARGINS, str(output)])
        self.assertNotIn(ended.exception.code, (0, None))


    def test_only_rows_that_are_new_are_added(self):
        self.row("no_floor")["instructions"] = 11_000
        self.raw.insert(0, {**self.row("no_floor"), "name": "new"})
        self.raw.remove(self.row("ipc_buffer"))
        self.run_bench("--add", self.saved)
        rows, tools = bench.load(self.saved)
        names = [entry["name"] for entry in rows]
        self.assertEqual((names[0], names[-1]), ("new", "ipc_buffer"))
        self.assertEqual([entry["instructions"] for entry in rows if entry["name"] in ("new", "no_floor")], [1100, 1000])
        self.assertEqual(tools, {"rustc": "rustc 1.0.0", "QEMU": "7.2"})

    def test_nothing_is_added_to_a_result_of_other_tools(self):
        before = self.saved.read_text(encoding="utf-8")
        self.raw.append({**self.row("no_floor"), "name": "new"})
        with self.assertRaisesRegex(interrupts.Failed, "other tools .QEMU: 8, then 7.2"):
            self.run_bench("--add", self.saved, tools=["rustc=rustc 1.0.0", "QEMU=8"])
        self.assertEqual(self.saved.read_text(encoding="utf-8"), before)

    def test_lines_between_the_rows_are_passed_over(self):
        lines = ["bench: begin", "a word", json.dumps(self.row("no_floor")), "bench: end"]
        self.assertEqual([entry["name"] for entry in bench.rows_in(lines)], ["no_floor"])


class Growth(unittest.TestCase):
    """What is refused as growing faster than log n: 10, 100 and 1000 have logarithms as 1, 2, 3."""

    def faults(self, *points):
        """The faults of one operation whose medians these are, beside so many others."""
        return list(bench.growth_faults(
            [{"name": "no_size", "median": 1}]
            + [{"name": f"op_beside_{count}", "median": median} for count, median in points]
        ))

    def test_a_constant_and_a_logarithm_are_accepted(self):
        self.assertEqual(self.faults((10, 500), (100, 500), (1000, 500)), [])
        self.assertEqual(self.faults((10, 500), (100, 999), (1000, 1499)), [])

    def test_the_greatest_size_is_bounded_by_the_ratio_of_logarithms(self):
        self.assertEqual(len(self.faults((10, 500), (1000, 1501))), 1)

    def test_the_bound_is_narrow_where_the_sizes_are_great(self):
        # Twice as much from 1000 to 100,000, whose logarithms are as 3 to 5.
        self.assertEqual(len(self.faults((1000, 500), (100_000, 1000))), 1)

    def test_a_size_between_is_bounded_too(self):
        faults = self.faults((1000, 600), (10, 500), (100, 1001))
        self.assertEqual(len(faults), 1)
        self.assertIn("op: 500 instructions beside 10, 1001 beside 100", faults[0])

    def test_where_there_is_no_median_instructions_count(self):
        rows = [{"name": f"op_beside_{count}", "instructions": cost} for count, cost in ((10, 5), (100, 11))]
        self.assertEqual(len(list(bench.growth_faults(rows))), 1)

    def test_one_alone_bounds_nothing(self):
        self.assertEqual(self.faults((1, 100), (10, 500), (100, 900)), [])


if __name__ == "__main__":
    unittest.main()
