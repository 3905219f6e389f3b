# SPDX-License-Identifier: BSD-2-Clause
"""Tests of the report of a stress run: made by a short run, and looked at in a browser."""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import figures
from webdriver import Browser

HERE = Path(__file__).resolve().parent
STRESS = HERE.parent / "stress.sh"
PLOTS = ["history", "costs", "phases", "ratios"]
SCHEMES = ("light", "dark")
WIDTHS = (1280, 700, 390, 320)
LOOKS = (HERE / "looks.js").read_text(encoding="utf-8")
# What the run prints of each kind: its name, done, short, refused, worst, and where that was.
KIND = re.compile(r"^stress: (\S.*?) +(\d+) +(\d+) +(\d+) +(\d+)  (\d+)$", re.MULTILINE)

# What a run tells that hangs soon.
EARLIER = [
    {"about": [["seed", "9 <&>"]], "repeat": "stress.sh --seed 9 --operations 77", "seed": 9},
    {"run": {"seed": 9, "validate": 1, "icount": False, "unit": "ticks", "total_bytes": 1 << 20,
             "bookkeeping_bytes": 0}},
    {"sample": [0, 0, 4096, 4096, 4096, 0, 1, 0, 7, "churn", 0.0]}, {"progress": 76},
    {"status": 124, "end": "stress: HUNG in operation 77: nothing was heard for 60 seconds"},
]


def plain(text):
    """A number of the page as digits alone."""
    return text.replace(",", "").replace("–", "0")


def mebibytes(text):
    """A number of bytes of the page in MiB."""
    sizes = {"bytes": 2**-20, "KiB": 2**-10, "MiB": 1, "GiB": 2**10}
    number, _, unit = plain(text).partition(" ")
    return float(number) * sizes.get(unit, 0)


class Numbers(unittest.TestCase):
    """What is read off the data."""

    OPERATION = {"costs": [[10, 11, 50], [16, 18, 49], [64, 72, 1]], "worst": 70}

    def test_quantiles_are_at_most_what_is_said(self):
        self.assertEqual(figures.quantile(self.OPERATION, 0.5), 10)
        self.assertEqual(figures.quantile(self.OPERATION, 0.51), 17)
        self.assertEqual(figures.quantile(self.OPERATION, 0.99), 17)

    def test_no_quantile_is_above_the_worst(self):
        self.assertEqual(figures.quantile(self.OPERATION, 1), 70)

    def test_bytes_are_written_in_units(self):
        written = [figures.in_bytes(count) for count in (0, 1023, 1024, 1536, 3 << 20, 1 << 30)]
        self.assertEqual(written, ["0 bytes", "1,023 bytes", "1 KiB", "1.5 KiB", "3 MiB", "1 GiB"])


