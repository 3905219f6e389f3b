#!/usr/bin/env python3
"""Holds RECIPES.md to the programs that are booted: each block of code is a file, whole.

Usage: recipes.py [--renew] [FILE]    --renew writes the blocks; FILE: another RECIPES.md

A block is named by the line before it: the file's path in `backquotes`. Of every file of the recipes
there is one block.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = "roottask/src/bin/recipes"
BLOCK = re.compile(r"^`([^`\n]+\.rs)`\n\n```rust\n(.*?)^```$", re.M | re.S)
# Lines that are not empty: what a reader can take in at once.
MAX_LINES = 60


def code(name):
    lines = (ROOT / name).read_text().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("// SPDX"))


def main(arguments):
    renew = "--renew" in arguments
    paths = [Path(argument) for argument in arguments if argument != "--renew"] or [ROOT / "RECIPES.md"]
    text = paths[0].read_text()
    if renew:
        paths[0].write_text(BLOCK.sub(lambda found: f"`{found[1]}`\n\n```rust\n{code(found[1])}```", text))
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
