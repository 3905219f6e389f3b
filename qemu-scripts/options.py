# SPDX-License-Identifier: BSD-2-Clause
"""Command lines of the scripts: how options are declared, and what is said of a wrong one."""

import argparse
import re
import sys

SIZE = re.compile(r"([1-9][0-9]{0,9})([kmg])", re.IGNORECASE)
MEBIBYTES = {"k": 1 / 1024, "m": 1, "g": 1024}


class Parser(argparse.ArgumentParser):
    """Options of a script. A mistake ends it with exit code 2 and a sentence that names the option."""

    def __init__(self, script, **settings):
        super().__init__(prog=script, allow_abbrev=False, add_help=False,
                         formatter_class=Formatter, **settings)
        self._positionals.title, self._optionals.title = "What", "Options"

    def add_help_option(self):
        """Last, where it stands in every script."""
        self.add_argument("-h", "--help", action="help", help="this text")

    def print_help(self, file=None):
        """argparse would keep it to itself that it could not be written."""
        print(self.format_help(), end="", file=file or sys.stdout)
        (file or sys.stdout).flush()

    def error(self, message):
        found = re.match(r"argument (\S+): (.*)", message, re.DOTALL)
        if found:
            option, why = found.groups()
            option = option.split("/")[-1]
            if why.startswith("expected one argument"):
                why = f"wants a value{self.takes(option)}"
                message = f"{option} {why}"
            else:
                message = f"{option}: {why}"
        message = message.replace("unrecognized arguments:", "unknown option or more than one program:")
        print(f"{self.prog}: {message} (try --help)", file=sys.stderr)
        sys.exit(2)

    def takes(self, option):
        """What an option takes, in the words of its help."""
        for action in self._actions:
            if option in action.option_strings:
                return f": {action.metavar}, {action.help % vars(action)}" if action.help else ""
        return ""


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Descriptions stay as they are written; options stand in one column."""

    def __init__(self, prog):
        super().__init__(prog, max_help_position=24, width=100)

    def _format_usage(self, usage, actions, groups, prefix):
        return super()._format_usage(usage, actions, groups, prefix or "Usage: ")


def refuse(text):
    """For the functions below: what is wrong with a value, and what the option takes."""
    raise argparse.ArgumentTypeError(text)


def number(least=0, most=10**18 - 1, unit="number"):
    """A type of options: a whole number within limits."""
    def take(text):
        wanted = f"it takes a whole {unit} from {least} on" if most >= 10**18 - 1 else \
            f"it takes a whole {unit} from {least} to {most}"
        if not re.fullmatch(r"0|[1-9][0-9]{0,17}", text):
            refuse(f"not a {unit}: {text!r}: {wanted}")
        if not least <= int(text) <= most:
            refuse(f"{text} is too {'small' if int(text) < least else 'large'}: {wanted}")
        return int(text)

    return take


def memory(least, most):
    """A type of options: a size of memory (`64m`, `2G`) within limits (MiB), as QEMU takes it."""
    def in_words(mebibytes):
        return f"{mebibytes // 1024}G" if mebibytes % 1024 == 0 else f"{mebibytes}M"

    def take(text):
        wanted = f"it takes {in_words(least)} to {in_words(most)}, such as 64M or 1G"
        found = SIZE.fullmatch(text)
        if not found:
            refuse(f"not a size of memory: {text!r}: {wanted}")
        mebibytes = int(found[1]) * MEBIBYTES[found[2].lower()]
        if mebibytes != int(mebibytes) or not least <= mebibytes <= most:
            refuse(f"not {text}: {wanted}")
        return text.upper()

    return take


def one_of(names, what):
    """A type of options: one of some names."""
    def take(text):
        if text not in names:
            refuse(f"not {what}: {text!r}: it is one of {', '.join(names)}")
        return text

    return take


def matching(pattern, what, such):
    """A type of options: a word that matches a regular expression."""
    def take(text):
        if not re.fullmatch(pattern, text):
            refuse(f"not {what}: {text!r}: such as {such}")
        return text

    return take


def split_at_dashes(words):
    """The words before the first `--`, and those after it."""
    if "--" not in words:
        return words, []
    place = words.index("--")
    return words[:place], words[place + 1 :]
