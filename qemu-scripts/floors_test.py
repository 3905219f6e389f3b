# SPDX-License-Identifier: BSD-2-Clause
"""Tests of floors.py: made-up trees with one offence each, and the same without it."""

import contextlib
import io
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True  # leave nothing beside the scripts

import floors

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "ARCHITECTURE.md"
CLIENT = "```floors\nvmm/client/src: types messages protocol calls runtime\n```\n"
LOW = "pub struct Low;\n"
SIDEWAYS = "are on the same floor, and neither may use the other"
# Three floors, the middle one of two rooms.
LIST = "a/src: low left | right high"
ROOMS = {
    "lib.rs": "mod high; mod left; mod low; mod right;\npub use low::Low;\npub use high::High;\n",
    "low.rs": LOW,
    "left.rs": "use crate::low::Low;\npub struct Left(Low);\n",
    "right/mod.rs": "mod inner;\npub use inner::Right;\n",
    "right/inner.rs": "use crate::low::Low;\npub struct Right(Low);\n",
    "high.rs": "use crate::{left::Left, right::Right};\npub struct High(Left, Right);\n",
}
# What is planted in this tree, in the order in which it is told: a file, its room, a room above that,
# and what it may not use of it.
OFFENCES = [
    ("roottask/src/failure.rs", "failure", "thread", "crate::thread::Thread"),
    ("tests/src/model/state/tables.rs", "state", "kernel", "super::super::ModelKernel"),
    ("vmm/client/src/types/limits.rs", "types", "protocol", "crate::protocol::Request"),
]


