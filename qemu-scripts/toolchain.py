# SPDX-License-Identifier: BSD-2-Clause
"""Where things lie, what there is to boot, and how it is built: what lib.sh and setup.sh do, for Python."""

import os
import subprocess
from pathlib import Path

import interrupts

SCRIPTS = Path(os.path.abspath(__file__)).parent
ROOT = SCRIPTS.parent
BUILD = ROOT / "build"
# For each architecture its name for people, its emulator, a processor without the features that the
# emulator lacks and would warn of, and the class of its ELF files.
ARCHITECTURES = {
    "ia32": ("IA32", "qemu-system-i386", "Nehalem,-syscall,-lm", 1),
    "x86_64": ("x86_64", "qemu-system-x86_64", "Nehalem", 2),
}


def programs():
    """The names of the root tasks, in order."""
    return names_in(ROOT / "roottask" / "src" / "bin")


def clients():
    """The names of the client programs, in order."""
    return names_in(ROOT / "roottask" / "clients" / "src" / "bin")


def names_in(folder):
    """The names of the programs whose sources lie in a folder."""
    single = [path.stem for path in folder.glob("*.rs")]
    return sorted([*single, *(path.parent.name for path in folder.glob("*/main.rs"))])


def attend(command, **settings):
    """Runs a command, and ends it and all that it started if this script is to end. Its exit code."""
    try:
        with interrupts.deferred():
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **settings)
        return process.wait()
    except interrupts.Interrupted:
        interrupts.end_descendants()
        raise


def set_up(arch, *options):
    """Brings what is missing; set-up says itself what goes wrong."""
    code = attend([str(SCRIPTS / "setup.sh"), "--arch", arch, *options])
    if code:
        raise interrupts.Failed("set-up failed, so nothing was run", code if code > 0 else 1)


def lib(script, arch, commands, *words):
    """What commands of lib.sh print on descriptor 3, for an architecture; they say things as `script`."""
    lines = f'source "$1"; choose_arch "$2"; shift 2; {commands}'
    reading, writing = os.pipe()
    with open(reading, encoding="utf-8", errors="replace") as told:
        command = ["bash", "-euo", "pipefail", "-c", f"exec 3>&{writing}; {lines}", script,
                   str(SCRIPTS / "lib.sh"), arch, *words]
        try:
            code = attend(command, pass_fds=(writing,))
        finally:
            os.close(writing)
        if code:
            raise interrupts.Failed("that failed, so nothing was run", code if code > 0 else 1)
        return told.read().strip()


def build_one(script, arch, kernel, profile, program):
    """Builds a root task; the path of its ELF file."""
    return build(script, arch, kernel, profile, program)[0]


def build(script, arch, kernel, profile, program, *named):
    """Builds a root task, and client programs by their names; the paths of its ELF file and of theirs."""
    commands = ('choose_target_rust; build_program "$@"; echo "$PROGRAM_ELF" >&3; '
                'echo "$(target_folder "$1")/$TARGET/client/stripped" >&3')
    elf, folder = map(Path, lib(script, arch, commands, kernel, profile, program, *named).splitlines())
    return elf, [folder / name for name in named]


def elf_fault(path, arch):
    """What is wrong with a file as a program for the architecture; None if it is one."""
    try:
        with open(path, "rb") as file:
            head = file.read(5)
    except OSError as error:
        return f"cannot read {path}: {error.strerror}"
    if head == b"\x7fELF" + bytes([ARCHITECTURES[arch][3]]):
        return None
    for other in ARCHITECTURES:
        if head == b"\x7fELF" + bytes([ARCHITECTURES[other][3]]):
            return f"{path} is no ELF file for {arch}, but for {other}: say --arch {other}, or compile it for {arch}"
    return f"{path} is no ELF file for {arch}"
