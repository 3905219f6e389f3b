# SPDX-License-Identifier: BSD-2-Clause
"""Boots a root task on the seL4 kernel in QEMU; its serial output is this script's. Called by run.sh."""

import sys

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import contextlib
import os
import shlex
import shutil
from pathlib import Path

import interrupts
import machine
import options
import symbols
import toolchain

SCRIPT = "run.sh"
# What roottask/src/arguments.rs has room for.
MAX_ARGUMENTS = 4096
# What roottask/src/clients.rs looks for.
MAX_CLIENTS = 16
# What roottask/src/devices.rs takes.
NUMBER = r"(0x[0-9a-f]+|[0-9]+)"
DEVICE = rf"ports={NUMBER}-{NUMBER}|irq=[0-9]+|memory={NUMBER}:{NUMBER}|physical|ide"
DESCRIPTION = """\
Builds what is out of date, boots PROGRAM as seL4's root task in QEMU, prints what it writes
to the serial line, and exits with 0 if it reported success. PROGRAM is one of those below, or the
path of an ELF file, with a slash in it, which is booted as it is."""
EPILOG = """\
ARGUMENTS, at most {most} bytes with the blanks between, reach the guest as the QEMU firmware
configuration file opt/vmm/arguments.

Exit code: 0 success, 1 failure or panic in the guest or of a tool, 2 a mistake in the
command line, 124 hung, 128 + N ended by signal N (130: Ctrl-C, 141: nobody read the output).

Programs:
{programs}"""


def make_parser():
    """All options."""
    parser = options.Parser(
        SCRIPT, description=DESCRIPTION, usage=f"{SCRIPT} PROGRAM|--client FILE... [options] [-- ARGUMENTS...]",
        epilog=EPILOG.format(most=MAX_ARGUMENTS, programs="\n".join(map("  {}".format, toolchain.programs()))),
    )
    add = parser.add_argument
    add("program", metavar="PROGRAM", nargs="?", help="what is booted")
    add_machine_options(parser, 16, 4096)
    add("--client", metavar="FILE", action="extend", nargs="+", default=[], dest="clients",
        help="a client program (ELF), or the name of one in roottask/clients, that PROGRAM, serve-files if none is named, starts as init with ARGUMENTS; "
             "of several, init finds the others as memory by their names' first 20 bytes")
    add("--device", metavar="DEVICE", action="append", default=[], dest="devices",
        type=options.matching(DEVICE, "a device", "ports=0x1f0-0x1f7, irq=14, memory=0xb8000:4096, physical, ide"),
        help="what of the machine init may use: ports=FIRST-LAST, irq=LINE, memory=ADDRESS:BYTES (a memory "
             "object there, not cached), physical (memory at any, and the addresses of pages), or ide (the first channel of the IDE controller)")
    add("--large-pages", metavar="NUMBER", type=options.number(1, 4096, "number of large pages"), default=0,
        help="set so many large pages aside (on IA32 of 4 MiB, on x86_64 of 2 MiB) that init's account has")
    add("--disk", metavar="FILE", help="an image, raw, that is the machine's first IDE disk; it is written to")
    add("--release-kernel", dest="kernel", action="store_const", const="release", default="debug",
        help="the kernel without debug output and checks (default: the debug kernel)")
    add("--gdb", action="store_true", help="wait for a debugger, and print the command that attaches it")
    add("--gdb-socket", metavar="PATH", help="wait for a debugger at this path (debug.sh does it all)")
    add("--dev", dest="profile", action="store_const", const="dev", default="release",
        help="build PROGRAM with cargo's dev profile (default: release)")
    add("--watch", action="store_true",
        help="show a live view below what is printed: time, rate, faults, memory (plain lines without a terminal)")
    add("--monitor", metavar="SOCKET", help="let QEMU's monitor listen at this path")
    add("--timeout", metavar="SECONDS", type=options.number(1, 999999, "number of seconds"), default=60,
        help="end a run that hangs (default: 60; none with a debugger)")
    parser.add_help_option()
    return parser


def add_arch_option(parser):
    """Which architecture."""
    parser.add_argument(
        "--arch", metavar="ARCH", default="ia32",
        type=options.one_of(toolchain.ARCHITECTURES, "an architecture"), help="ia32 or x86_64 (default: ia32)",
    )


def add_machine_options(parser, least, most):
    """What is the same for all that boots; memory has limits, in MiB."""
    add_arch_option(parser)
    parser.add_argument(
        "--memory", metavar="SIZE", type=options.memory(least, most), default="512M",
        help=f"of the machine, {least}M to {most // 1024}G, such as 32M, 512m, 2G (default: 512M)",
    )
    parser.add_argument("--icount", action="store_true",
                        help="count instructions for time: every run is the same (slower)")


