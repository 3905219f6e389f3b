# SPDX-License-Identifier: BSD-2-Clause
"""Runs a command with a folder of its own for temporary files, and leaves nothing of it.

Usage: attend.py COMMAND [ARGUMENT...]

When this script is to end, or when the command has ended, all that the command started ends and the
folder goes. The exit code is the command's. For test.sh: a shell looks at a signal only when the command
that it waits for has ended.
"""

import os
import sys
import tempfile

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import interrupts
import toolchain


def main(words):
    """Returns the exit code."""
    if words[:1] in ([], ["-h"], ["--help"]):
        print(__doc__, file=sys.stdout if words else sys.stderr)
        return 0 if words else 2
    with tempfile.TemporaryDirectory(prefix="vmm-", ignore_cleanup_errors=True) as folder:
        try:
            code = toolchain.attend(words, env={**os.environ, "TMPDIR": folder})
        finally:
            interrupts.end_descendants()
    if code < 0:
        interrupts.die_of(-code)
    return code


if __name__ == "__main__":
    interrupts.main("attend.py", main, sys.argv[1:])
