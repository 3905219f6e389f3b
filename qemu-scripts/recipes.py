#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Holds RECIPES.md to the programs that are booted: each block of code is a file, whole."""

import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import options

DESCRIPTION = """\
Holds RECIPES.md to the programs that are booted: each block of code is a file, whole. A block is
named by the line before it: the file's path in `backquotes`. Of every file of the recipes there is
one block."""
ROOT = Path(__file__).resolve().parent.parent
FOLDER = "roottask/src/bin/recipes"
BLOCK = re.compile(r"^`([^`\n]+\.rs)`\n\n```rust\n(.*?)^```$", re.M | re.S)
# Lines that are not empty: what a reader can take in at once.
MAX_LINES = 60


def code(name):
    lines = (ROOT / name).read_text().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("// SPDX"))


def parse(words):
    parser = options.Parser("recipes.py", description=DESCRIPTION, usage="recipes.py [--renew] [FILE]")
    parser.add_argument("--renew", action="store_true", help="write the blocks instead of comparing them")
    parser.add_argument("file", metavar="FILE", nargs="?", type=Path, default=ROOT / "RECIPES.md",
                        help="another RECIPES.md")
    parser.add_help_option()
    return parser.parse_args(words)


def main(words):
    wanted = parse(words)
    text = wanted.file.read_text()
    if wanted.renew:
        wanted.file.write_text(BLOCK.sub(lambda found: f"`{found[1]}`\n\n```rust\n{code(found[1])}```", text))
        return
    wrong = []
    blocks = BLOCK.findall(text)
    for name, shown in blocks:
        if not (ROOT / name).is_file() or shown != code(name):
            wrong.append(f"{name} is another than its block: recipes.py --renew")
        elif sum(map(bool, shown.splitlines())) > MAX_LINES:
            wrong.append(f"{name} has more than {MAX_LINES} lines")
    names = sorted(name for name, _ in blocks)
    files = sorted(str(path.relative_to(ROOT)) for path in (ROOT / FOLDER).glob("*.rs"))
    if names != files:
        wrong.append(f"blocks and files are not the same: {sorted(set(names) ^ set(files)) or 'one twice'}")
    if wrong or not blocks:
        sys.exit("\n".join(wrong) or "recipes.py: no blocks")


if __name__ == "__main__":
    main(sys.argv[1:])
