# SPDX-License-Identifier: BSD-2-Clause
"""Boots the stress run: random requests to the manager on the real kernel. Called by stress.sh."""

import sys

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import contextlib
import errno
import os
import time
from pathlib import Path

import interrupts
import machine
import options
import run
import stress_data
import toolchain
from stress_screens import Json, Quiet, Screen
from stress_watch import Watch

SCRIPT = "stress.sh"
PHASES = ("churn", "share", "cow", "spaces", "large", "fill", "fragment", "compact", "used-up", "threads",
          "storm", "stacks", "own-pagers", "offers", "programs", "clients", "pagers", "objects", "slots", "refusals")
DESCRIPTION = """\
Drives the manager through phases chosen by weight from a seed, after a warm-up, and checks the
contents of memory, the manager's state and, at the end, that everything is as it was at the start.
The same seed gives the same operations on a machine with the same memory."""
EPILOG = """\
Ctrl-C asks the guest to finish and to check what is left behind; a second one ends it at once. What
was told until then is in --data's FILE, as it is after any other end: --from makes a report of it.

Exit code: 0 all well, 1 something was not as it must be, 2 a mistake in the command line, 124 hung,
128 + N ended by signal N (130: Ctrl-C, 143: SIGTERM, 141: nobody read the output)."""


def phases(text):
    """A type of options: names of phases."""
    for name in text.split(","):
        if name not in PHASES:
            options.refuse(f"no such phase: {name!r}: it takes some of these, with commas between: "
                           + ", ".join(PHASES))
    return text


def writable(text):
    """A type of options: a file that can be written. It is not made now."""
    path = Path(text)
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        options.refuse(f"cannot write {text}: it takes the path of a file")
    return path


def readable(text):
    """A type of options: a file that is there."""
    if not os.access(text, os.R_OK) or Path(text).is_dir():
        options.refuse(f"cannot read {text}: it takes the path of a file")
    return Path(text)


def earlier_run(text):
    """A type of options: what --data kept of a run."""
    path = readable(text)
    try:
        stress_data.load(path)
    except (OSError, ValueError) as error:
        options.refuse(f"{error}: it takes what --data kept of a run")
    return path


def make_parser():
    """All options."""
    parser = options.Parser(SCRIPT, description=DESCRIPTION, usage=f"{SCRIPT} [ELF] [options]", epilog=EPILOG)
    add, whole = parser.add_argument, options.number
    add("elf", metavar="ELF", nargs="?", help="the path of a stress program that was built before (default: build it)")
    add("--seconds", metavar="N", type=whole(1), help="end the run after N seconds (default: 60)")
    add("--operations", metavar="N", type=whole(1), help="end the run after N operations instead")
    add("--seed", metavar="N", type=whole(), default=1, help="what decides (default: 1)")
    add("--phases", metavar="LIST", type=phases,
        help="only these, with commas between (default: all): " + ", ".join(PHASES))
    run.add_machine_options(parser, 32, 2048)
    add("--kernel", metavar="NAME", default="debug", type=options.one_of(("debug", "release"), "a kernel"),
        help="debug or release (default: debug)")
    add("--validate", metavar="N", type=whole(1), default=1000,
        help="operations between two checks of the whole state (default: 1000)")
    add("--pacer", action="store_true", help="have memory cleared beside the run, and work done ahead")
    add("--silence", metavar="SECONDS", type=whole(1, 999999, "number of seconds"), default=60,
        help="how long nothing may be heard before the run counts as hung (default: 60)")
    add("--report", metavar="FILE", type=writable,
        help="write a report of the run to FILE: one HTML page that needs nothing else")
    add("--data", metavar="FILE", type=writable,
        help="keep there what a report is made of, as it comes (default: beside the report, .jsonl)")
    add("--from", metavar="FILE", type=readable, dest="source",
        help="run nothing: make the report of what --data kept")
    add("--compare", metavar="FILE", type=earlier_run,
        help="show in the report what changed since the run of which --data kept FILE")
    add("--bench", metavar="FILE", type=readable,
        help="show this result of bench.sh (--json or --save) in the report (default: the saved one)")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--watch", action="store_true", dest="live", default=None,
                       help="show a live view, with a map of memory (default: on a terminal that can)")
    shown.add_argument("--plain", action="store_false", dest="live",
                       help="show lines; on a terminal one of them is written over")
    shown.add_argument("--quiet", action="store_true", help="show what failed, if anything did, and the last line")
    shown.add_argument("--json", action="store_true", help="show all as JSON, an object a line")
    parser.add_help_option()
    return parser


