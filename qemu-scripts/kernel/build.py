#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Builds the seL4 5.0.0 kernel from the sources that cargo fetched.

Below build/kernel/ in the repository's root:

    ia32/debug/, ia32/release/, x86_64/...
                        a prefix for each flavour: kernel.elf, boot.elf (what QEMU boots: the same
                        as an ELF file of 32 bits), interface.json
    work/               generated headers and objects, for a look when something fails
    python/             what the kernel's header generators import

A prefix is rebuilt only when something it was made from has changed.
"""

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import config
import interface

HERE = Path(__file__).resolve().parent
OUT = HERE.parent.parent / "build" / "kernel"
CC = os.environ.get("CC", "gcc")


class ToolFailed(Exception):
    """A tool that was run has ended with an error, or has not done what it should."""


def say(text):
    print(f"kernel: {text}", file=sys.stderr, flush=True)


def run(*command, cwd=None, env=None):
    """Runs a tool and returns what it printed; shows all of it when the tool fails."""
    command = [str(word) for word in command]
    done = subprocess.run(
        command, cwd=cwd, env=env, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    if done.returncode != 0:
        sys.stderr.write(done.stdout + done.stderr)
        raise ToolFailed(f"failed with exit code {done.returncode}: {' '.join(command)}")
    return done.stdout


# --- The sources and the tools -------------------------------------------------------


def fetch_source():
    """The kernel's source tree, which cargo fetches and checks against Cargo.lock."""
    manifest = HERE / "Cargo.toml"
    metadata = ["cargo", "metadata", "--locked", "--format-version", "1", "--manifest-path", manifest]
    try:
        described = subprocess.run(
            [str(word) for word in metadata + ["--offline"]],
            check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        ).stdout
    except subprocess.CalledProcessError:
        say("fetching the seL4 sources (cargo fetch --locked)")
        run("cargo", "fetch", "--locked", "--manifest-path", manifest)
        described = run(*metadata)
    for package in json.loads(described)["packages"]:
        if package["name"] == "sel4-sys":
            return Path(package["manifest_path"]).parent / "seL4"
    raise ToolFailed("cargo metadata does not know the package sel4-sys")


def install_python_packages():
    """Private copies of the generators' imports, checked against requirements.txt."""
    target = OUT / "python"
    requirements = HERE / "requirements.txt"
    stamp = target / "requirements.txt"
    if stamp.exists() and stamp.read_bytes() == requirements.read_bytes():
        return target
    say("installing the Python packages of the header generators")
    shutil.rmtree(target, ignore_errors=True)
    run(
        sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        "--no-deps", "--only-binary=:all:", "--require-hashes",
        "--target", target, "-r", requirements,
    )
    shutil.copy(requirements, stamp)
    return target


def fingerprint(source):
    """A hash over everything that decides what a prefix contains."""
    digest = hashlib.sha256()
    for path in sorted([*HERE.glob("*.py"), HERE / "Cargo.lock", HERE / "requirements.txt"]):
        digest.update(path.read_bytes())
    digest.update(str(source).encode())
    digest.update(run(CC, "--version").encode())
    digest.update(run("ld", "--version").encode())
    return digest.hexdigest()


# --- One flavour ---------------------------------------------------------------------