def parse(words):
    """The options, checked."""
    parser = make_parser()
    words, arguments = options.split_at_dashes(words)
    wanted = parser.parse_args(words)
    wanted.arguments = " ".join(arguments)
    if wanted.clients and wanted.program is None:
        wanted.program = "serve-files"
    if len(wanted.clients) > MAX_CLIENTS:
        parser.error(f"{len(wanted.clients)} clients: at most {MAX_CLIENTS} reach the guest")
    for client in wanted.clients:
        if not is_named(client) and (fault := toolchain.elf_fault(client, wanted.arch)):
            parser.error(fault if "/" in client else f"{fault}; nor is it one of {' '.join(toolchain.clients())}")
    if wanted.disk and not os.path.isfile(wanted.disk):
        parser.error(f"--disk: no file {wanted.disk}")
    size = len(wanted.arguments.encode(errors="surrogateescape"))
    if wanted.program is None:
        parser.error("no program was named")
    if size > MAX_ARGUMENTS:
        parser.error(f"{size} bytes of arguments: at most {MAX_ARGUMENTS} reach the guest")
    wanted.path = "/" in wanted.program
    if wanted.path:
        if fault := toolchain.elf_fault(wanted.program, wanted.arch):
            parser.error(fault)
        if named := list(filter(is_named, wanted.clients)):
            parser.error(f"{named[0]} is built with a program of roottask/: name one, or the client's file")
    elif wanted.program not in toolchain.programs():
        parser.error(f"roottask/ has no program {wanted.program}")
    return wanted


def is_named(client):
    """Whether a client is named as one of roottask/clients, and not as a file."""
    return client in toolchain.clients() and not os.path.exists(client)


def print_gdb_command(wanted, elf):
    """How a debugger is attached."""
    if not shutil.which("gdb"):
        interrupts.tell(SCRIPT, "(gdb is not installed: apt-get install gdb)")
    kernel = toolchain.BUILD / "kernel" / wanted.arch / wanted.kernel / "kernel.elf"
    symbols = f'add-symbol-file "{kernel}"'
    interrupts.tell(SCRIPT, "QEMU waits. In another terminal:")
    print(f"gdb {shlex.quote(str(elf))} \\\n    -ex {shlex.quote(symbols)} \\\n"
          "    -ex 'target remote localhost:1234' -ex 'hbreak _start' -ex continue", file=sys.stderr, flush=True)


def prepare(wanted):
    """The machine that was asked for, with what it boots built."""
    toolchain.set_up(wanted.arch)
    elf, clients = Path(wanted.program).resolve(), wanted.clients
    if not wanted.path:
        named = list(filter(is_named, clients))
        elf, built = toolchain.build(
            SCRIPT, wanted.arch, wanted.kernel, wanted.profile, wanted.program, *named)
        found = dict(zip(named, map(str, built)))
        clients = [found.get(client, client) for client in clients]
    made = machine.Machine(wanted.arch, wanted.kernel, wanted.memory, elf,
                           arguments=wanted.arguments, icount=wanted.icount, clients=clients,
                           devices=wanted.devices, large_pages=wanted.large_pages,
                           drive=wanted.disk and machine.drive(wanted.disk))
    if wanted.monitor:
        made.listen("-monitor", wanted.monitor)
    if wanted.gdb:
        made.command += ["-s", "-S"]
        print_gdb_command(wanted, elf)
    elif wanted.gdb_socket:
        made.command += ["-S"]
        made.listen("-gdb", wanted.gdb_socket)
    return made


def view_of(program, limit):
    """What shows a run on a terminal that can; nothing elsewhere."""
    if not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return contextlib.nullcontext()
    try:
        toolchain.set_up("ia32", "--live")
        sys.path.append(str(toolchain.BUILD / "live" / "python"))
        from run_live import RunScreen
    except (ImportError, interrupts.Failed) as error:
        interrupts.tell(SCRIPT, f"there is no live view, but lines: {error}")
        return contextlib.nullcontext()
    return RunScreen(program, limit)


def boot(booted, program, limit, watch):
    """Shows what the machine prints, and returns the exit code."""
    explained, silent = symbols.Explained(booted.elf), True
    try:
        with view_of(program, limit) if watch else contextlib.nullcontext() as view, booted:
            show = view.feed if view else machine.write_out
            for data in booted.output(limit):
                silent = False
                show(explained.feed(data))
    except machine.Hung:
        hint = ", and wrote nothing: the kernel stops like this where the memory (--memory) is too small"
        interrupts.tell(SCRIPT, f"{program} hung: it did not end within {limit} seconds{hint * silent}")
        return machine.HUNG
    if booted.status() == machine.SUCCESS:
        return 0
    interrupts.tell(SCRIPT, machine.why_failed(booted.status(), program))
    return 1


def main(words):
    """Returns the exit code."""
    wanted = parse(words)
    limit = None if wanted.gdb or wanted.gdb_socket else wanted.timeout
    return boot(prepare(wanted), wanted.program, limit, wanted.watch)


if __name__ == "__main__":
    interrupts.main(SCRIPT, main, sys.argv[1:])
