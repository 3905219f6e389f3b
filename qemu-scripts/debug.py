# SPDX-License-Identifier: BSD-2-Clause
"""Commands for gdb that show the virtual-memory manager of the program it is attached to.

`debug.sh` starts gdb with this file. The manager's state is read through the types that the compiler
describes in the program's file, so nothing here knows a layout; only names of fields are known.
"""

import struct
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import gdb

sys.dont_write_bytecode = True  # leave nothing beside the scripts
sys.path.insert(0, str(Path(__file__).resolve().parent))

import debug_threads
from debug_threads import EXECUTE, READ, WRITE, extents_of
from debug_values import address, bytes_of, is_top, name_of, number, option, plain, region_nodes, tree, variant

MANAGER = "vmm::manager::vmm::Vmm<vmm::sel4::kernel::Sel4>"
OWN_SPACE = "vmm::sel4::kernel::OWN_SPACE"
PAGE_BITS = 12
# Bits of a chunk's `room` (untyped-alloc's state/room.rs).
MOVABLE, MIXED = 1 << 17, 1 << 18
# As untyped-alloc's dump.rs has them, in the order of their numbers in a chunk's `room` (state/room.rs).
KINDS = (
    "untypeds of 2^{size}",
    "threads",
    "endpoints",
    "notifications",
    "CNodes of 2^{size} slots",
    "frames of 2^{size}",
    "page tables of level {size}",
)


class Elf(NamedTuple):
    """Where an ELF file has what is read of it here, and its word."""

    header: str  # entry point; where the program headers begin, the bytes of one, how many they are
    segment: str  # type, address, bytes in memory, flags: in the order of `fields`
    fields: tuple
    word: str


ELF = {
    1: Elf("<24xII10xHH", "<I4xI8xII", ("type", "start", "length", "flags"), "<I"),
    2: Elf("<24xQQ14xHH", "<II8xQ16xQ", ("type", "flags", "start", "length"), "<Q"),
}


class Program:
    """What is known of the root task: its file, and where its page tables are."""

    # Of the root task, from its first instruction on: the register as a number, and as gdb has it.
    cr3 = None
    page_tables = None

    @staticmethod
    def read():
        """Its file, what that looks like, and the numbers of its header."""
        with open(gdb.current_progspace().filename, "rb") as file:
            content = file.read()
        elf = ELF[content[4]]
        return content, elf, struct.unpack_from(elf.header, content)

    @classmethod
    def segments(cls):
        """The writable segments of the root task's image: (address, bytes)."""
        content, elf, (_, table, size, count) = cls.read()
        for number in range(count):
            values = struct.unpack_from(elf.segment, content, table + number * size)
            segment = dict(zip(elf.fields, values))
            if segment["type"] == 1 and segment["flags"] & 2:
                yield segment["start"], segment["length"]

    @classmethod
    def entry(cls):
        """The address of the root task's first instruction."""
        return cls.read()[2][0]

    @classmethod
    def word(cls):
        """How struct packs a word of it."""
        return cls.read()[1].word


def page_tables():
    """The register that says where they are."""
    value = gdb.parse_and_eval("$cr3")
    value.fetch_lazy()
    return value


def use_page_tables(value):
    """Sets that register. It is a set of flags on x86_64, to which a number cannot be assigned."""
    gdb.set_convenience_variable("vmm_page_tables", value)
    gdb.execute("set $cr3 = $vmm_page_tables")
    gdb.execute("maintenance flush dcache", to_string=True)


@contextmanager
def root_task():
    """While this lasts memory is the root task's, whichever program was stopped."""
    if Program.cr3 is None:
        raise gdb.GdbError("the root task has not begun: attach with debug.sh")
    current = page_tables()
    elsewhere = int(current) != Program.cr3
    if elsewhere:
        use_page_tables(Program.page_tables)
    language = gdb.parameter("language")
    gdb.execute("set language rust", to_string=True)
    try:
        yield
    finally:
        gdb.execute(f"set language {language}", to_string=True)
        if elsewhere:
            use_page_tables(current)