def parse(words):
    """The options, checked."""
    parser = make_parser()
    wanted = parser.parse_args(words)
    if wanted.source and not wanted.report:
        parser.error("--from wants --report FILE")
    if wanted.compare and not wanted.report:
        parser.error("--compare wants --report FILE")
    if wanted.report and not wanted.data:
        wanted.data = wanted.report.with_suffix(".jsonl")
    if wanted.live is None:
        wanted.live = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    wanted.live = wanted.live and not wanted.quiet and not wanted.json
    if wanted.data and wanted.data == wanted.report:
        parser.error("--data and --report name the same file")
    if not wanted.seconds and not wanted.operations:
        wanted.seconds = 60
    if wanted.elf and (fault := toolchain.elf_fault(wanted.elf, wanted.arch)):
        parser.error(fault)
    wanted.bench = wanted.bench or toolchain.SCRIPTS / f"bench-baseline-{wanted.arch}.json"
    return wanted


def guest_arguments(wanted):
    """What the guest is told."""
    told = {"seed": wanted.seed, "validate": wanted.validate, "seconds": wanted.seconds,
            "operations": wanted.operations, "phases": wanted.phases,
            "report": 1 if wanted.data else None, "live": 1 if wanted.live else None,
            "icount": 1 if wanted.icount else None, "pacer": 1 if wanted.pacer else None}
    return " ".join(f"{name}={value}" for name, value in told.items() if value is not None)


def repeat(wanted):
    """The command that makes the same operations, but for their number."""
    words = [SCRIPT, *([wanted.elf] if wanted.elf else []), "--arch", wanted.arch, "--seed", wanted.seed, "--memory", wanted.memory,
             "--kernel", wanted.kernel, "--validate", wanted.validate]
    words += ["--phases", wanted.phases] if wanted.phases else []
    words += ["--pacer"] if wanted.pacer else []
    words += ["--icount"] if wanted.icount else []
    return " ".join(map(str, words))


def about(wanted):
    """What the report says of the run: pairs of a name and a text."""
    commands = """
        choose_target_rust
        { kernel_version "$1"; qemu_version; target_rustc_version
        git -C "$ROOT" describe --always --dirty=", with changes" --abbrev=12 2>/dev/null ||
            echo "not known"; } >&3"""
    kernel, qemu, compiler, revision = toolchain.lib(SCRIPT, wanted.arch, commands, wanted.kernel).splitlines()
    limits = [f"{wanted.operations} operations"] if wanted.operations else []
    limits += [f"{wanted.seconds} seconds"] if wanted.seconds else []
    return [
        ("date", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())), ("seed", str(wanted.seed)),
        ("run until", ", ".join(limits)), ("phases", wanted.phases or "all"),
        ("memory of the machine", wanted.memory),
        ("state checked every", f"{wanted.validate} operations"),
        ("pacer", "memory is cleared beside the run" if wanted.pacer else "none"),
        ("time", "instructions, counted" if wanted.icount else "the host's"),
        ("kernel", f"seL4 {kernel}, {toolchain.ARCHITECTURES[wanted.arch][0]}, {wanted.kernel}"),
        ("QEMU", qemu), ("compiler", compiler), ("revision", revision),
    ]


def prepare(wanted):
    """The machine, built and not started, and what the report says of it."""
    toolchain.set_up(wanted.arch, *(["--report"] if wanted.report else []))
    if wanted.live:
        try:
            toolchain.set_up(wanted.arch, "--live")
        except interrupts.Failed:
            pass  # such as without a network: the run does without
    elf = Path(wanted.elf).resolve() if wanted.elf else toolchain.build_one(
        SCRIPT, wanted.arch, wanted.kernel, "release", "stress")
    made = machine.Machine(wanted.arch, wanted.kernel, wanted.memory, elf,
                           arguments=guest_arguments(wanted), icount=wanted.icount)
    return made, about(wanted) if wanted.data else []


