# SPDX-License-Identifier: BSD-2-Clause
"""Makes many mutants one program: each function gets a copy of its body for each of its mutants, and
a number in the environment (`MUTANT`) says which of them runs.

    { original }   becomes   { match crate::mutant_number() { 17 => { mutant 17 },
                                                             18 => { mutant 18 },
                                                             _ => { original } } }

A mutant is what `cargo mutants --list --json` prints: a file, the span of its function, the span
that is replaced, and by what. So a mutant costs a run of the tests, and no build.
"""

SWITCH = """
mod mutant_switch {
    extern crate std;
    /// Which mutant runs; 0 for none.
    pub fn mutant_number() -> usize {
        static NUMBER: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
        *NUMBER.get_or_init(|| {
            std::env::var("MUTANT").ok().and_then(|text| text.parse().ok()).unwrap_or(0)
        })
    }
}
pub(crate) use mutant_switch::mutant_number;
"""


class Text:
    """A file's text, by the lines and columns (from 1, in characters) that spans are given in."""

    def __init__(self, text):
        self.text = text
        self.starts = [0]
        for line in text.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))

    def offset(self, place):
        return self.starts[place["line"] - 1] + place["column"] - 1

    def span(self, span):
        return self.offset(span["start"]), self.offset(span["end"])


def skip_token(text, at):
    """Where the comment, string or character that begins at `at` ends; `at` for anything else."""
    if text.startswith("//", at):
        end = text.find("\n", at)
        return len(text) if end < 0 else end
    if text.startswith("/*", at):
        return text.index("*/", at) + 2
    if text[at] == '"':
        at += 1
        while text[at] != '"':
            at += 2 if text[at] == "\\" else 1
        return at + 1
    if text[at] == "'" and (text[at + 1] == "\\" or text[at + 2] == "'"):
        return text.index("'", at + 2 if text[at + 1] == "\\" else at + 1) + 1
    return at


def body_of(text, start, end):
    """Where the body of the function at `start..end` begins: its first brace outside brackets."""
    depth, at = 0, start
    while at < end:
        after = skip_token(text, at)
        if after != at:
            at = after
            continue
        if text[at] in "([":
            depth += 1
        elif text[at] in ")]":
            depth -= 1
        elif text[at] == "{" and depth == 0:
            return at
        at += 1
    return None


def switch(source, mutants):
    """The text of a file with `mutants` (number and mutant) in it, and which lines of it belong to
    which: (first line, last line, number); the lines of a whole function belong to all of its."""
    text = Text(source)
    functions, lines = {}, []
    for number, mutant in mutants:
        if mutant["function"] is None:
            lines.append((0, 0, number))
            continue
        functions.setdefault(text.span(mutant["function"]["span"]), []).append((number, mutant))
    pieces, at, line = [], 0, 1

    def put(piece):
        nonlocal line
        pieces.append(piece)
        line += piece.count("\n")

    for (start, end), own in sorted(functions.items()):
        body = body_of(source, start, end)
        if body is None or start < at:
            # Within another that has mutants, or without a body.
            lines += [(0, 0, number) for number, _ in own]
            continue
        put(source[at:body])
        head = line
        put("{ match crate::mutant_number() {\n")
        for number, mutant in own:
            first, last = text.span(mutant["span"])
            begin = line
            changed = source[body:first] + mutant["replacement"] + source[last:end]
            put(f"{number} => {changed}\n")
            lines.append((begin, line - 1, number))
        put(f"_ => {source[body:end]}\n" + "} }")
        lines += [(head, line, number) for number, _ in own]
        at = end
    put(source[at:])
    return "".join(pieces), lines


def blamed(lines, line):
    """The numbers of the mutants that an error at `line` is due to: the one whose copy it is in, or
    all of its function's; none if it is in no function with mutants."""
    found = [(last - first, number) for first, last, number in lines if first <= line <= last]
    if not found:
        return set()
    least = min(length for length, _ in found)
    return {number for length, number in found if length == least}
