#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Holds every source file to a first line that names its licence."""

import sys
from pathlib import Path

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import files
import options

ROOT = Path(__file__).resolve().parent.parent
DESCRIPTION = """\
Holds every source file that git knows to a line that names its licence, in a comment:
SPDX-License-Identifier: BSD-2-Clause. It is the first of the file, or the second where the first is
`#!`, `<!doctype` or `<?xml`."""
LINE = "SPDX-License-Identifier: BSD-2-Clause"
# How a line becomes a comment, by the end of a file's name. Other files (text, data, lock files, what
# tools write) carry none.
COMMENTS = {
    ".rs": "// {}", ".c": "// {}", ".h": "// {}", ".js": "// {}", ".S": "// {}",
    ".py": "# {}", ".sh": "# {}", ".toml": "# {}", ".gdb": "# {}",
    ".css": "/* {} */", ".html": "<!-- {} -->", ".jinja": "{{# {} #}}",
}
FIRST = ("#!", "<!doctype", "<?xml")


def sources(root):
    paths = [root / name for name in files.of_checkout(root, new=False)]
    return [path for path in paths if path.suffix in COMMENTS and not path.is_symlink()]


def place(lines):
    """The number of lines before the one that names the licence. `#![…]` is Rust's, no interpreter's."""
    first = lines[0].lower() if lines else ""
    return int(first.startswith(FIRST) and not first.startswith("#!["))


def parse(words):
    parser = options.Parser("spdx.py", description=DESCRIPTION, usage="spdx.py [--check | --add] [FOLDER]")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="say which files lack the line (as without an option)")
    what.add_argument("--add", action="store_true", help="put it there")
    parser.add_argument("folder", metavar="FOLDER", nargs="?", type=Path, default=ROOT,
                        help="a checkout (default: this one)")
    parser.add_help_option()
    return parser.parse_args(words)


def main(words):
    wanted = parse(words)
    found = sources(wanted.folder)
    without = []
    for path in found:
        comment = COMMENTS[path.suffix].format(LINE) + "\n"
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        at = place(lines)
        if lines[at:at + 1] == [comment]:
            continue
        without.append(path.relative_to(wanted.folder))
        if wanted.add:
            lines.insert(at, comment)
            path.write_text("".join(lines), encoding="utf-8")
    if not found:
        sys.exit("spdx.py: no source files")
    if wanted.add:
        print(f"spdx.py: {len(without)} of {len(found)} files have the line now")
    elif without:
        for path in without:
            print(path)
        sys.exit(f"spdx.py: {len(without)} of {len(found)} files do not name their licence: spdx.py --add")


if __name__ == "__main__":
    main(sys.argv[1:])
