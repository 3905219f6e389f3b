# SPDX-License-Identifier: BSD-2-Clause
"""Reads the modules of a Rust crate, and finds out which modules each path in its code leads to.

It knows as much of Rust as that needs: comments, strings, attributes, `mod`, `use` with nested
braces, visibility, macros and paths. Code for tests or documentation alone, by `#[cfg(test)]` or
`#[cfg(doc)]`, does not count.
"""

import collections
import re

TOKEN = re.compile(
    r"""(?P<blank>\s+|//[^\n]*)
    |(?P<string>[bc]?r(?P<hashes>\#*)".*?"(?P=hashes)|[bc]?"(?:\\.|[^"\\])*")
    |(?P<char>b?'(?:\\(?:u\{[^}]*\}|x..|.)|[^\\'\n])'|'\w+)
    |(?:r\#)?(?P<name>[A-Za-z_]\w*)|(?P<other>::|\d\w*|.)""",
    re.VERBOSE | re.DOTALL,
)
COMMENT_MARK = re.compile(r"/\*|\*/")
NAMED = set("mod fn struct enum union trait type const static macro_rules".split())
VISIBLE_IN = {"in", "crate", "self", "super"}
ITEMS = NAMED | {"pub", "use", "impl", "unsafe", "extern", "async"}
OPEN, CLOSE = {"(", "[", "{"}, {")", "]", "}"}

# A path in a file: the module that it is in, and whether it is a public `use` (True), another `use`
# (False) or in other code (None). Modules are tuples of names, from the root of the crate on.
Import = collections.namedtuple("Import", "file line module path public")


class Module:
    """A module: its file, the names that it defines, and those that `use` brings into it."""

    def __init__(self, file):
        self.file, self.defined, self.bound, self.globs = file, set(), {}, []


class Crate:
    """The modules of a crate, the paths in them, and where these lead."""

    def __init__(self, root, wrong):
        """Reads all below `root`; calls `wrong` with file, line and sentence."""
        self.root, self.wrong, self.files = root, wrong, 0
        self.modules, self.imports, self.exported, self.exempt = {}, [], {}, set()
        for file in sorted(root.rglob("*.rs")):
            module = file.relative_to(root).with_suffix("").parts
            # Cargo's folder of programs, each a crate of its own.
            if module[0] == "bin" and len(module) > 1:
                continue
            face = module in (("lib",), ("main",)) or file.name == "mod.rs"
            Reader(self, file, module[:-1] if face else module)
            self.files += 1
        self.modules.setdefault((), Module(root))
        # An exported macro is called by a path from the root, wherever it is defined.
        for name, module in self.exported.items():
            self.modules[module].defined.add(name)
            if module:
                self.modules[()].bound[name] = ("crate", *module, name)

    def is_exempt(self, module):
        """Whether a module is for tests alone."""
        return any(module[:length] in self.exempt for length in range(len(module) + 1))

    def resolve(self, found):
        """The modules of this crate that an import uses: those that re-export a name, then the one
        that defines it. It has none if the path leads into another crate, or begins with a name
        whose `use` counts already.
        """
        first = found.path[0]
        own = first in ("crate", "self", "super") or found.module + (first,) in self.modules
        if not own and found.public is None:
            known = self.lookup(found.module, (first,))
            if known is None or not known[1]:
                return []
        # A name that is not known, such as one that a macro makes, belongs to the module before it.
        for length in range(len(found.path), 0, -1):
            known = self.lookup(found.module, found.path[:length])
            if known is not None:
                return known[0]
        return []

    def lookup(self, at, path, seen=frozenset()):
        """The modules that a path leads to, and whether it names a module; None if unknown."""
        if path[0] == "crate":
            at, path = (), path[1:]
        for index, name in enumerate(path):
            if name == "super":
                at = at[:-1]
            elif at + (name,) in self.modules:
                at += (name,)
            elif name != "self":
                return self.member(at, path[index:], seen)
        return [at], True

    def member(self, at, path, seen):
        """As `lookup`, for a path from a module on whose first name is none of its modules."""
        here, name = self.modules[at], path[0]
        if (at, name) in seen:
            return None
        seen |= {(at, name)}
        if name in here.bound:
            ways = [here.bound[name] + path[1:]]
        elif name in here.defined:
            return [at], False
        else:
            ways = [glob + path for glob in here.globs]
        for way in ways:
            if found := self.lookup(at, way, seen):
                return [at] + found[0], found[1]
        return None