def write_report(wanted):
    """Makes the page of the data. A page that was there stays until the new one is whole."""
    folder = toolchain.BUILD / "report"
    environment = {**os.environ, "PYTHONPATH": str(folder / "python"), "MPLCONFIGDIR": str(folder / "matplotlib")}
    code = toolchain.attend(
        [sys.executable, "-B", str(toolchain.SCRIPTS / "report" / "page.py"), "--data", str(wanted.data),
         "--bench", str(wanted.bench), *(["--compare", str(wanted.compare)] if wanted.compare else []),
         "--output", str(wanted.report)], env=environment)
    if code:
        raise interrupts.Failed(f"no report was written: {how_to_report(wanted)}")
    interrupts.tell(SCRIPT, f"report: {wanted.report}")


def how_to_report(wanted):
    """With which command a report can be made later."""
    page = wanted.report or wanted.data.with_suffix(".html")
    return f"a report of what was told: {SCRIPT} --from {wanted.data} --report {page}"


def why_ended(error):
    """The exit code of an end that was raised, and what is said of it."""
    if isinstance(error, interrupts.Interrupted):
        by = "Ctrl-C" if error.signal == 2 else error.signal.name
        return 128 + error.signal, by
    if isinstance(error, BrokenPipeError):
        return 141, "a closed pipe"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return 1, "a full disk"
    return 1, f"an error ({error})"


def screen_for(wanted):
    """How the run is shown."""
    if wanted.quiet or wanted.json:
        return (Quiet if wanted.quiet else Json)(sys.stdout)
    if wanted.live:
        try:
            sys.path.append(str(toolchain.BUILD / "live" / "python"))
            from stress_live import LiveScreen
            return LiveScreen(sys.stdout, wanted.seconds, wanted.operations)
        except ImportError as error:
            interrupts.tell(SCRIPT, f"there is no live view, but a line: {error}")
    return Screen(sys.stdout)


def stress(wanted):
    """Runs it; the exit code."""
    booted, facts = prepare(wanted)
    try:
        account = stress_data.Account(wanted.data, about=facts, repeat=repeat(wanted), seed=wanted.seed)
    except OSError as error:
        raise interrupts.Failed(f"failed: nothing was run: cannot write {wanted.data}: {error.strerror}") from error
    watch = Watch(booted, account, screen_for(wanted), silence=wanted.silence, repeat=repeat(wanted))
    try:
        status = watch.run()
        account.close(status, watch.end_line)
    except BaseException as error:
        # Whatever it was: what was told is kept, and says how it ended.
        code, by = why_ended(error)
        account.close(code, watch.ended(by))
        with contextlib.suppress(OSError):
            watch.screen.finish()
        if wanted.data:
            interrupts.tell(SCRIPT, how_to_report(wanted))
        interrupts.tell(SCRIPT, f"failed: {watch.ended(by)}")
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            raise SystemExit(code) from error  # it was told
        raise
    well, verdict = stress_data.verdict(account.data)
    if wanted.report:
        try:
            write_report(wanted)
        except interrupts.Failed as failed:
            interrupts.tell(SCRIPT, failed)
            well, verdict = False, f"{verdict.removeprefix('Passed: ')}; but no report was written"
    watch.screen.verdict(well, verdict.removeprefix("Passed: "))
    if well and watch.asked:
        raise interrupts.Interrupted(2)
    return status if well or status else 1


def main(words):
    """Returns the exit code."""
    wanted = parse(words)
    if not wanted.source:
        return stress(wanted)
    toolchain.set_up(wanted.arch, "--report")
    wanted.data = wanted.source
    write_report(wanted)
    return 0


if __name__ == "__main__":
    interrupts.main(SCRIPT, main, sys.argv[1:])
