# SPDX-License-Identifier: BSD-2-Clause
"""Checks that imports go down: a room of a crate uses rooms below it only, a crate crates below it.

Usage: floors.py ARCHITECTURE

ARCHITECTURE is a Markdown file, and folders in it are relative to its own. In blocks that begin
with ```floors it lists the rooms of folders, from lowest to highest, one folder a line, and the
packages of the workspace:

    vmm/src: types arch state manager primitives bookkeeping
      spaces | mapping | regions
    crates: page-tables | untyped-alloc  vmm

A room is a file or a folder directly in the listed folder. `|` joins rooms (packages) on the same
floor, which may not use each other; a line that begins with blanks continues the one before it.
lib.rs, main.rs and mod.rs of a listed folder are its face, above all its rooms: a name that a face
re-exports counts as an import of the room that it comes from.

Refused are an import that goes up or to the same floor, a room that is not listed or not there, a
circle of imports among the files of a room, a module by `#[path]`, and a dependency between
packages that goes up. Exempt are code for tests or documentation alone, and dev-dependencies.
"""

import collections
import pathlib
import re
import sys
import tomllib

sys.dont_write_bytecode = True  # leave nothing beside the scripts

from rust_imports import Crate

ROOTS = ("lib.rs", "main.rs")
FACES = (*ROOTS, "mod.rs")

# The line where a list begins; the floor of each room, 0 for the lowest.
Floors = collections.namedtuple("Floors", "line rooms")


class Law:
    """The floors that a document lists, and what offends against them."""

    def __init__(self, document):
        self.document, self.folder = document, document.parent
        self.floors, self.crates = {}, None
        self.offences, self.counts = set(), collections.Counter()
        lines = document.read_text(encoding="utf-8").splitlines()
        listed, last = False, None
        for number, line in enumerate(lines, 1):
            if line.startswith("```"):
                listed, last = line.strip() == "```floors", None
            elif listed and line.strip():
                head, colon, rest = line.partition(":")
                if line[0].isspace() and last:
                    head, rest = last, line
                elif line[0].isspace() or not colon:
                    self.wrong(document, number, "this line is no `FOLDER: ROOM ...`")
                    continue
                last = head
                self.add(head, number, rest)
        if not self.floors:
            self.wrong(document, 1, "no floors are listed")

    def wrong(self, file, line, sentence):
        """Notes an offence."""
        if file.is_relative_to(self.folder):
            file = file.relative_to(self.folder)
        self.offences.add((str(file), line, sentence))

    def add(self, head, number, text):
        """Adds floors to a folder, or to the crates, above those that it has."""
        if head == "crates":
            self.crates = self.crates or Floors(number, {})
            floors = self.crates
        else:
            floors = self.floors.setdefault(self.folder / head, Floors(number, {}))
        beside = False
        for word in text.replace("|", " | ").split():
            if word == "|":
                beside = True
                continue
            if word in floors.rooms:
                self.wrong(self.document, number, f"{word} is listed twice")
            top = max(floors.rooms.values(), default=-1)
            floors.rooms.setdefault(word, top if beside and floors.rooms else top + 1)
            beside = False

    def check(self):
        """Checks all that is listed."""
        roots = {}
        for folder, floors in self.floors.items():
            above = [at for at in (folder, *folder.parents) if at.is_relative_to(self.folder)]
            root = next((at for at in above if any((at / face).is_file() for face in ROOTS)), None)
            if root and folder.is_dir():
                roots.setdefault(root, {})[folder.relative_to(root).parts] = floors
            else:
                shown = folder.relative_to(self.folder)
                self.wrong(self.document, floors.line, f"{shown} is no folder of a crate")
        for root, listed in roots.items():
            crate = Crate(root, self.wrong)
            self.counts["files"] += crate.files
            for inside, floors in listed.items():
                self.check_rooms(crate, inside, floors)
            self.check_imports(crate, listed)
        if self.crates:
            self.check_crates()

    def check_rooms(self, crate, inside, floors):
        """Every room is listed, and every listed room is there."""
        folder = crate.root.joinpath(*inside)
        there = {at.stem for at in folder.glob("*.rs") if at.name not in FACES}
        there |= {at.name for at in folder.iterdir() if at.is_dir() and any(at.rglob("*.rs"))}
        if not inside:
            there.discard("bin")
        there = {name for name in there if not crate.is_exempt(inside + (name,))}
        shown = folder.relative_to(self.folder)
        for name in sorted(there - set(floors.rooms)):
            self.wrong(self.document, floors.line, f"{shown}/{name} is on no floor")
        for name in sorted(set(floors.rooms) - there):
            self.wrong(self.document, floors.line, f"{shown}/{name} is on a floor, but not there")
        self.counts["rooms"] += len(floors.rooms)

    def check_imports(self, crate, listed):
        """No import goes up or to the same floor, and within a room none goes in a circle."""
        arrows = collections.defaultdict(dict)
        for found in crate.imports:
            if crate.is_exempt(found.module):
                continue
            used = [module for module in crate.resolve(found) if not crate.is_exempt(module)]
            self.counts["imports"] += bool(used)
            shown = "::".join(found.path)
            for module in used:
                # The face of a room that the import stands in hands on what is in the room.
                handed_on = module != used[-1] and found.module[: len(module)] == module
                if handed_on or crate.modules[module].file == found.file:
                    continue
                common = 0
                while found.module[common : common + 1] == module[common : common + 1] != ():
                    common += 1
                if floors := listed.get(module[:common]):
                    if sentence := offence(floors.rooms, found.module[common:], module[common:]):
                        self.wrong(found.file, found.line, f"{sentence}: {shown}")
                # A face that re-exports what is in its room draws no arrow.
                elif not (found.public and module[: len(found.module)] == found.module):
                    target = crate.modules[module].file
                    arrows[found.file].setdefault(target, (found.line, shown))
        for circle in circles(arrows):
            line, shown = arrows[circle[0]][circle[1]]
            names = " → ".join(str(file.relative_to(crate.root)) for file in circle)
            self.wrong(circle[0], line, f"a circle of imports, {names}: {shown}")

    def check_crates(self):
        """No crate depends on one that is above it or on the same floor."""
        packages = {}
        workspace = read_toml(self.folder / "Cargo.toml")["workspace"]
        for member in workspace["members"]:
            file = self.folder / member / "Cargo.toml"
            manifest = read_toml(file)
            packages[manifest["package"]["name"]] = file, manifest
        rooms = self.crates.rooms
        line = self.crates.line
        for name in sorted(set(packages) - set(rooms)):
            self.wrong(self.document, line, f"crate {name} is on no floor")
        for name in sorted(set(rooms) - set(packages)):
            self.wrong(self.document, line, f"crate {name} is on a floor, but not there")
        for name, (file, manifest) in packages.items():
            for used, written in dependencies(manifest, workspace.get("dependencies", {})):
                if used in packages and (sentence := offence(rooms, (name,), (used,))):
                    self.wrong(file, line_of(file, written), sentence)