class InBrowser:
    """A page, in a browser that has no network. To be made by make_page, at cls.page."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        # A folder to keep it in can be named, to look at what was tested.
        cls.folder = Path(os.environ.get("REPORT_TEST_FOLDER", folder.name))
        cls.page = cls.folder / f"{cls.__name__}.html"
        cls.make_page()
        cls.browser = cls.enterClassContext(Browser())
        offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        cls.browser.devtools("Network.enable")
        cls.browser.devtools("Network.emulateNetworkConditions", **offline)

    def setUp(self):
        self.browser.resize(1200)
        self.browser.open("about:blank")
        self.browser.requested()
        self.browser.open(self.page.as_uri())

    def look(self, function, *arguments):
        """What a function of looks.js returns."""
        return self.browser.run(f"{LOOKS}\nreturn {function}(...arguments);", *arguments)

    def each_way(self):
        """Shows the page in each colour scheme and each width of the window, and says in which."""
        for scheme in SCHEMES:
            for width in WIDTHS:
                self.browser.prefer(scheme)
                self.browser.resize(width)
                yield f"{scheme}, {width} wide"

    def check_each_way(self, function, *arguments):
        """However the page is shown, a function of looks.js finds nothing."""
        for way in self.each_way():
            self.assertEqual(self.look(function, *arguments), [], way)


class FinishedRun(InBrowser, unittest.TestCase):
    """The page of a run that went well, beside one that hung soon."""

    @classmethod
    def make_earlier(cls):
        """What such a run told."""
        costs = {"operation": "map", "done": 100, "short": 0, "refused": 0, "wrong_and_short": 0, "worst": 70,
                 "worst_at": 5, "costs": Numbers.OPERATION["costs"]}
        lines = [*EARLIER[:3], costs, *EARLIER[3:]]
        lines[1] = {"run": {**EARLIER[1]["run"], "icount": True, "unit": "instructions"}}
        told = cls.folder / "earlier.jsonl"
        told.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        return told

    @classmethod
    def make_page(cls):
        command = [str(STRESS), "--operations", "3000", "--memory", "32M", "--kernel", "release",
                   "--seed", "5", "--icount", "--report", str(cls.page), "--compare", str(cls.make_earlier())]
        cls.printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout

    def test_all_plots_are_there(self):
        self.check_each_way("missingPlots", PLOTS, 4)
        self.browser.run("document.getElementById('plot-costs-narrow').remove();"
                         "document.querySelector('svg.map').style.display = 'none';")
        self.assertEqual(len(self.look("missingPlots", PLOTS, 4)), 2, "what is missing is found")

    def test_text_can_be_read(self):
        self.check_each_way("faintTexts")
        self.browser.run("document.documentElement.style.setProperty('--soft', '#777')")
        self.assertNotEqual(self.look("faintTexts"), [], "faint text is found")

    def test_marks_can_be_seen(self):
        self.check_each_way("faintMarks")
        self.browser.run("document.documentElement.style.setProperty('--cost', 'var(--paper)');"
                         "document.querySelector('#plot-costs-wide path').style.fill = 'black';")
        self.assertEqual(len(self.look("faintMarks")), 2, "faint and black marks are found")

    def test_the_schemes_differ(self):
        papers = []
        for scheme in SCHEMES:
            self.browser.prefer(scheme)
            papers.append(self.browser.run("return getComputedStyle(document.body).backgroundColor"))
        self.assertNotEqual(*papers)

    def test_nothing_is_wider_than_the_window(self):
        self.check_each_way("overflowing")
        self.browser.run("document.querySelector('h2').style.width = '2000px'")
        self.assertNotEqual(self.look("overflowing"), [], "what is too wide is found")

    def test_plots_scale_and_can_be_read(self):
        self.check_each_way("smallLetters")
        self.browser.run("for (const plot of document.querySelectorAll('svg.plot')) plot.style.width = '100px'")
        self.assertNotEqual(self.look("smallLetters"), [], "small letters are found")

    def test_on_a_phone_tables_move_within_themselves(self):
        self.browser.resize(390)
        self.assertEqual(self.look("brokenCells"), [])
        self.assertGreater(self.look("movedTables"), 3)
        self.browser.run("document.querySelector('.uses td:first-child').style.cssText = 'width: 1px; min-width: 0'")
        self.browser.run("for (const one of document.querySelectorAll('.uses tr > :first-child')) "
                         "one.style.cssText = 'width: 1px; min-width: 0'")
        self.assertNotEqual(self.look("brokenCells"), [], "a word a line is found")

    def test_what_is_pointed_at_tells_its_numbers(self):
        for selector, wanted in (
            ("#plot-history-wide .hit", r"^operation [\d,]+, [\d.]+ s, phase \S+: .* free, .* faults, .* kernel calls$"),
            ("#plot-costs-wide .hit", r"^\S.*: [\d,]+ operations?; median at most .*, 99 % at most .*, worst "),
            ("#plot-phases-wide .hit", r"^\S+: [\d,]+ operations?; median at most "),
            ("#plot-ratios-wide .hit", r"^\w+: \d\.\d{3} times the kernel's calls alone"),
            ("svg.map rect", r"^0x[0-9a-f]{8} to 0x[0-9a-f]{8}: mostly \S"),
        ):
            told = self.browser.point_at(selector)
            self.assertRegex(told, wanted, selector)
        self.browser.point_at("h1")
        self.assertTrue(self.browser.run("return document.getElementById('told').hidden"), "nothing is told of a heading")

    def test_each_worst_operation_has_the_command_that_repeats_it(self):
        commands = dict(self.look("tableOf", "costs details"))
        costs = {row[0]: plain(row[5]) for row in self.look("tableOf", "costs > .wide")}
        self.assertEqual(set(commands), set(costs))
        for name, command in commands.items():
            self.assertEqual(command, "qemu-scripts/stress.sh --arch ia32 --seed 5 --memory 32M --kernel release "
                                      f"--validate 1000 --icount --operations {costs[name]}")

    def test_phases_add_up_to_all_operations(self):
        rows = self.look("tableOf", "phases")
        done = re.search(r"stress: (\d+) operations, ", self.printed).group(1)
        noted = sum(int(plain(number)) for row in self.look("tableOf", "operations")[-1:] for number in row[1:4])
        self.assertEqual(sum(int(plain(row[1])) for row in rows), noted)
        self.assertLessEqual(noted, int(done))
        for row in rows:
            median, most, worst = (int(plain(number)) for number in row[2:])
            self.assertTrue(median <= most <= worst, row)

    def test_it_is_compared_with_the_earlier_run(self):
        rows = {row[0]: row[1:] for row in self.look("tableOf", "compared > .wide:nth-of-type(1)")}
        self.assertEqual(rows["operations"][0], "76")
        self.assertRegex(rows["operations"][2], r"^\+[\d,]+\.\d %$")
        costs = {row[0]: row[1:] for row in self.look("tableOf", "compared > .wide:nth-of-type(2)")}
        self.assertEqual(list(costs), ["map"])
        self.assertEqual((costs["map"][0], costs["map"][3]), ("10", "17"), "known from the earlier run's buckets")
        text = self.browser.run("return document.querySelector('#compared p').innerText")
        self.assertIn("seed (9 <&>, now 5)", text)

    def test_nothing_is_asked_of_the_network(self):
        allowed = {self.page.as_uri(), "data:,"}
        requested = self.browser.requested()
        self.assertIn(self.page.as_uri(), requested)
        self.assertLessEqual(set(requested), allowed)
        self.browser.run("new Image().src = 'http://127.0.0.1:9/picture.png'")
        self.assertFalse(set(self.browser.requested()) <= allowed, "requests are found")

    def test_the_verdict_comes_first(self):
        first = self.browser.run("return document.querySelector('.verdict.good')?.innerText")
        # At least as many as were asked for: the warm-up, which is of chance, is done whole.
        done = int(re.search(r"stress: (\d+) operations, ", self.printed).group(1))
        self.assertGreaterEqual(done, 3000)
        self.assertRegex(first or "", rf"^Passed: {done:,} operations on seed 5, ")

    def test_operations_are_those_that_the_run_told(self):
        told = {name: (done, short, refused, worst, at)
                for name, done, short, refused, worst, at in KIND.findall(self.printed)}
        self.assertGreater(len(told), 20)
        rows = {row[0]: list(map(plain, row[1:])) for row in self.look("tableOf", "operations")}
        costs = {row[0]: list(map(plain, row[1:])) for row in self.look("tableOf", "costs > .wide")}
        self.assertEqual(set(rows), {*told, "all"})
        self.assertEqual(set(costs), set(told))
        for name, (done, short, refused, worst, at) in told.items():
            # What was wrong, and short of something before, stands with the short in the summary.
            wrong_and_short = int(rows[name][2]) - int(rows[name][3])
            self.assertEqual(rows[name][0], done, name)
            self.assertEqual(int(rows[name][1]) + wrong_and_short, int(short), name)
            self.assertEqual(rows[name][3], refused, name)
            self.assertEqual(costs[name][3:], [worst, at], name)

    def test_kernel_calls_add_up_to_what_the_run_told(self):
        total = re.search(r"stress: \d+ operations, (\d+) kernel calls", self.printed).group(1)
        rows = self.look("tableOf", "calls")
        self.assertEqual(rows[-1][:2], ["all", f"{int(total):,}"])

    def test_the_balance_is_that_of_the_run(self):
        rows = self.look("tableOf", "balance")
        self.assertEqual([row[0] for row in rows], [
            "free bytes", "free slots", "largest block", "book-keeping pages", "book-keeping used", "spaces",
        ])
        for what, before, after, verdict in rows:
            self.assertRegex(self.printed, f"stress: {what} +{before.replace(',', '')} ")
            self.assertEqual((before, verdict), (after, "the same"))

    def test_the_map_accounts_for_all_memory(self):
        rows = self.look("tableOf", "map")
        self.assertEqual(len(rows), 11)
        self.assertTrue(all(len(row) == 5 for row in rows), "what for, and four moments")
        for moment in range(1, 5):
            self.assertAlmostEqual(sum(mebibytes(row[moment]) for row in rows), 32, delta=0.5)

    def test_it_says_how_it_was_made(self):
        rows = dict(self.look("tableOf", "about"))
        self.assertEqual((rows["seed"], rows["memory of the machine"]), ("5", "32M"))
        for name, pattern in (
            ("kernel", r"^seL4 \d+\.\d+\.\d+, IA32, release$"), ("QEMU", r"^\d+\.\d+"),
            ("compiler", r"^rustc \d+\.\d+"), ("date", r"^\d{4}-\d\d-\d\d "), ("revision", r"."),
        ):
            self.assertRegex(rows[name], pattern)

class UnfinishedRun(InBrowser, unittest.TestCase):
    """The page of a run that hung soon."""

    @classmethod
    def make_page(cls):
        told = cls.folder / "unfinished.jsonl"
        told.write_text("".join(json.dumps(line) + "\n" for line in EARLIER), encoding="utf-8")
        command = [str(STRESS), "--from", str(told), "--report", str(cls.page)]
        subprocess.run(command, check=True)

    def test_it_tells_what_was_done(self):
        facts = self.browser.run("return document.body.innerText.toLowerCase().replace(/\\s+/g, ' ')")
        self.assertIn("operations 76", facts)
        self.assertIn("wrong requests refused not told", facts)

    def test_it_says_what_happened_and_how_to_repeat_it(self):
        first = self.browser.run("return document.querySelector('.verdict.bad')?.innerText")
        self.assertEqual(first, "HUNG in operation 77: nothing was heard for 60 seconds")
        text = self.browser.run("return document.body.innerText")
        self.assertIn("qemu-scripts/stress.sh --seed 9 --operations 77", text)
        self.assertEqual(text.count("Not told"), 3, "no balance, no maps, no costs")

    def test_it_looks_as_it_should(self):
        for way in self.each_way():
            self.assertEqual(self.look("missingPlots", ["history"], 0), [], way)
            self.assertEqual(self.look("faintTexts"), [], way)
            self.assertEqual(self.look("overflowing"), [], way)

    def test_what_is_text_stays_text(self):
        self.assertEqual(self.look("tableOf", "about"), [["seed", "9 <&>"]])


if __name__ == "__main__":
    unittest.main()
