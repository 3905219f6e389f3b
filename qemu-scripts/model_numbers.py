# SPDX-License-Identifier: BSD-2-Clause
"""Whether the tests name what MODEL.md numbers: every assertion and invariant by some test, and none
that there is not. What a header says of a whole suite ("A1–A12") names no test, and does not count.

Usage: model_numbers.py MODEL FOLDER...
"""

import pathlib
import re
import sys

DEFINED = re.compile(r"^- \*\*([AI]\d+)\*\*", re.MULTILINE)
RANGE = re.compile(r"\b[AI]\d+ ?(?:[–-]|to) ?[AI]\d+\b")
NUMBER = re.compile(r"\b[AI]\d+\b")
# In comments and in what assertions say, where code has no such names.
SAID = re.compile(r"//.*|\"[^\"\n]*\"")


def named(path):
    """What a file names: (number, line, whether by itself)."""
    for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        for said in SAID.findall(text):
            for number in NUMBER.findall(RANGE.sub("", said)):
                yield number, line, True
            for whole in RANGE.findall(said):
                for number in NUMBER.findall(whole):
                    yield number, line, False


def main(model, folders):
    defined = DEFINED.findall(pathlib.Path(model).read_text(encoding="utf-8"))
    wrong = [f"{number} is defined twice" for number in set(defined) if defined.count(number) > 1]
    checked = set()
    for path in sorted(path for folder in folders for path in pathlib.Path(folder).rglob("*.rs")):
        for number, line, by_itself in named(path):
            if number not in defined:
                wrong.append(f"{path}:{line} names {number}, which {model} does not have")
            if by_itself:
                checked.add(number)
    wrong += [f"no test names {number}" for number in defined if number not in checked]
    print("\n".join(wrong) or f"{len(defined)} numbers, each named by a test")
    return 1 if wrong or not defined else 0


if __name__ == "__main__":
    words = sys.argv[1:]
    if {"-h", "--help"} & set(words):
        print(__doc__)
    elif len(words) < 2 or any(word.startswith("-") for word in words):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    else:
        sys.exit(main(words[0], words[1:]))