class Flavour:
    """The build of one kernel: its configuration, its folders and its compiler options."""

    def __init__(self, arch_name, name, source, python):
        extra_config, extra_defines = config.FLAVOURS[name]
        self.arch_name = arch_name
        self.arch = config.ARCHES[arch_name]
        self.name = name
        self.source = source
        self.config = {
            f"CONFIG_{key}": int(value)
            for key, value in {**config.COMMON, **self.arch.config, **extra_config}.items()
        }
        self.work = OUT / "work" / arch_name / name
        self.headers = self.work / "include"
        self.libsel4_headers = self.work / "libsel4"
        defines = ["HAVE_AUTOCONF", *self.arch.defines, "FASTPATH", *extra_defines]
        self.defines = [f"-D{define}" for define in defines]
        self.cflags = [*self.arch.cflags, *config.CFLAGS]
        self.python = python
        shutil.rmtree(self.work, ignore_errors=True)
        self.headers.mkdir(parents=True)

    def named(self, name):
        """A name of config.py for the architecture's words."""
        return name.format(bits=self.arch.word_bits)

    def kernel_includes(self):
        tree = self.source / "include"
        return ["-I", self.headers] + [
            word for folder in config.INCLUDE_DIRS for word in ("-I", tree / self.named(folder))
        ]

    def libsel4_includes(self):
        tree = self.source / "libsel4"
        folders = [
            self.libsel4_headers, self.headers, tree / "include", tree / "arch_include/x86",
            tree / "sel4_arch_include" / self.arch.libsel4, tree / "sel4_plat_include/pc99",
        ]
        return [word for folder in folders for word in ("-I", folder)]

    def write_autoconf(self):
        lines = [f"#define {key} {value}" for key, value in self.config.items()]
        text = "#pragma once\n" + "\n".join(lines) + "\n"
        (self.headers / "autoconf.h").write_text(text)

    def generate(self, tool, *arguments):
        """Runs one of the kernel's generators, from a copy: they write beside themselves."""
        tools = self.work / "tools"
        if not tools.exists():
            shutil.copytree(self.source / "tools", tools)
        env = {**os.environ, "PYTHONPATH": f"{tools}:{self.python}"}
        run(sys.executable, "-W", "ignore", tools / tool, *arguments, cwd=tools, env=env)

    def preprocess(self, source, output, includes):
        words = f"-m{self.arch.word_bits}"
        run("cpp", words, "-nostdinc", "-P", *self.defines, *includes, source, output)

    def generate_bitfields(self, description, header, includes, environment):
        """A bit-field header. (`gcc -E` takes a .bf for a linker input; `cpp` does not.)"""
        header.parent.mkdir(parents=True, exist_ok=True)
        plain = header.with_suffix(".pbf")
        self.preprocess(description, plain, includes)
        self.generate("bitfield_gen.py", "--environment", environment, plain, header)

    def generate_invocations(self, destinations, *options):
        """The three headers of invocation labels: general, of the word size, of x86."""
        interfaces = [
            ("libsel4/include/interfaces/sel4.xml", []),
            (
                f"libsel4/sel4_arch_include/{self.arch.libsel4}/interfaces/sel4arch.xml",
                ["--sel4_arch"],
            ),
            ("libsel4/arch_include/x86/interfaces/sel4arch.xml", ["--arch"]),
        ]
        for (xml, kind), header in zip(interfaces, destinations):
            header.parent.mkdir(parents=True, exist_ok=True)
            self.generate(
                "invocation_header_gen.py", "--xml", self.source / xml, "--dest", header,
                *kind, *options,
            )

    def generate_kernel_headers(self):
        for description, header in config.BITFIELDS.items():
            self.generate_bitfields(
                self.source / "include" / self.named(description), self.headers / header,
                self.kernel_includes(), "sel4",
            )
        self.generate_invocations(
            self.headers / name
            for name in ("api/invocation.h", "arch/api/sel4_invocation.h", "arch/api/invocation.h")
        )
        self.generate(
            "syscall_header_gen.py", "--xml", self.source / "include/api/syscall.xml",
            "--kernel_header", self.headers / "arch/api/syscall.h",
        )

    def generate_libsel4_headers(self):
        tree, out = self.source / "libsel4", self.libsel4_headers / "sel4"
        for description, header in [
            (self.named("include/sel4/types_{bits}.bf"), "types_gen.h"),
            (self.named("include/sel4/shared_types_{bits}.bf"), "shared_types_gen.h"),
            (
                f"sel4_arch_include/{self.arch.libsel4}/sel4/sel4_arch/types.bf",
                "sel4_arch/types_gen.h",
            ),
        ]:
            self.generate_bitfields(
                tree / description, out / header, self.libsel4_includes(), "libsel4"
            )
        self.generate_invocations(
            (out / name for name in ("invocation.h", "sel4_arch/invocation.h", "arch/invocation.h")),
            "--libsel4",
        )
        self.generate(
            "syscall_header_gen.py", "--xml", tree / "include/api/syscall.xml",
            "--libsel4_header", out / "syscall.h",
        )

    def c_sources(self):
        debug = config.DEBUG_C_SOURCES if "CONFIG_DEBUG_BUILD" in self.config else []
        own = [f"arch/x86/{self.arch.word_bits}/{name}" for name in self.arch.c_sources]
        return [*config.C_SOURCES_FIRST, *own, *config.C_SOURCES, *debug]

    def compile(self, source, output, *options):
        # The maps keep this machine's paths out of the kernel, which so is the same everywhere.
        run(
            CC, *self.cflags, f"-ffile-prefix-map={self.source}=seL4",
            f"-ffile-prefix-map={self.work}=.", *self.defines,
            *self.kernel_includes(), *options, "-c", source, "-o", output, cwd=self.work,
        )

    def build_kernel(self, output):
        """All C files as one unit (as the kernel's authors do), four assembler files, linked."""
        unit = self.work / "kernel_all.c"
        with unit.open("w") as out:
            for name in self.c_sources():
                out.write(f'#line 1 "src/{name}"\n')
                out.write((self.source / "src" / name).read_text() + "\n")
        objects = [self.work / "kernel_all.o"]
        self.compile(unit, objects[0])
        for name in map(self.named, config.ASM_SOURCES):
            objects.append(self.work / (Path(name).stem + ".o"))
            self.compile(self.source / "src" / name, objects[-1], "-D__ASSEMBLER__")
        script = self.work / "linker.lds"
        self.preprocess(
            self.source / "src" / config.LINKER_SCRIPT, script, self.kernel_includes()
        )
        run(
            CC, *self.arch.cflags, *config.LDFLAGS, f"-Wl,-m,{self.arch.linker}",
            "-T", script, "-o", output, *objects,
        )

    def make_bootable(self, kernel, output):
        if self.arch.converted_for_boot:
            run("objcopy", "-O", "elf32-i386", kernel, output)
        else:
            shutil.copy(kernel, output)

    def describe_interface(self, output):
        """interface.json, its numbers evaluated by the compiler from both sets of headers."""
        def compiler(*arguments):
            def compile_text(text, *options):
                source = self.work / "interface.c"
                source.write_text(text)
                return run(CC, *self.cflags, *self.defines, *arguments, *options, source, "-o", "-")
            return compile_text

        described = interface.describe(
            self.arch,
            compiler(*self.kernel_includes()),
            # Without assertions, so that its constructors can become constants.
            compiler("-DNDEBUG", "-DCONFIG_LIB_SEL4_INLINE_INVOCATIONS=1", *self.libsel4_includes()),
        )
        whole = {
            "version": (self.source / "VERSION").read_text().strip(),
            "config": self.config,
            **described,
        }
        output.write_text(json.dumps(whole, indent=2) + "\n")

    def build(self, prefix):
        say(f"building the {self.name} kernel for {self.arch_name}")
        self.write_autoconf()
        self.generate_kernel_headers()
        self.generate_libsel4_headers()
        prefix.mkdir(parents=True)
        self.build_kernel(prefix / "kernel.elf")
        self.make_bootable(prefix / "kernel.elf", prefix / "boot.elf")
        self.describe_interface(prefix / "interface.json")


