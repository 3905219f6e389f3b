# SPDX-License-Identifier: BSD-2-Clause
"""Holds what is defined in Rust to the field's words: ARCHITECTURE.md lists those not used for it."""

import re
import sys

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import files
import folder_check

DESCRIPTION = """\
Reads the block `names` of ARCHITECTURE.md, whose lines are `WORD, WORD: what the field says`, and fails where
a function, a type, a module, a constant or a field is defined whose name has one of the words. A word of
several parts, as `make_way`, is found where its parts follow one another. A word in the style of a type or
of a constant, as `MakeWay` or `MAKE_WAY`, is looked for in such names alone."""

DEFINES = re.compile(r"\b(?:fn|struct|enum|trait|type|mod|const|static)\s+([A-Za-z_]\w*)")
# A field, of a struct or of a variant; an argument looks the same, and is held to the same.
FIELD = re.compile(r"(?:^|[{(,|])\s*(?:pub(?:\([^)]*\))?\s+)?(?:mut\s+)?([a-z_]\w*)\s*:(?!:)")
PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def words_of(text):
    """The words that are not used, each with what is used: pairs."""
    block = re.search(r"^```names\n(.*?)^```$", text, re.M | re.S)
    if not block:
        raise ValueError("ARCHITECTURE.md has no block `names`")
    found = []
    for line in block[1].splitlines():
        words, colon, instead = line.partition(":")
        if not colon or not instead.strip():
            raise ValueError(f"ARCHITECTURE.md: a line of `names` is no `WORD, WORD: what the field says`: {line}")
        found += [(word.strip(), instead.strip()) for word in words.split(",")]
    return found


def parts_of(name):
    """`make_way`, `MakeWay` and `MAKE_WAY` have the same parts."""
    return [part.lower() for part in PART.findall(name)]


def is_style_of(name, word):
    """Whether a name is of the style of a word, or the word of the style that stands for all."""
    if word.islower():
        return True
    return name.isupper() if word.isupper() else name[:1].isupper() and not name.isupper()


def has(name, word):
    own, parts = parts_of(name), parts_of(word)
    return is_style_of(name, word) and any(own[at:at + len(parts)] == parts for at in range(len(own) - len(parts) + 1))


def offences(root):
    """What is wrong, one sentence each."""
    words = words_of((root / "ARCHITECTURE.md").read_text())
    found = []
    for name in files.of_checkout(root, "*.rs"):
        for number, line in enumerate((root / name).read_text().splitlines(), 1):
            code = line.split("//")[0]
            for defined in {*DEFINES.findall(code), *FIELD.findall(code)}:
                found += [f"{name}:{number}: {defined}: the field says {instead}"
                          for word, instead in words if has(defined, word)]
    return found


if __name__ == "__main__":
    folder_check.main("names.py", DESCRIPTION, offences, "no name is one of the words that are not used", sys.argv[1:])