class Reader:
    """Reads one file into a crate: the modules in it, and their paths."""

    def __init__(self, crate, file, module):
        self.crate, self.file, self.at = crate, file, 0
        self.tokens = tokens(file.read_text(encoding="utf-8"))
        crate.modules[module] = Module(file)
        self.read(module)

    def text(self, offset=0):
        """The token here, or some further on."""
        at = self.at + offset
        return self.tokens[at][0] if 0 <= at < len(self.tokens) else ""

    def past(self, start):
        """Where it goes on after the bracket that opens at `start` is closed."""
        depth = 0
        for at in range(start, len(self.tokens)):
            depth += (self.tokens[at][0] in OPEN) - (self.tokens[at][0] in CLOSE)
            if depth == 0:
                return at + 1
        return len(self.tokens)

    def read(self, module):
        """Reads up to the end of the module."""
        here, depth, exported = self.crate.modules[module], 0, False
        while self.at < len(self.tokens) and depth >= 0:
            word = self.text()
            if word == "#" and "[" in (self.text(1), self.text(2) if self.text(1) == "!" else ""):
                exported |= self.attribute(module)
            elif word == "pub" and self.text(1) == "(" and self.text(2) in VISIBLE_IN:
                self.at = self.past(self.at + 1)
                if self.text() == "use":
                    self.use(module, depth, True)
            elif word == "use" and self.text(1) not in ("<", "$"):
                self.use(module, depth, self.text(-1) == "pub")
            elif word == "mod" and self.text(2) == "{":
                inner = module + (self.text(1),)
                self.crate.modules[inner] = Module(self.file)
                self.at += 3
                self.read(inner)
            elif self.text(1) == "::" and self.text(-1) != "::" and re.match(r"\w", word):
                self.path(module)
            else:
                if word in NAMED and depth == 0:
                    name = self.text(2) if self.text(1) in ("!", "mut") else self.text(1)
                    here.defined.add(name)
                    if word == "macro_rules" and exported:
                        self.crate.exported[name] = module
                    exported = False
                depth += (word in OPEN) - (word in CLOSE)
                self.at += 1

    def attribute(self, module):
        """Goes past an attribute, and what it exempts. Whether it exports a macro."""
        inner = self.text(1) == "!"
        start = self.at + 1 + inner
        self.at = self.past(start)
        words = [text for text, _ in self.tokens[start + 1 : self.at - 1]]
        if words[:1] == ["path"]:
            line = self.tokens[start][1]
            self.crate.wrong(self.file, line, "a module by #[path] belongs to no room")
        if words[:2] == ["cfg", "("] and never_built(words[2:-1]):
            if inner:
                self.crate.exempt.add(module)
            else:
                self.skip_item(module)
        return words == ["macro_export"]

    def skip_item(self, module):
        """Goes past an item, a field or an arm, and remembers a module in a file of its own."""
        while self.text() == "#" and self.text(1) == "[":
            self.at = self.past(self.at + 1)
        ends = {";"} if self.text() in ITEMS else {";", ","}
        while self.at < len(self.tokens) and self.text() not in ends | CLOSE:
            opened = self.text()
            self.at = self.past(self.at) if opened in OPEN else self.at + 1
            if opened == "{":
                break
        if self.text() == ";" and self.text(-2) == "mod":
            self.crate.exempt.add(module + (self.text(-1),))
        if self.text() in ends:
            self.at += 1

    def use(self, module, depth, public):
        """A `use`, with all that is in its braces."""
        here, line = self.crate.modules[module], self.tokens[self.at][1]
        self.at += 1
        for path, name in self.tree(()):
            if path[-1] == "*":
                path = path[:-1]
                here.globs.append(path)
            elif depth == 0 or name not in here.bound:
                here.bound[name] = path
            if path:
                self.crate.imports.append(Import(self.file, line, module, path, public))

    def tree(self, path):
        """The paths of a part of a `use`, each with the name that it binds."""
        while self.at < len(self.tokens) and self.text() not in {",", ";", "}"}:
            word = self.text()
            self.at += 1
            if word == "{":
                found = []
                while self.at < len(self.tokens) and self.text() != "}":
                    found += self.tree(path)
                    self.at += self.text() == ","
                self.at += 1
                return found
            if word == "as":
                self.at += 1
                return [(path, self.text(-1))]
            if word == "::":
                # One that begins with it leads to another crate.
                path = path or ("",)
            elif word != "self" or not path:
                path += (word,)
        return [(path, path[-1])] if path else []

    def path(self, module):
        """A path in other code."""
        line, found = self.tokens[self.at][1], (self.text(),)
        while self.text(1) == "::" and re.match(r"[A-Za-z_]", self.text(2)):
            self.at += 2
            found += (self.text(),)
        self.at += 1
        self.crate.imports.append(Import(self.file, line, module, found, None))


def tokens(text):
    """The tokens of Rust code, each with its line; comments and strings are left out."""
    at, line, found = 0, 1, []
    while at < len(text):
        if text.startswith("/*", at):
            end, depth = at + 2, 1
            while depth and (mark := COMMENT_MARK.search(text, end)):
                end, depth = mark.end(), depth + (1 if mark[0] == "/*" else -1)
            end = len(text) if depth else end
        else:
            match = TOKEN.match(text, at)
            end = match.end()
            if not (match["blank"] or match["string"] or match["char"]):
                found.append((match["name"] or match[0], line))
        line += text.count("\n", at, end)
        at = end
    return found


def never_built(predicate):
    """Whether the predicate of a `cfg` holds for tests or documentation alone."""
    if predicate[1:2] != ["("]:
        return predicate in (["test"], ["doc"])
    parts, depth = [[]], 0
    for text in predicate[2:-1]:
        depth += (text in OPEN) - (text in CLOSE)
        if text == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(text)
    verdicts = [never_built(part) for part in parts if part]
    return predicate[0] == "all" and any(verdicts) or predicate[0] == "any" and all(verdicts)
