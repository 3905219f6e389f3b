#!/usr/bin/env python3
"""Holds every source file to a first line that names its licence; --add puts it there.

Usage: spdx.py [--add] [FOLDER]    FOLDER: a checkout; without it, this one

The line is `SPDX-License-Identifier: BSD-2-Clause` in a comment: the first of the file, or the second
where the first is `#!`, `<!doctype` or `<?xml`.
"""

import subprocess
import sys
from pathlib import Path

LINE = "SPDX-License-Identifier: BSD-2-Clause"
# How a line becomes a comment, by the end of a file's name. Other files (text, data, lock files, what
# tools write) carry none.
COMMENTS = {
    ".rs": "// {}", ".c": "// {}", ".h": "// {}", ".js": "// {}", ".S": "// {}",
    ".py": "# {}", ".sh": "# {}", ".toml": "# {}", ".gdb": "# {}",
    ".css": "/* {} */", ".html": "<!-- {} -->",
}
FIRST = ("#!", "<!doctype", "<?xml")


def sources(root):
    names = subprocess.run(["git", "-C", str(root), "ls-files", "-z"], check=True,
                           capture_output=True, text=True).stdout.split("\0")
    paths = [root / name for name in names if name]
    return [path for path in paths if path.suffix in COMMENTS and path.is_file() and not path.is_symlink()]


def place(lines):
    """The number of lines before the one that names the licence. `#![…]` is Rust's, no interpreter's."""
    first = lines[0].lower() if lines else ""
    return int(first.startswith(FIRST) and not first.startswith("#!["))


def main(arguments):
    add = "--add" in arguments
    folders = [argument for argument in arguments if argument != "--add"]
    if len(folders) > 1 or any(folder.startswith("-") for folder in folders):
        sys.exit(__doc__)
    root = Path(folders[0]) if folders else Path(__file__).resolve().parent.parent
    found = sources(root)
    without = []
    for path in found:
        wanted = COMMENTS[path.suffix].format(LINE) + "\n"
        lines = path.read_text().splitlines(keepends=True)
        at = place(lines)
        if lines[at:at + 1] == [wanted]:
            continue
        without.append(path.relative_to(root))
        if add:
            lines.insert(at, wanted)
            path.write_text("".join(lines))
    if not found:
        sys.exit("spdx.py: no source files")
    if add:
        print(f"spdx.py: {len(without)} of {len(found)} files have the line now")
    elif without:
        for path in without:
            print(path)
        sys.exit(f"spdx.py: {len(without)} of {len(found)} files do not name their licence: --add")


if __name__ == "__main__":
    main(sys.argv[1:])