class Tree(unittest.TestCase):
    """A tree of made-up crates, and what is said of it."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def write(self, files, below="a/src"):
        """Writes files of a crate."""
        for name, text in files.items():
            path = self.folder / below / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def run_floors(self, lists=LIST, block="floors"):
        """The exit code, and the lines that were printed."""
        document = self.folder / "ARCHITECTURE.md"
        document.write_text(f"# Floors\n\n```{block}\n{lists}\n```\n", encoding="utf-8")
        return self.run_on(document)

    def run_on(self, document):
        """The exit code, and the lines that were printed."""
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            code = floors.main(document)
        return code, printed.getvalue().splitlines()

    def accept(self, files, lists=LIST):
        """Nothing is wrong with the rooms when these files replace theirs."""
        self.write({**ROOMS, **files})
        code, printed = self.run_floors(lists)
        self.assertEqual(code, 0, printed)
        self.assertRegex(printed[0], r"^floors: \d+ files, \d+ imports, \d+ rooms: nothing goes up")

    def refuse(self, files, *expected, lists=LIST):
        """Exactly this is wrong when these files replace theirs."""
        self.write({**ROOMS, **files})
        code, printed = self.run_floors(lists)
        self.assertEqual((code, printed), (1, list(expected)))


class Imports(Tree):
    """Imports between the rooms of a crate."""

    UP = "low is below high, and may not use it"

    def refuse_in_low(self, code, line, path):
        """`low.rs` may not say this."""
        self.refuse({"low.rs": code}, f"a/src/low.rs:{line}: {self.UP}: {path}")

    def test_down_is_fine_and_is_counted(self):
        self.write({**ROOMS, "low.rs": LOW + "use core::fmt;\nfn f() { fmt::f() }\n"})
        code, printed = self.run_floors()
        # Of lib.rs two, of left, right's face, right and high one each, and one more of high.
        self.assertEqual(
            (code, printed), (0, ["floors: 6 files, 7 imports, 4 rooms: nothing goes up"])
        )

    def test_up(self):
        self.refuse_in_low(LOW + "use crate::high::High;\n", 2, "crate::high::High")
        self.accept({"high.rs": "use crate::low::Low;\npub struct High;\n"})

    def test_sideways(self):
        self.refuse(
            {"left.rs": "use crate::right::Right;\npub struct Left(Right);\n"},
            f"a/src/left.rs:1: left and right {SIDEWAYS}: crate::right::Right",
        )
        self.refuse(
            {
                "left.rs": ROOMS["left.rs"],
                "right/inner.rs": "\nuse crate::left::Left;\npub struct Right(Left);\n",
            },
            f"a/src/right/inner.rs:2: right and left {SIDEWAYS}: crate::left::Left",
        )
        self.accept({"right/inner.rs": "\nuse crate::left::Left;\npub struct Right(Left);\n"},
                    "a/src: low left\n  right high")

    def test_within_a_room(self):
        self.accept({
            "right/mod.rs": "mod inner;\nmod outer;\npub use inner::Right;\n",
            "right/outer.rs":
                "use super::Right;\nuse super::inner;\nuse crate::right::inner::Right as R;\n",
        })

    def test_path_in_code(self):
        self.refuse_in_low(LOW + "fn f() { crate::high::f::<u8>() }\n", 2, "crate::high::f")
        self.refuse_in_low("pub struct Low(crate::high::High);", 1, "crate::high::High")
        # A name counts where it is imported, and not again; a module's name leads further.
        uses = LOW + "use crate::high::High;\nfn f() { High::f() }\n"
        self.refuse_in_low(uses, 2, "crate::high::High")
        self.accept({"low.rs": LOW, "high.rs": "struct High;\nfn f() { crate::low::f() }\n"})

    def test_path_from_super(self):
        self.refuse_in_low("pub struct Low(super::high::High);", 1, "super::high::High")
        files = {"right/inner.rs": "use super::super::high;\npub struct Right(high::High);\n"}
        sentence = "right is below high, and may not use it"
        self.refuse(
            {"low.rs": ROOMS["low.rs"], **files},
            f"a/src/right/inner.rs:1: {sentence}: super::super::high",
            f"a/src/right/inner.rs:2: {sentence}: high::High",
        )
        self.accept({"right/inner.rs": "use super::super::low;\npub struct Right(low::Low);\n"})

    def test_super_of_an_inline_module(self):
        # Its `super` is the file; the file's own is the crate.
        self.refuse_in_low(
            "pub struct Low;\nmod inline {\n    use super::super::high::High;\n}\n",
            3, "super::super::high::High",
        )
        self.accept({"low.rs": LOW + "mod high {}\nmod inline {\n    use super::high;\n}\n"})

    def test_nested_braces(self):
        self.refuse(
            {"low.rs": LOW + "use crate::{low::{self, Low as L}, high::{self, a::{b, c}}};\n"},
            f"a/src/low.rs:2: {self.UP}: crate::high",
            f"a/src/low.rs:2: {self.UP}: crate::high::a::b",
            f"a/src/low.rs:2: {self.UP}: crate::high::a::c",
        )
        high = "use crate::{low::{self, Low}, left::{a::{b, c}}};\npub struct High;\n"
        self.accept({"low.rs": LOW, "high.rs": high})

    def test_name_that_lib_re_exports(self):
        self.refuse_in_low("pub struct Low(crate::High);", 1, "crate::High")
        self.refuse_in_low(LOW + "use crate::{High as H};", 2, "crate::High")
        self.accept({"low.rs": LOW, "high.rs": "pub struct High(crate::Low);\n"})

    def test_name_that_lib_re_exports_with_a_star(self):
        lib = "mod high; mod left; mod low; mod right;\npub use low::*;\npub use high::*;\n"
        self.refuse({"lib.rs": lib, "low.rs": "pub struct Low(crate::High);"},
                    f"a/src/low.rs:1: {self.UP}: crate::High")
        self.accept({"lib.rs": lib, "high.rs": "pub struct High(crate::Low);",
                     "low.rs": "pub struct Low;"})

    def test_name_that_lib_defines(self):
        lib = ROOMS["lib.rs"] + "pub struct Top;\n"
        self.refuse({"lib.rs": lib, "low.rs": "pub struct Low(crate::Top);"},
                    "a/src/low.rs:1: low uses what the face above all rooms defines: crate::Top")
        self.accept({"lib.rs": lib, "low.rs": "pub struct Low;"})

    def test_name_that_a_room_hands_on(self):
        # What is handed on is from below, the room that hands it on is above.
        files = {"high.rs": "pub use crate::left::Left;\npub struct High;\n"}
        self.refuse(
            {**files, "right/inner.rs": "pub struct Right(crate::high::Left);"},
            f"a/src/right/inner.rs:1: right and left {SIDEWAYS}: crate::high::Left",
            "a/src/right/inner.rs:1: right is below high, and may not use it: crate::high::Left",
        )
        self.accept({**files, "right/inner.rs": ROOMS["right/inner.rs"]})

    def test_exported_macro(self):
        macro = "#[macro_export]\nmacro_rules! shout { () => { $crate::low::f() } }\n"
        high = macro + "pub struct High;\n"
        self.refuse({"high.rs": high, "low.rs": "pub struct Low;\nfn f() { crate::shout!() }\n"},
                    f"a/src/low.rs:2: {self.UP}: crate::shout")
        low = macro.replace("low", "high") + LOW
        self.refuse({"high.rs": ROOMS["high.rs"], "low.rs": low},
                    f"a/src/low.rs:2: {self.UP}: crate::high::f")
        self.accept({"low.rs": low.replace("high", "low"),
                     "high.rs": "struct High;\nfn f() { crate::shout!() }"})

    def test_tests_are_exempt(self):
        test = "mod tests {\n    use crate::high::High;\n}\n"
        self.refuse_in_low(LOW + test, 3, "crate::high::High")
        self.accept({"low.rs": LOW + f"#[cfg(test)]\n#[allow(dead_code)]\n{test}"})
        self.accept({"low.rs": LOW + "#[cfg(all(test, unix))]\nuse crate::high::High;\n"})
        test = "#[cfg(test)]\n#[inline]\nfn f<A, B>() { crate::high::f() }\n"
        self.accept({"low.rs": LOW + test})
        # What is built without tests, too.
        self.refuse_in_low(LOW + "#[cfg(any(test, unix))]\nuse crate::high::High;\n", 3,
                           "crate::high::High")
        # What comes after a test is not of it.
        after = LOW + "#[cfg(test)]\nfn f<A, B>() {}\nuse crate::high::High;\n"
        self.refuse_in_low(after, 4, "crate::high::High")

    def test_tests_in_a_file_are_exempt(self):
        lib, tests = ROOMS["lib.rs"], {"tests.rs": "use crate::high::High;\n"}
        self.refuse({"lib.rs": lib + "mod tests;\n", **tests},
                    "ARCHITECTURE.md:4: a/src/tests is on no floor")
        self.accept({"lib.rs": lib + "#[cfg(test)]\nmod tests;\n", **tests})

    def test_documentation_is_exempt(self):
        self.accept({"low.rs": LOW + "#[cfg(doc)]\nuse crate::high::High;\n"})

    def test_comments_and_strings_are_ignored(self):
        self.accept({"low.rs": "\n".join([
            "//! use crate::high::High;",
            "pub struct Low; // crate::high::High",
            "/* /* nested */ use crate::high::High; */",
            'const A: &str = "use crate::high::High; \\" crate::high::High";',
            'const B: &str = r#"a " crate::high::High"#;',
            "const C: [char; 3] = ['\"', '\\'', '\\u{22}'];",
            "fn f<'a>(_: &'a str) {}",
        ])})
        # The end of each of them is found, and the line.
        after = "/* a\n/* b */ */ const C: char = '\"';\nuse crate::high::High;\nstruct Low;"
        self.refuse_in_low(after, 3, "crate::high::High")

    def test_visibility_is_no_import(self):
        self.accept({"low.rs": LOW + "pub(in crate::high) struct A;\npub(super) fn f() {}\n"})
        self.refuse_in_low(LOW + "pub(crate) use crate::high::High;\n", 2, "crate::high::High")

    def test_other_crates_are_not_its_own(self):
        # The one has the name of a room, the other of a name in one.
        uses = "use high::High;\nuse ::high::Other;\nuse core::left;\npub struct Low(left::X);"
        self.accept({"low.rs": uses})


class Circles(Tree):
    """Imports among the files of a room."""

    def test_two_files(self):
        face = "mod inner;\nmod outer;\npub use inner::Right;\n"
        inner = {
            "right/mod.rs": face,
            "right/inner.rs": "use super::outer::O;\npub struct Right(O);\n",
        }
        self.refuse(
            {**inner, "right/outer.rs": "\nuse super::Right;\npub struct O;\n"},
            "a/src/right/inner.rs:1: a circle of imports, right/inner.rs → right/outer.rs → "
            "right/inner.rs: super::outer::O",
        )
        self.accept({**inner, "right/outer.rs": "use crate::low::Low;\npub struct O;\n"})

    def test_a_face_that_uses_what_uses_it(self):
        face = "mod inner;\npub use inner::Right;\n"
        inner = {"right/inner.rs": "use super::Face;\npub struct Right(Face);\n"}
        self.refuse(
            {**inner, "right/mod.rs": f"{face}pub struct Face(inner::X);\n"},
            "a/src/right/inner.rs:1: a circle of imports, right/inner.rs → right/mod.rs → "
            "right/inner.rs: super::Face",
        )
        self.accept({**inner, "right/mod.rs": f"{face}pub struct Face;\n"})


class Lists(Tree):
    """What the document lists, and what is there."""

    def test_room_that_is_not_listed(self):
        for name in ("new.rs", "new/mod.rs", "new/part.rs"):
            with self.subTest(name=name):
                self.refuse({name: ""}, "ARCHITECTURE.md:4: a/src/new is on no floor")
                self.accept({}, "a/src: low left | right high new")
                (self.folder / "a/src" / name).unlink()

    def test_room_that_is_not_there(self):
        self.refuse({}, "ARCHITECTURE.md:4: a/src/attic is on a floor, but not there",
                    lists=LIST + " attic")
        self.accept({"attic.rs": ""}, LIST + " attic")

    def test_room_that_is_listed_twice(self):
        self.refuse({}, "ARCHITECTURE.md:5: low is listed twice", lists=LIST + "\n  low")

    def test_folder_of_no_crate(self):
        self.refuse({}, "ARCHITECTURE.md:5: b/src is no folder of a crate",
                    lists=LIST + "\nb/src: x")

    def test_folder_that_is_not_there(self):
        self.refuse({}, "ARCHITECTURE.md:5: a/src/attic is no folder of a crate",
                    lists=LIST + "\na/src/attic: x")

    def test_line_that_is_no_list(self):
        for line in ("low left", "  low: left"):
            self.refuse({}, "ARCHITECTURE.md:4: this line is no `FOLDER: ROOM ...`",
                        lists=f"{line}\n{LIST}")

    def test_no_list_at_all(self):
        self.write(ROOMS)
        self.assertEqual(self.run_floors(block="text"),
                         (1, ["ARCHITECTURE.md:1: no floors are listed"]))

    def test_module_by_path(self):
        lib = ROOMS["lib.rs"] + '#[path = "../../elsewhere.rs"]\nmod low2;\n'
        self.refuse({"lib.rs": lib}, "a/src/lib.rs:4: a module by #[path] belongs to no room")
        self.accept({"lib.rs": ROOMS["lib.rs"]})

    def test_floors_within_a_room(self):
        lists = LIST + "\na/src/right: inner outer"
        face = {"right/mod.rs": "mod inner;\nmod outer;\npub use inner::Right;\n"}
        self.refuse(
            {
                **face,
                "right/outer.rs": "struct O;",
                "right/inner.rs": "struct Right(super::outer::O);",
            },
            "a/src/right/inner.rs:1: inner is below outer, and may not use it: super::outer::O",
            lists=lists,
        )
        right = {"right/outer.rs": "use super::Right;", "right/inner.rs": "pub struct Right;"}
        self.accept({**face, **right}, lists)

    def test_programs_are_crates_of_their_own(self):
        lists = LIST + "\na/src/bin/big: one two"
        program = {
            "bin/big/main.rs": "mod one; mod two;",
            "bin/big/two.rs": "use crate::one::One;\n",
        }
        self.accept({**program, "bin/big/one.rs": "pub struct One;"}, lists)
        self.refuse(
            {**program, "bin/big/one.rs": "pub struct One(crate::two::Two);"},
            "a/src/bin/big/one.rs:1: one is below two, and may not use it: crate::two::Two",
            lists=lists,
        )


class Crates(Tree):
    """Dependencies between crates."""

    LISTS = LIST + "\ncrates: a b | c"

    def manifests(self, **dependencies):
        """Writes a workspace of three crates."""
        self.write({"Cargo.toml": '[workspace]\nmembers = ["a", "b", "c"]\n'
                    '[workspace.dependencies]\nsee = { package = "c", path = "c" }\n'}, ".")
        for name in ("a", "b", "c"):
            text = f'[package]\nname = "{name}"\n' + dependencies.get(name, "[dependencies]\n")
            self.write({"Cargo.toml": text}, name)

    def test_down(self):
        self.manifests(b='[dependencies]\na = { path = "../a" }\nother = "1"\n')
        self.accept({}, self.LISTS)

    def test_up(self):
        up = "a is below c, and may not use it"
        for text, line in (
            ('[dependencies]\nother = "1"\nc = { path = "../c" }\n', 5),
            ('[dependencies]\nsee.workspace = true\n', 4),
            ('[dependencies.c]\npath = "../c"\n', 3),
            ('[build-dependencies]\nc = "1"\n', 4),
            ('[target.\'cfg(unix)\'.dependencies]\nx = { package = "c", path = "../c" }\n', 4),
        ):
            with self.subTest(text=text):
                self.manifests(a=text)
                self.refuse({}, f"a/Cargo.toml:{line}: {up}", lists=self.LISTS)

    def test_sideways(self):
        self.manifests(b='[dependencies]\nc = { path = "../c" }\n')
        self.refuse({}, f"b/Cargo.toml:4: b and c {SIDEWAYS}",
                    lists=self.LISTS)
        self.accept({}, LIST + "\ncrates: a c b")

    def test_tests_may_use_all(self):
        self.manifests(a='[dev-dependencies]\nc = { path = "../c" }\n')
        self.accept({}, self.LISTS)

    def test_each_crate_is_listed(self):
        self.manifests()
        self.refuse({}, "ARCHITECTURE.md:5: crate c is on no floor", lists=LIST + "\ncrates: a b")
        self.refuse({}, "ARCHITECTURE.md:5: crate d is on a floor, but not there",
                    lists=self.LISTS + " d")


class RealTree(Tree):
    """This tree, copied."""

    def test_a_use_that_goes_up_is_refused(self):
        ignore = shutil.ignore_patterns(".git", "target", "build", "corpus", "artifacts")
        shutil.copytree(ROOT, self.folder, ignore=ignore, dirs_exist_ok=True)
        document = self.folder / "ARCHITECTURE.md"
        if not DOCUMENT.is_file():
            document.write_text(CLIENT, encoding="utf-8")
        code, printed = self.run_on(document)
        self.assertEqual(code, 0, printed)
        expected = []
        for file, low, high, path in OFFENCES if DOCUMENT.is_file() else OFFENCES[-1:]:
            planted = self.folder / file
            text = planted.read_text(encoding="utf-8")
            planted.write_text(f"{text}use {path};\n", encoding="utf-8")
            sentence = f"{low} is below {high}, and may not use it: {path}"
            expected.append(f"{file}:{len(text.splitlines()) + 1}: {sentence}")
        self.assertEqual(self.run_on(document), (1, expected))


if __name__ == "__main__":
    unittest.main()
