# SPDX-License-Identifier: BSD-2-Clause
"""What checks of a whole checkout share: its folder, what is wrong in it, a closing line."""

import sys
from pathlib import Path

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import options

ROOT = Path(__file__).resolve().parent.parent


def main(script, description, offences, well, words):
    """Prints what `offences` finds in a folder, one sentence each, and fails; or says `well`."""
    parser = options.Parser(script, description=description, usage=f"{script} [FOLDER]")
    parser.add_argument("folder", metavar="FOLDER", nargs="?", type=Path, default=ROOT,
                        help="a checkout (default: this one)")
    parser.add_help_option()
    try:
        found = offences(parser.parse_args(words).folder)
    except ValueError as error:
        sys.exit(str(error))
    if found:
        sys.exit("\n".join(found))
    print(f"{script}: {well}")
