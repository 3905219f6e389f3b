# SPDX-License-Identifier: BSD-2-Clause
"""How a script ends early, so that nothing it started goes on and its exit code says why.

A signal that asks a script to end (SIGINT, SIGTERM, SIGHUP) is raised as Interrupted, so that every
`finally` and `with` is done on the way out. Then the script dies of the very signal, or a loop in a shell
would go on after Ctrl-C. A reader that has gone (`| head`) counts as SIGPIPE.
"""

import ctypes
import os
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal came. No Exception: what expects errors does not expect this."""

    def __init__(self, number):
        super().__init__(number)
        self.signal = signal.Signals(number)


class Failed(Exception):
    """The script cannot go on; the text says why. It ends with exit code `code`."""

    def __init__(self, text, code=1):
        super().__init__(text)
        self.code = code


# How many `deferred` are being done, and the signals that came meanwhile.
_deferring, _came = 0, []


def came(number, _frame):
    """A signal came."""
    if _deferring:
        _came.append(number)
    else:
        raise Interrupted(number)


@contextmanager
def deferred():
    """What is done whole: a signal that comes meanwhile is raised afterwards. For short things."""
    global _deferring
    _deferring += 1
    try:
        yield
    finally:
        _deferring -= 1
    if not _deferring and _came:
        raise Interrupted(_came.pop())


def raise_signals():
    """From now on signals are raised; also where the caller, such as a shell, had SIGINT ignored."""
    for number in SIGNALS:
        # With nohup a lost terminal is no reason to end.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, came)


def ignore_signals():
    """What follows is short and is to be done whole."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def die_of(number):
    """Ends this process as the signal would have, so that the caller sees 128 + number."""
    close_output()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # the signal is blocked: then at least the number is right


def close_output():
    """Nothing more is written to standard output, which may be broken: Python would try at its end."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        pass
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)


def descendants(root):
    """The processes that a process started, and those that they started, which have not ended."""
    children = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # Behind the name, which may have blanks and parentheses: state, parent.
                state, parent = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
            except (OSError, ValueError):
                continue
            children.setdefault(int(parent), []).append((int(entry.name), state))
    found = [(root, "")]
    for process, _ in found:
        found += children.get(process, [])
    return [process for process, state in found[1:] if state != "Z"]


def adopt():
    """Processes whose parents have ended stay descendants of this one, so that it can end them."""
    PR_SET_CHILD_SUBREAPER = 36
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def end_descendants(seconds=5):
    """Ends all that this process started; by force what has not ended after the seconds.

    A shell looks at signals only when its command has ended, and may start another one before: so all
    are asked, and those that come in between.
    """
    with deferred():
        start, asked = time.monotonic(), set()
        while left := descendants(os.getpid()):
            late = time.monotonic() - start
            if late > 2 * seconds:
                return  # such as another user's
            for process in left:
                if late > seconds or process not in asked:
                    asked.add(process)
                    try:
                        os.kill(process, signal.SIGKILL if late > seconds else signal.SIGTERM)
                    except OSError:
                        pass
            time.sleep(0.02)


def main(name, function, words):
    """Calls a script's main function; ends with what it returns, or as what was raised says."""
    adopt()
    raise_signals()
    open_standard_streams()
    try:
        try:
            code = function(words)
        except SystemExit as end:  # argparse's
            code = end.code
        ignore_signals()
        sys.stdout.flush()
    except Interrupted as interrupted:
        ignore_signals()
        die_of(interrupted.signal)
    except BrokenPipeError:
        ignore_signals()
        die_of(signal.SIGPIPE)
    except Failed as failed:
        code = failed.code
        tell(name, failed)
    except OSError as error:
        code = 1
        tell(name, error)
    close_output()
    sys.exit(code)


def open_standard_streams():
    """Without standard output (`>&-`) the next file that is opened would be taken for it."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")
    sys.stderr = sys.stderr or sys.stdout


def tell(name, what):
    """Says something on standard error, if anybody can be told."""
    try:
        print(f"{name}: {what}", file=sys.stderr, flush=True)
    except OSError:
        pass
