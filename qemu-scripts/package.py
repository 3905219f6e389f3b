#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Makes the crates as a registry would take them, and builds what was made.

The names `vmm` and `sel4` are taken in the registry of Rust crates. So a copy of the workspace below
build/ gets the names of [package.metadata.registry]; the libraries keep theirs, so no line of code
differs. `cargo package` makes the archives. They are unpacked and built against each other: a file
that an archive lacks, or that only this workspace has, is an error here.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import files
import options

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "build" / "package"
TARGET = "x86_64-unknown-linux-gnu"


def cargo(*arguments, cwd, **environment):
    subprocess.run(["cargo", *arguments], cwd=cwd, check=True, env=os.environ | environment)


def substitute(pattern, replacement, text):
    changed, count = re.subn(pattern, replacement, text, flags=re.M)
    if count != 1:
        sys.exit(f"package.py: {count} matches for {pattern}, wanted 1")
    return changed


def published():
    """The crates for a registry: folder -> (name in the workspace, name in the registry)."""
    found = {}
    for member in tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["members"]:
        package = tomllib.loads((ROOT / member / "Cargo.toml").read_text())["package"]
        registry = package.get("metadata", {}).get("registry")
        if registry:
            found[member] = (package["name"], registry["name"])
    return found


def check_contents(member):
    """What a registry asks for, and a reader."""
    package = tomllib.loads((ROOT / member / "Cargo.toml").read_text())["package"]
    for key in ("description", "license", "rust-version", "readme", "keywords", "categories"):
        if key not in package:
            sys.exit(f"package.py: {member}/Cargo.toml has no {key}")
    if (ROOT / member / "LICENSE").read_bytes() != (ROOT / "LICENSE").read_bytes():
        sys.exit(f"package.py: {member}/LICENSE is another one")


def copy_workspace(crates):
    """A copy of what git knows of the crates, under their registry names."""
    shutil.rmtree(PLACE, ignore_errors=True)
    for member in crates:
        for name in files.of_checkout(ROOT, member):
            inner = any(name.startswith(f"{other}/") for other in crates if len(other) > len(member))
            if not inner:
                (PLACE / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, PLACE / name)
    manifest = (ROOT / "Cargo.toml").read_text()
    members = "".join(f'    "{member}",\n' for member in crates)
    manifest = substitute(r"^members = \[\n(?:.*\n)*?\]", f"members = [\n{members}]", manifest)
    manifest = substitute(r"^default-members = \[\n(?:.*\n)*?\]\n", "", manifest)
    manifest = substitute(r"^publish = false\n", "", manifest)
    manifest = substitute(r"\n\[patch.crates-io\]\n(?:.*\n)*", "\n", manifest)
    manifest = substitute(r'^sel4 = "([0-9.]*)"', r'sel4 = { path = "sel4", version = "\1.0" }', manifest)
    for member, (name, registry) in crates.items():
        path = PLACE / member / "Cargo.toml"
        text = substitute(r"^publish.workspace = true\n", "", path.read_text())
        # What `cargo package` would leave out, too, and what the copy does not have.
        text = re.sub(r"^vmm-tests = .*\n", "", text, flags=re.M)
        if name != registry:
            text = substitute(rf'^name = "{name}"', f'name = "{registry}"', text)
            library = '[lib]\nname = "{}"\n'.format(name.replace("-", "_"))
            text = text.replace("[lib]\n", library) if "[lib]\n" in text else f"{text}\n{library}"
            manifest = substitute(rf"^{name} = {{ ", f'{name} = {{ package = "{registry}", ', manifest)
        path.write_text(text)
    (PLACE / "Cargo.toml").write_text(manifest)
    shutil.copyfile(ROOT / "Cargo.lock", PLACE / "Cargo.lock")


def unpack(crates):
    """The archives, unpacked beside each other: a workspace of what a registry would give."""
    place = PLACE / "unpacked"
    patches = ""
    for _, registry in crates.values():
        archive, = (PLACE / "target" / "package").glob(f"{registry}-[0-9]*.crate")
        shutil.unpack_archive(archive, place, "gztar")
        patches += f'{registry} = {{ path = "{archive.stem}" }}\n'
        for needed in ("LICENSE", "README.md", "Cargo.toml"):
            if not (place / archive.stem / needed).is_file():
                sys.exit(f"package.py: {archive.name} has no {needed}")
    (place / "Cargo.toml").write_text(
        f'[workspace]\nresolver = "2"\nmembers = ["*-[0-9]*.[0-9]*"]\n\n[patch.crates-io]\n{patches}')
    shutil.copyfile(ROOT / "Cargo.lock", place / "Cargo.lock")
    return place


def check_saved_interfaces(renew):
    """What the bindings know of a kernel where there is none, as a registry's documentation is made."""
    made = ROOT / "build" / "kernel" / "x86_64" / "debug" / "interface.json"
    if not made.is_file():
        return
    interface = json.loads(made.read_text())
    config = {key: interface[key] for key in ("version", "config")}
    for member, wanted in (("sel4", interface), ("sel4/config", config)):
        saved = ROOT / member / "docs-rs" / "interface.json"
        if renew:
            saved.write_text(json.dumps(wanted, indent=2) + "\n")
        elif json.loads(saved.read_text()) != wanted:
            sys.exit(f"package.py: {saved} is not what the kernel has: run package.py --renew")


def main():
    parser = options.Parser("package.py", description=__doc__, usage="package.py [--target-build] [--renew]")
    parser.add_argument("--target-build", action="store_true",
                        help="build also the parts that need a kernel, for x86_64")
    parser.add_argument("--renew", action="store_true",
                        help="save the kernel's interface for documentation that is made without one")
    parser.add_help_option()
    wanted = parser.parse_args()
    crates = published()
    check_saved_interfaces(wanted.renew)
    for member in crates:
        check_contents(member)
    copy_workspace(crates)
    registry = {name: other for name, other in crates.values()}
    everything = [word for name in registry.values() for word in ("-p", name)]
    own = {"CARGO_TARGET_DIR": str(PLACE / "target"), "CARGO_NET_OFFLINE": "true"}
    cargo("package", "--quiet", "--no-verify", "--allow-dirty", *everything, cwd=PLACE, **own)
    place = unpack(crates)
    host = [word for name in ("growing-heap", "page-tables", "untyped-alloc", "vmm", "vmm-client", "vmm-service")
            for word in ("-p", registry[name])]
    cargo("check", "--quiet", *host, cwd=place, **own)
    features = ["--features", ",".join(f"{registry[name]}/sel4" for name in ("vmm", "vmm-client", "vmm-service"))]
    # As a registry's documentation is made, without a kernel.
    os.environ.pop("SEL4_PREFIX", None)
    documented = [word for name in ("sel4", "vmm", "vmm-client", "vmm-service") for word in ("-p", registry[name])]
    cargo("check", "--quiet", *documented, *features, "--target", TARGET, cwd=place, **own, DOCS_RS="1")
    if wanted.target_build:
        cargo("check", "--quiet", *everything, *features, "--target", TARGET,
              "--config", str(ROOT / "qemu-scripts" / "target.toml"), cwd=place, **own,
              SEL4_PREFIX=str(ROOT / "build" / "kernel" / "x86_64" / "debug"))
    print(f"package.py: {len(crates)} crates made and built:", *registry.values())


if __name__ == "__main__":
    main()