def read_toml(file):
    """What a TOML file says."""
    return tomllib.loads(file.read_text(encoding="utf-8"))


def dependencies(manifest, inherited):
    """The packages that a package is built with, each with its name in the manifest."""
    for table in (manifest, *manifest.get("target", {}).values()):
        for key in ("dependencies", "build-dependencies"):
            for written, how in table.get(key, {}).items():
                if isinstance(how, dict) and how.get("workspace"):
                    how = inherited.get(written)
                yield how.get("package", written) if isinstance(how, dict) else written, written


def line_of(file, name):
    """The line of a manifest that a dependency begins on."""
    begins = re.compile(rf"\W*{re.escape(name)}\b|\[.*dependencies\W+{re.escape(name)}\W*\]")
    lines = file.read_text(encoding="utf-8").splitlines()
    after = next(at for at, line in enumerate(lines) if "dependencies" in line)
    return next((at for at, line in enumerate(lines[after:], after + 1) if begins.match(line)), 1)


def offence(rooms, source, target):
    """Why a room may not use another, as a sentence; None when it may."""
    if not source:
        return None
    if not target:
        return f"{source[0]} uses what the face above all rooms defines"
    source, target = source[0], target[0]
    if source not in rooms or target not in rooms or rooms[source] > rooms[target]:
        return None
    if rooms[source] == rooms[target]:
        return f"{source} and {target} are on the same floor, and neither may use the other"
    return f"{source} is below {target}, and may not use it"


def circles(arrows):
    """A shortest circle through each file that is in one, unless an earlier one shows it."""
    shown = set()
    for start in sorted(arrows):
        if start in shown:
            continue
        came, queue = {}, [start]
        for file in queue:
            for target in sorted(set(arrows.get(file, ())) - set(came)):
                came[target] = file
                queue.append(target)
        if start in came:
            circle = [start, came[start]]
            while circle[-1] != start:
                circle.append(came[circle[-1]])
            shown.update(circle)
            yield circle[::-1]


def main(document):
    law = Law(pathlib.Path(document).resolve())
    law.check()
    for file, line, sentence in sorted(law.offences):
        print(f"{file}:{line}: {sentence}")
    if law.offences:
        return 1
    counts = law.counts
    print(
        f"floors: {counts['files']} files, {counts['imports']} imports, {counts['rooms']} rooms: "
        "nothing goes up"
    )
    return 0


if __name__ == "__main__":
    words = sys.argv[1:]
    if {"-h", "--help"} & set(words):
        print(__doc__)
    elif len(words) != 1 or words[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    else:
        sys.exit(main(*words))