def build_flavours(arch, names):
    source = fetch_source()
    wanted = fingerprint(source)
    for name in names:
        prefix = OUT / arch / name
        stamp = prefix / "stamp"
        if stamp.exists() and stamp.read_text() == wanted:
            continue
        fresh = OUT / arch / f"{name}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        Flavour(arch, name, source, install_python_packages()).build(fresh)
        (fresh / "stamp").write_text(wanted)
        shutil.rmtree(prefix, ignore_errors=True)
        fresh.rename(prefix)


def main():
    parser = argparse.ArgumentParser(description="Build the seL4 kernel into build/kernel/.")
    parser.add_argument(
        "flavours", nargs="*", metavar="FLAVOUR",
        help="debug, release; both when none is named",
    )
    parser.add_argument(
        "--arch", default="ia32", choices=list(config.ARCHES), help="default: ia32",
    )
    arguments = parser.parse_args()
    names = arguments.flavours or list(config.FLAVOURS)
    for name in names:
        if name not in config.FLAVOURS:
            parser.error(f"no such flavour: {name}")
    OUT.mkdir(parents=True, exist_ok=True)
    with (OUT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two builds at once would undo each other's work
        try:
            build_flavours(arguments.arch, names)
        except (ToolFailed, interface.Disagreement) as failure:
            sys.exit(f"kernel: {failure}")


if __name__ == "__main__":
    main()
