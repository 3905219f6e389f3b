#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Holds LICENSES.md's table of crates to what cargo fetches.

Rows are made of `cargo metadata` of the workspace, of the fuzz targets' and of the kernel's sources:
each crate that comes from a registry, its licence as its author gives it, and what it is used for.
"""

import argparse
import difflib
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "LICENSES.md"
HEAD = "| crate | licence | used |\n|---|---|---|\n"
# What is booted; all that it depends on is linked into it, but for what only its build needs.
BOOTED = ("roottask", "vmm-clients")
# Each manifest with a lock file of its own, and what its crates are for, where nothing else is said.
MANIFESTS = (
    ("Cargo.toml", "in host tests"),
    ("tests/fuzz/Cargo.toml", "in fuzzing"),
    ("qemu-scripts/kernel/Cargo.toml", "fetched with the kernel's sources, not compiled"),
)


def metadata(manifest):
    command = ["cargo", "metadata", "--locked", "--all-features", "--format-version", "1",
               "--manifest-path", str(ROOT / manifest)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def reached(data, roots, build):
    """The ids that `roots` need: what is linked, or with `build` also what runs while it is built."""
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    packages = {package["id"]: package for package in data["packages"]}
    found, left = set(), list(roots)
    while left:
        ident = left.pop()
        if ident in found:
            continue
        found.add(ident)
        for dependency in nodes[ident]["deps"]:
            kinds = {kind["kind"] for kind in dependency["dep_kinds"]}
            macro = any("proc-macro" in target["kind"] for target in packages[dependency["pkg"]]["targets"])
            if None in kinds and not macro or build and kinds & {None, "build"}:
                left.append(dependency["pkg"])
    return found


def rows():
    """name -> (licence, use); of several uses the first in MANIFESTS, the nearest to a root task."""
    table = {}
    for manifest, use in MANIFESTS:
        data = metadata(manifest)
        booted = [package["id"] for package in data["packages"] if package["name"] in BOOTED]
        linked, built = reached(data, booted, False), reached(data, booted, True)
        for package in sorted(data["packages"], key=lambda package: package["name"]):
            if package["source"] is None:
                continue
            ident = package["id"]
            uses = "linked into root tasks" if ident in linked else "while building" if ident in built else use
            licence = package["license"] or f"see its {package['license_file']}"
            table.setdefault(package["name"], (licence, uses))
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--renew", action="store_true", help="write the table instead of comparing it")
    parser.add_argument("--list", type=Path, default=LIST, metavar="FILE", help="another LICENSES.md")
    options = parser.parse_args()
    lines = [f"| `{name}` | {licence} | {use} |\n" for name, (licence, use) in sorted(rows().items())]
    text = options.list.read_text()
    before, head, rest = text.partition(HEAD)
    if not head or not lines:
        sys.exit("licenses.py: LICENSES.md has no table of crates, or there are no crates")
    table, _, after = rest.partition("\n\n")
    wanted = before + head + "".join(lines) + "\n" + after
    if options.renew:
        options.list.write_text(wanted)
    elif text != wanted:
        sys.stdout.writelines(difflib.unified_diff(
            text.splitlines(True), wanted.splitlines(True), "LICENSES.md", "what cargo fetches"))
        sys.exit("licenses.py: LICENSES.md is not what cargo fetches: licenses.py --renew")


if __name__ == "__main__":
    main()
