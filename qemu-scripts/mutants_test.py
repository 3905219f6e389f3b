# SPDX-License-Identifier: BSD-2-Clause
"""Tests of what mutants.py draws and of how mutant_switch.py makes many mutants one program."""

import unittest

import mutant_switch
import mutants

SOURCE = '''impl<'p> Thing<'p> {
    /// Not this { brace.
    pub fn sum(&self, list: [u8; { 2 }], c: char) -> usize {
        let quote = '"'; // nor "this {
        let open = ('{', "}\\"{", '\\'');
        self.a + self.b
    }

    fn nothing(&self) {}

    fn wide(
        &self,
    ) -> bool
    where
        usize: Copy,
    {
        self.a > 1
    }
}
'''


def place(text, begin=0):
    at = SOURCE.index(text, begin)
    before = SOURCE[:at]
    return {"line": before.count("\n") + 1, "column": at - before.rfind("\n")}


def span(first, last):
    end = place(last, SOURCE.index(first))
    return {"start": place(first), "end": {**end, "column": end["column"] + len(last)}}


def mutant(function, first, last, replacement):
    return {"function": {"span": function}, "span": span(first, last), "replacement": replacement}


SUM = span("pub fn sum", "self.b\n    }")
SUM["end"] = place("\n\n    fn nothing")
WIDE = {"start": place("fn wide"), "end": place("\n}\n", SOURCE.index("> 1"))}


class SwitchTest(unittest.TestCase):
    def test_a_body_is_found_behind_braces_that_are_none(self):
        for first, head in [("pub fn sum", "-> usize "), ("fn wide", "Copy,\n    "),
                            ("fn nothing", "(&self) ")]:
            at = SOURCE.index(first)
            body = mutant_switch.body_of(SOURCE, at, len(SOURCE))
            self.assertEqual(body, SOURCE.index(head, at) + len(head), first)

    def test_each_mutant_has_a_copy_and_the_original_is_one_too(self):
        plus = mutant(SUM, "+", "+", "-")
        whole = mutant(SUM, "let quote", "self.b", "0")
        greater = mutant(WIDE, "> 1", ">", ">=")
        text, lines = mutant_switch.switch(SOURCE, [(1, plus), (2, whole), (7, greater)])
        self.assertEqual(text.count("crate::mutant_number()"), 2, "one for each function")
        self.assertIn("self.a - self.b\n    }\n2 => {\n        0\n    }\n_ => {", text)
        self.assertEqual(text.count("self.a + self.b"), 1, "the original")
        self.assertIn("7 => {\n        self.a >= 1\n    }\n_ => {\n        self.a > 1\n    }\n} }", text)
        self.assertIn("fn nothing(&self) {}\n", text, "what has no mutant is as it was")
        # An error is due to the copy that it is in, or to all of the function's.
        rows = text.splitlines()
        row = next(n for n, line in enumerate(rows, 1) if "self.a - self.b" in line)
        self.assertEqual(mutant_switch.blamed(lines, row), {1})
        row = next(n for n, line in enumerate(rows, 1) if "self.a + self.b" in line)
        self.assertEqual(mutant_switch.blamed(lines, row), {1, 2})
        self.assertEqual(mutant_switch.blamed(lines, 1), set())

    def test_without_mutants_a_file_is_as_it_was(self):
        self.assertEqual(mutant_switch.switch(SOURCE, []), (SOURCE, []))


class DrawTest(unittest.TestCase):
    def test_a_sample_depends_on_the_seed_alone(self):
        listed = [{"name": f"mutant {number}"} for number in range(100)]
        one = mutants.draw(listed, 10, 1)
        self.assertEqual(one, mutants.draw(listed[::-1], 10, 1), "not on the order of the list")
        self.assertEqual(len({mutant["name"] for mutant in one}), 10)
        self.assertNotEqual(one, mutants.draw(listed, 10, 2))
        self.assertEqual(len(mutants.draw(listed, None, 1)), 100)
        self.assertEqual(len(mutants.draw(listed, 1000, 1)), 100)

    def test_errors_are_read_from_what_cargo_prints(self):
        class Done:
            stdout = (
                '{"reason":"compiler-message","message":{"level":"error","message":"mismatch",'
                '"spans":[{"is_primary":false,"file_name":"a","line_start":1},'
                '{"is_primary":true,"file_name":"b","line_start":7}]}}\n'
                '{"reason":"compiler-message","message":{"level":"warning","message":"unused",'
                '"spans":[{"is_primary":true,"file_name":"a","line_start":2}]}}\nno JSON\n'
            )

        self.assertEqual(list(mutants.errors(Done)), [("b", 7, "mismatch")])


if __name__ == "__main__":
    unittest.main()
