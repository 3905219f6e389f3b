# SPDX-License-Identifier: BSD-2-Clause
"""Files that are there whole or not at all, and which there are in a checkout."""

import os
import subprocess
import tempfile
from pathlib import Path


def write_whole(path, text):
    """Writes a file beside and renames it: what was there before stays until the new one is whole.

    What is no regular file, such as a terminal or a pipe, is written as it is.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    path = path.resolve()
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # As any new file, or as the one that was there; mkstemp's are the owner's alone.
        os.chmod(name, path.stat().st_mode if path.exists() else 0o666 & ~mask())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def of_checkout(root, *where, new=True):
    """The names, below a checkout, of the files that are there of those that git knows.

    `where` are paths and patterns of git's; without any it is all of them. With `new` also files that git does not
    know yet and does not ignore.
    """
    others = ("--others", "--exclude-standard") if new else ()
    names = subprocess.run(["git", "-C", str(root), "ls-files", "-z", "--cached", *others, *where],
                           check=True, capture_output=True, text=True).stdout.split("\0")
    return [name for name in names if name and (Path(root) / name).is_file()]


def mask():
    """The permissions that new files do not get."""
    now = os.umask(0)
    os.umask(now)
    return now
