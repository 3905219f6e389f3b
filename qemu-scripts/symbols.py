# SPDX-License-Identifier: BSD-2-Clause
"""What a guest prints as addresses, with the names of functions: by addr2line, of the ELF files that ran."""

import re
import shutil
import struct
import subprocess
from pathlib import Path

import toolchain

# As sel4/src/backtrace.rs and vmm/src/sel4/faults/policy.rs print it, and clients have it said.
BACKTRACE = re.compile(
    r"(?:(?P<client>[^:]+): |\s*)backtrace(?: of (?P<thread>.*))?: (?P<at>0x[0-9a-f]+)?"
    r"(?:(?:, )?called from(?P<callers>(?: 0x[0-9a-f]+)+)(?: and more)?)?$"
)
# What the debug kernel says of a fault of the first thread that nobody answers.
UNANSWERED = re.compile(r'\s*in thread \S+ "rootserver" at address (?P<at>0x[0-9a-f]+)$')
# More than any line that is looked for.
LONGEST = 4096
# More bytes than a function has.
MAX_FUNCTION = 1 << 16
# In an ELF file of each class: where the program headers begin, the bytes of one, how many they are.
HEADERS = {1: "<28xI10xHH", 2: "<32xQ14xHH"}


class Program:
    """An ELF file, and what lies where in it."""

    def __init__(self, path):
        self.path = path
        content = path.read_bytes()
        table, size, count = struct.unpack_from(HEADERS[content[4]], content)
        self.code = []
        for number in range(count):
            at = table + number * size
            if content[4] == 1:
                kind, offset, address, _, length, _, flags = struct.unpack_from("<7I", content, at)
            else:
                kind, flags, offset, address, _, length = struct.unpack_from("<II4Q", content, at)
            if kind == 1 and flags & 1:
                self.code.append((address, content[offset : offset + length]))

    def before(self, address, most=7):
        """The code that ends at an address; None if that is in no code."""
        for start, code in self.code:
            if start <= address <= start + len(code):
                return code[max(0, address - start - most) : address - start]
        return None

    def fits(self, instruction, callers):
        """Whether the addresses can be its own: behind each caller's call lies where that goes back
        to, and what it calls, if its instruction says that, begins before where the callee was."""
        return self.evidence(instruction, callers) is not None

    def evidence(self, instruction, callers):
        """How many calls say that they call the function where the callee was; None if one says
        another, or is none."""
        if any(self.before(at) is None for at in instruction):
            return None
        callees = [*instruction, *callers] if instruction else [None, *callers]
        found = 0
        for back, callee in zip(callers, callees):
            code = self.before(back) or b""
            if not is_call(code):
                return None
            # Where a register or memory says what is called, nothing tells.
            if callee is not None and code[-5:-4] == b"\xe8":
                target = back + int.from_bytes(code[-4:], "little", signed=True)
                if not target <= callee < target + MAX_FUNCTION:
                    return None
                found += 1
        return found

    def names(self, instruction, callers):
        """A line for each function: those that were inlined, too."""
        # A call is the instruction before; the place to go back to may be another line's.
        looked_up = [*instruction, *(at - 1 for at in callers)]
        command = ["addr2line", "-aCfi", "-e", str(self.path), *map(hex, looked_up)]
        told = subprocess.run(command, text=True, errors="replace", check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        groups = []
        for line in told.stdout.splitlines():
            if re.fullmatch(r"0x[0-9a-f]+", line):
                groups.append([])
            elif groups:
                groups[-1].append(line)
        for address, lines in zip([*instruction, *callers], groups):
            frames = list(zip(lines[::2], lines[1::2]))
            for number, (function, place) in enumerate(frames):
                inlined = " (inlined)" if number < len(frames) - 1 else ""
                yield f"    {address:#010x}  {function}{inlined} at {short(place)}"


def is_call(code):
    """Whether code ends with a call: of an address, or of what a register or memory says."""
    return code[-5:-4] == b"\xe8" or any(
        code[-size] == 0xFF and code[1 - size] >> 3 & 7 == 2 for size in range(2, len(code) + 1))


def short(place):
    """A file's place from the checkout on, or from the sources of Rust's libraries."""
    place = re.sub(r" \(discriminator \d+\)$", "", place)
    place = place.removeprefix(f"{toolchain.ROOT}/")
    return re.sub(r"^.*/(?=library/(core|alloc|std)/)", "", place)


class Names:
    """The programs of a run: the root task, and the clients that travel in it."""

    def __init__(self, elf):
        self.elf = Path(elf)
        self.clients = self.elf.parent.parent / "client"
        self.known = {}

    def program(self, path):
        """The file as a program; None if it is none."""
        if path not in self.known:
            try:
                self.known[path] = Program(path)
            except (OSError, KeyError, IndexError, struct.error):
                self.known[path] = None
        return self.known[path]

    def candidates(self, name):
        """Whose addresses these may be: first the client of that name, as any is called."""
        clients = [path for path in sorted(self.clients.glob("*")) if path.is_file() and not path.suffix]
        named = [path for path in clients if path.name == name]
        for path in [*named, self.elf, *clients]:
            if program := self.program(path):
                yield program

    def explain(self, line):
        """The lines that belong behind a line: none, as a rule."""
        found = BACKTRACE.match(line) or UNANSWERED.match(line)
        if not found:
            return
        found = found.groupdict()
        callers = [int(address, 16) for address in (found.get("callers") or "").split()]
        instruction = [int(found["at"], 16)] if found["at"] else []
        fitting = [program for program in self.candidates(found.get("client") or found.get("thread"))
                   if (instruction or callers) and program.fits(instruction, callers)]
        # The first of those that the most calls speak for.
        fitting.sort(key=lambda program: -program.evidence(instruction, callers))
        if fitting:
            yield from fitting[0].names(instruction, callers)


class Explained:
    """Output of a guest, with what its addresses mean behind each line that has them."""

    def __init__(self, elf):
        self.names = Names(elf) if shutil.which("addr2line") else None
        self.line = b""

    def feed(self, data):
        """What is to be printed for more of the output; nothing waits for the end of its line."""
        if not self.names:
            return data
        printed = []
        for part in data.splitlines(keepends=True):
            printed.append(part)
            self.line = (self.line + part)[-LONGEST:]
            if part.endswith(b"\n"):
                line = self.line.decode(errors="replace").replace("\r", "").rstrip("\n")
                printed += [f"{more}\n".encode() for more in self.names.explain(line)]
                self.line = b""
        return b"".join(printed)