def mapped(start, length):
    """The parts of a segment that are mapped, each with its bytes: the guard of main's stack is not."""
    first, memory = start, b""
    at, end = start, start + length
    while at < end:
        size = min(end - at, 4096 - at % 4096)
        try:
            memory += gdb.selected_inferior().read_memory(at, size).tobytes()
        except gdb.MemoryError:
            if memory:
                yield first, memory
            first, memory = at + size, b""
        at += size
    if memory:
        yield first, memory


class Vmm:
    """The manager of the stopped program."""

    def __init__(self):
        own = number(gdb.parse_and_eval(OWN_SPACE + ".v"))
        if own == 0:
            raise gdb.GdbError("no manager has been started yet")
        # It was moved to where it is, and stacks still hold copies of what it was, whole or not. Of
        # the whole ones it is the one that has made the most kernel calls; where none was made since,
        # the one that counts slots as they are.
        candidates = [vmm for vmm in self.candidates(own) if self.is_whole(vmm)]
        if not candidates:
            raise gdb.GdbError("the manager is not in the program's image")
        self.vmm = max(candidates, key=self.age)

    @staticmethod
    def candidates(own):
        """What points to the manager's own space as a manager does."""
        kind = gdb.lookup_type(MANAGER)
        offset = next(field.bitpos // 8 for field in kind.fields() if field.name == "own")
        wanted = struct.pack(Program.word(), own)
        for start, memory in (part for segment in Program.segments() for part in mapped(*segment)):
            length = len(memory)
            at = memory.find(wanted)
            while at >= 0:
                base = at - offset
                if at % len(wanted) == 0 and 0 <= base <= length - kind.sizeof:
                    yield gdb.Value(start + base).cast(kind.pointer()).dereference()
                at = memory.find(wanted, at + 1)

    @classmethod
    def is_whole(cls, vmm):
        """Whether nothing in it was overwritten, as far as can be told: constants from its first
        field to its last, tops of trees, and numbers that cannot be large."""
        alloc, pools = vmm["alloc"], vmm["pools"]
        pools = [pools[field] for field in pools.type.fields() if "::Pool<" in field.type.name]
        pools += [alloc[part]["pool"] for part in ("blocks", "chunks", "slots")]
        blocks = alloc["blocks"]
        trees = [blocks["leaves"], blocks["free"], blocks["coalescible"]]
        trees += [alloc["chunks"]["by_slot"], alloc["slots"]["by_base"], plain_struct(vmm["spaces"])]
        try:
            return (
                number(vmm["geometry"]["page_bits"]) == PAGE_BITS
                and all(calls < 1 << 32 for calls in cls.calls(vmm))
                and all(number(pool["free"]) <= number(pool["total"]) for pool in pools)
                and all(gdb.find_pc_line(number(pool["next"])).symtab for pool in pools)
                and all(is_top(tree["root"]) for tree in trees)
            )
        except gdb.MemoryError:
            return False

    @staticmethod
    def calls(vmm):
        """Kernel calls made, by kind."""
        counts = plain(vmm["kernel"]["counts"])
        return [number(counts[index]) for index in range(counts.type.range()[1] + 1)]

    @classmethod
    def age(cls, vmm):
        slots = vmm["alloc"]["slots"]
        windows = tree(slots["by_base"], "by_base", SLOT_WINDOW)
        exact = sum(number(window["free"]) for window in windows) == number(slots["free"])
        return sum(cls.calls(vmm)), number(vmm["serial"]), exact

    def spaces(self):
        return tree(plain_struct(self.vmm["spaces"]), "by_id", "vmm::state::space::Space")

    def space(self, wanted):
        for space in self.spaces():
            if space_number(space) == wanted:
                return space
        raise gdb.GdbError(f"there is no space {wanted}; `vmm spaces` lists them")

    def user_end(self):
        return number(self.vmm["geometry"]["user_end"])


def space_number(space):
    """The number in a space's id; the other part of it is its serial number."""
    return number(plain(space["id"])["number"])


def plain_struct(value):
    """The tree in `Spaces`, a structure of one field."""
    return value[value.type.fields()[0]]


def letters(rights):
    return "".join(letter if rights & right else "-" for letter, right in zip("rwx", (READ, WRITE, EXECUTE)))


SLOT_WINDOW = "untyped_alloc::state::slot_window::SlotWindow"


def print_spaces(vmm):
    for space in vmm.spaces():
        tables = number(space["shadow"]["value"]["value"]["count"])
        regions = number(space["regions"]["value"]["value"]["count"])
        print(
            f"space {space_number(space)}: {number(space['mapped_pages'])} pages mapped, "
            f"{tables} page tables, {regions} regions and marks, root in slot {number(space['root']):#x}"
        )


def print_regions(vmm, space):
    """As `Vmm::dump` prints a space."""
    tables = number(space["shadow"]["value"]["value"]["count"])
    pages = number(space["mapped_pages"])
    print(f"space {space_number(space)}: {pages} pages mapped, {tables} page tables")
    extents, end = list(extents_of(space)), 0
    for region in region_nodes(space):
        start, spec = number(region["start"]), plain(region["spec"])
        if start > end:
            print(f"  {end:#010x}  … {(start - end) >> PAGE_BITS} pages free")
        mark, size = variant(region["edge"])[0], number(spec["pages"])
        end = start
        if mark == "Start":
            print(f'  {start:#010x}  [  {size:4} pages reserved  "{name_of(spec)}"')
        elif mark == "End":
            print(f'  {start:#010x}  ]  end of "{name_of(spec)}"')
        else:
            end = start + (size << PAGE_BITS)
            print_region(spec, start, end, extents)
    print(f"  {end:#010x}  … {(vmm.user_end() - end) >> PAGE_BITS} pages free")


def print_region(spec, start, end, extents):
    mapped = 0
    for first, frames, bits, *_ in extents:
        last = first + (frames << bits)
        mapped += max(0, min(last, end) - max(first, start)) >> PAGE_BITS
    below, above = number(spec["guard_below"]), number(spec["guard_above"])
    guards = f", guards {below}+{above}" if below + above else ""
    kind = variant(spec["kind"])[0]
    print(
        f"  {start:#010x}  {letters(rights_of(spec))} {(end - start) >> PAGE_BITS:4} pages, "
        f'{mapped} mapped{guards}  {kind} "{name_of(spec)}"'
    )


def rights_of(spec):
    return int.from_bytes(bytes_of(spec["rights"]), "little")


def print_extents(space):
    for start, frames, bits, rights, attributes, first in extents_of(space):
        pages = frames << (bits - PAGE_BITS)
        cow = ", copy-on-write" if attributes & 4 else ""
        source = ("own", "copies", "the caller's", "physical")[attributes >> 5 & 3]
        print(
            f"  {start:#010x}  {letters(rights)} {pages:4} pages of 2^{bits}, {source}, "
            f"from slot {first:#x} on{cow}"
        )


def ancestors(block):
    """What a block was split off, innermost first."""
    while (above := option(block["parent"])) is not None:
        block = above.dereference()
        yield block


def print_untypeds(vmm):
    """As `Allocator::dump_untypeds` prints them."""
    blocks, devices, told = vmm.vmm["alloc"]["blocks"], 0, set()
    total, free = number(blocks["total_bytes"]), number(blocks["free_bytes"])
    print(f"untypeds: {free} of {total} bytes of RAM in no object")
    for leaf in tree(blocks["leaves"], "by_address", "untyped_alloc::state::nodes::Block"):
        above = list(ancestors(leaf))
        if is_device(leaf) and not above and variant(leaf["state"])[0] == "Free":
            devices += 1
            continue
        for depth, block in enumerate([*reversed(above), leaf]):
            if int(block.address) not in told:
                told.add(int(block.address))
                print("  " * (depth + 1) + describe_block(block))
    print(f"  and {devices} untypeds of device memory that is not in use")


def is_device(block):
    return variant(block["group"])[0] == "Device"


def describe_block(block):
    state, inner = variant(block["state"])
    device = is_device(block)
    if state == "Free":
        what = "free, to be cleared" if number(block["dirty"]) and not device else "free"
    elif state == "Split":
        what = "split"
    elif state == "Clearing":
        what = "being cleared"
    else:
        what = describe_chunk(inner[inner.type.fields()[0]].dereference())
    place = f"{number(block['paddr']):#010x} 2^{number(block['size_bits'])}"
    return f"{place} {what}" + (", device" if device else "")


def describe_chunk(chunk):
    count = number(chunk["count"])
    mask = (1 << count) - 1
    maps = chunk["objects"]
    free, flag = (int.from_bytes(bytes_of(maps[f]), "little") & mask for f in ("free", "flag"))
    room = number(chunk["room"])
    name = KINDS[room >> 8 & 0xFF].format(size=room & 0xFF)
    if name == "page tables of level 0":
        name = "VSpace roots"
    ready, clear = free.bit_count(), (free & flag).bit_count()
    mobility = ", some movable" if room & MIXED else ", movable" if room & MOVABLE else ""
    return f"{number(chunk['live'])} of {count} {name} in use, {ready} ready, {clear} of them clear{mobility}"


def print_slots(vmm):
    """As `Allocator::dump_slots` prints them."""
    alloc = vmm.vmm["alloc"]
    slots, cspace = alloc["slots"], alloc["cspace"]
    unopened = number(cspace["info"]["end_free"]) - number(cspace["unopened"])
    free, capacity = number(slots["free"]), number(slots["capacity"])
    print(f"slots: {free} of {capacity} free, {unopened} more not looked at yet")
    for window in tree(slots["by_base"], "by_base", SLOT_WINDOW):
        whose = "the initial CNode" if option(window["cnode"]) is None else "a CNode of ours"
        free, capacity = number(window["free"]), number(window["capacity"])
        print(f"  {number(window['base']):#010x}  {free} of {capacity} free, in {whose}")


class Command(gdb.Command):
    """Shows the manager: vmm spaces, vmm regions SPACE, vmm extents SPACE, vmm untypeds, vmm slots,
vmm threads, vmm backtrace BADGE, vmm requests, vmm quarantine.

SPACE is a number that `vmm spaces` lists; without one it is the manager's own. BADGE is one that
`vmm threads` lists.
While the manager is in the midst of a request, what it changes may be half done."""

    SUBJECTS = ("spaces", "regions", "extents", "untypeds", "slots", "threads", "backtrace", "requests",
                "quarantine")

    def __init__(self):
        super().__init__("vmm", gdb.COMMAND_DATA)

    def complete(self, text, word):
        return [subject for subject in self.SUBJECTS if subject.startswith(word)]

    def invoke(self, argument, from_tty):
        words = gdb.string_to_argv(argument)
        if not words or words[0] not in self.SUBJECTS or len(words) > 2:
            raise gdb.GdbError("vmm " + " | ".join(self.SUBJECTS) + "  (`help vmm` says more)")
        subject = words[0]
        with root_task():
            vmm = Vmm()
            if subject in ("regions", "extents"):
                own = space_number(vmm.vmm["own"].dereference())
                space = vmm.space(int(words[1], 0) if len(words) > 1 else own)
            if subject == "spaces":
                print_spaces(vmm)
            elif subject == "regions":
                print_regions(vmm, space)
            elif subject == "extents":
                print_extents(space)
            elif subject == "untypeds":
                print_untypeds(vmm)
            elif subject == "slots":
                print_slots(vmm)
            elif subject == "threads":
                debug_threads.print_threads(vmm)
            elif subject == "requests":
                debug_threads.print_requests(vmm)
            elif subject == "quarantine":
                debug_threads.print_quarantine(vmm)
            elif len(words) == 1:
                raise gdb.GdbError("vmm backtrace BADGE: `vmm threads` lists them")
            else:
                debug_threads.print_backtrace(vmm, int(words[1], 0))


class Begin(gdb.Command):
    """Runs the machine to the root task's first instruction. debug.sh does it."""

    def __init__(self):
        super().__init__("vmm-begin", gdb.COMMAND_RUNNING)

    def invoke(self, argument, from_tty):
        gdb.execute(f"thbreak *{Program.entry():#x}", to_string=True)
        gdb.execute("continue", to_string=True)
        if int(gdb.parse_and_eval("$pc")) != Program.entry():
            raise gdb.GdbError("the machine stopped before the root task began")
        Program.page_tables = page_tables()
        Program.cr3 = int(Program.page_tables)
        debug_threads.Machine.begin(Program.word())


Command()
Begin()
