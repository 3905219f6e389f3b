# SPDX-License-Identifier: BSD-2-Clause
"""For gdb: threads that are registered, what they wait for, where they are; what is in quarantine."""

import struct

import gdb

import symbols
from debug_values import name_of, number, option, plain, region_nodes, tree, variant

PAGE_BITS = 12
THREAD = "vmm::state::threads::Thread"
COPIES = "vmm::state::cap_copies::CapCopies"
SINGLE_COPIES = "vmm::state::single_copies::SingleCopies"
# As in sel4/src/backtrace.rs.
MOST_CALLERS = 24


class Kernel:
    """Where the kernel has what is read of it here; by the bytes of a word."""

    def __init__(self, window, thread, registers, frame, stack, instruction):
        # Where it sees all physical memory.
        self.window = window
        # Where in the object is the thread: behind its CNode of 16 slots; the registers in that.
        self.thread, self.registers = thread, registers
        self.frame, self.stack, self.instruction = frame, stack, instruction


# As registerset.h numbers the registers: behind the FPU's 512 bytes.
KERNELS = {
    4: Kernel(0xE0000000, 16 << 4, 512, 6, 17, 14),
    8: Kernel(0xFFFFFF8000000000, 16 << 5, 512, 4, 16, 14),
}
# The instruction that enters the kernel on IA32, where what syscall.rs pushed lies above the stack
# pointer, the frame pointer last.
SYSENTER, FRAME_IN_SYSCALL = b"\x0f\x34", 8


class Machine:
    """What is known since the root task's first instruction."""

    word = None
    kernel = None
    running = None
    first_thread = None

    @classmethod
    def begin(cls, word):
        """`word`: how struct packs one. The thread that runs is the first."""
        cls.word, cls.kernel = word, KERNELS[struct.calcsize(word)]
        # Looked up while the language is C's, which knows symbols without types.
        cls.running = int(gdb.parse_and_eval("(long)&ksCurThread")) & (1 << 8 * struct.calcsize(word)) - 1
        cls.first_thread = cls.current_thread()

    @classmethod
    def words(cls, address, count=1):
        """Words at an address that is mapped now."""
        size = struct.calcsize(cls.word)
        memory = gdb.selected_inferior().read_memory(address, size * count).tobytes()
        return struct.unpack(f"<{count}{cls.word[-1]}", memory)

    @classmethod
    def current_thread(cls):
        """The address of the kernel's record of the thread that runs."""
        return cls.words(cls.running)[0]


def threads(vmm):
    """All that are registered: the node, and what is known of it."""
    for node in tree(vmm.vmm["threads"]["by_badge"], "by_badge", THREAD):
        info = option(node["info"])
        if info is not None:
            yield node, info


def print_threads(vmm):
    """A line for each."""
    count = 0
    for node, info in threads(vmm):
        waits = option(node["waiting"])
        print(
            f'badge {number(node["badge"])}: "{name_of(info)}" in space {number(plain(info["space"])["number"])}, '
            f"TCB in slot {number(info['tcb']):#x}, faults go to slot {number(info['fault_endpoint']):#x}"
            + ("" if waits is None else ", waits for its pager")
        )
        count += 1
    print(f"{count} threads are registered")


def print_requests(vmm):
    """Faults that wait for a pager, a line for each, the oldest of each queue first."""
    count = 0
    for node in tree(vmm.vmm["requests"]["by_request"], "by_request", THREAD):
        waiting = option(node["waiting"])
        request = waiting["request"]
        print(
            f"ticket {number(request['ticket'])} of queue {number(request['queue'])}: badge {number(node['badge'])} "
            f"waits for page {number(request['page'])} of token {number(request['token'])}, "
            f"touching {number(request['fault']['address']):#x}"
        )
        count += 1
    print(f"{count} requests wait")


def print_quarantine(vmm):
    """What the kernel would not take back, as `Stats::quarantined` counts it."""
    count = 0
    for space in vmm.spaces():
        for region in region_nodes(space):
            spec = plain(region["spec"])
            if variant(region["edge"])[0] == "Region" and variant(spec["kind"])[0] == "Quarantine":
                print(f'region of space {number(plain(space["id"])["number"])} at {number(region["start"]):#x}: '
                      f'{number(spec["pages"])} pages, "{name_of(spec)}"')
                count += 1
    for copies in tree(vmm.vmm["refcounts"]["runs"]["by_slot"], "by_slot", COPIES):
        if number(copies["quarantined"]):
            print(f"copied capabilities from slot {number(copies['first']):#x} on: {number(copies['live'])}")
            count += 1
    for copies in tree(vmm.vmm["refcounts"]["singles"]["by_slot"], "by_slot", SINGLE_COPIES):
        if number(copies["quarantined"]):
            print(f"copied capabilities among 32 from slot {number(copies['first']):#x} on: "
                  f"{number(copies['quarantined']).bit_count()}")
            count += 1
    slots = vmm.vmm["temp_slots"]
    for index in range(2):
        held = option(slots["held"][index])
        if held is not None and number(held["left_to_us"]):
            print(f"a frame that is mapped at a temporary slot: slot {number(held['frame']):#x}")
            count += 1
    print(f"{count} in quarantine")


WRITE, READ, EXECUTE = 1, 2, 8  # as untyped-alloc has them


def extents_of(space):
    """Extents of a space: (start, frames, size, rights, attributes, first slot)."""
    extents = space["extents"]["value"]["value"]
    for node in tree(extents["by_start"], "by_start", "vmm::state::extent_node::ExtentNode"):
        start = number(node["start"])
        kind, content = variant(node["content"])
        if kind == "Run":
            run = content["__0"]
            marked, attributes = number(run["size_and_marks"]), number(run["attributes"])
            # Beside the size there are two marks: given up, and may be run.
            bits, execute = marked & 0x3F, marked & 0x40
            frames = number(run["count"])
            yield start, frames, bits, rights(attributes, execute), attributes, number(run["first"])
            continue
        window = content["__0"].dereference()
        bits, present = number(window["size_bits"]), number(window["present"])
        block = start & ~((16 << bits) - 1)
        for index in range(16):
            if present >> index & 1:
                attributes = number(window["attributes"][index])
                # What says of an extent that it is strided says of a page that it may be run.
                allowed, frame = rights(attributes, attributes & 0x80), number(window["frames"][index])
                yield block + (index << bits), 1, bits, allowed, attributes & 0x7F, frame


def rights(attributes, execute):
    return attributes & (READ | WRITE) | (EXECUTE if execute else 0)


class Memory:
    """Physical memory by the manager's records."""

    def __init__(self, vmm):
        self.vmm = vmm

    def physical(self, slot):
        """The physical address of the object that a slot has the capability of; None if not known."""
        for copies in tree(self.vmm.vmm["refcounts"]["runs"]["by_slot"], "by_slot", COPIES):
            first = number(copies["first"])
            if first <= slot < first + number(copies["count"]):
                slot = number(copies["origin"]) + slot - first
                break
        for chunk in tree(self.vmm.vmm["alloc"]["chunks"]["by_slot"], "by_slot", "untyped_alloc::state::nodes::Chunk"):
            first, count = number(chunk["first"]), number(chunk["count"])
            if first <= slot < first + count:
                block = option(chunk["block"]).dereference()
                size = (1 << number(block["size_bits"])) // (1 << (count - 1).bit_length())
                return number(block["paddr"]) + (slot - first) * size
        return None

    def words(self, space, address, count):
        """Words of a space; None where they are not mapped."""
        if number(plain(space["id"])["number"]) == number(plain(self.vmm.vmm["own"].dereference()["id"])["number"]):
            try:
                return Machine.words(address, count)
            except gdb.MemoryError:
                return None
        for start, frames, bits, _, _, first in extents_of(space):
            index = address - start >> bits
            if 0 <= index < frames and (address & 4095) + 8 * count <= 4096:
                base = self.physical(first + index)
                if base is not None:
                    return Machine.words(Machine.kernel.window + base + (address & (1 << bits) - 1), count)
        return None


def registers(memory, tcb):
    """Instruction, frame and stack pointer of a thread; None if its TCB is not known."""
    kernel = Machine.kernel
    record = Machine.first_thread
    if tcb != 1:
        base = memory.physical(tcb)
        if base is None:
            return None
        record = kernel.window + base + kernel.thread
    mask = (1 << 8 * struct.calcsize(Machine.word)) - 1
    letter = "r" if struct.calcsize(Machine.word) == 8 else "e"
    now = [int(gdb.newest_frame().read_register(f"{letter}{name}")) & mask for name in ("ip", "bp", "sp")]
    if record == Machine.current_thread() and now[0] < kernel.window:
        return now
    saved = Machine.words(record + kernel.registers, 19)
    return [saved[index] for index in (kernel.instruction, kernel.frame, kernel.stack)]


def callers(memory, space, instruction, frame, stack):
    """Where each function goes back to, the innermost first, as sel4/src/backtrace.rs finds them."""
    size = struct.calcsize(Machine.word)
    # It is at that instruction, or, when the call is done, behind it.
    behind = instruction - len(SYSENTER)
    code = memory.words(space, behind & -size, 3) if size == 4 else None
    if code and SYSENTER in (struct.pack("<3I", *code)[behind % size :][at : at + 2] for at in (0, 2)):
        frame = (memory.words(space, stack + FRAME_IN_SYSCALL, 1) or [0])[0]
    found = []
    while frame % size == 0 and len(found) < MOST_CALLERS:
        words = memory.words(space, frame, 2)
        if words is None or words[0] == 0:
            break
        found.append(words[1])
        if words[0] <= frame:
            break
        frame = words[0]
    return found


def print_backtrace(vmm, badge):
    """Where the registered thread with this badge is, as a fault report of it would say."""
    for node, info in threads(vmm):
        if number(node["badge"]) == badge:
            break
    else:
        raise gdb.GdbError(f"no thread is registered with badge {badge}; `vmm threads` lists them")
    memory = Memory(vmm)
    found = registers(memory, number(info["tcb"]))
    if found is None:
        raise gdb.GdbError(f"the TCB in slot {number(info['tcb']):#x} is not the manager's")
    back = callers(memory, vmm.space(number(plain(info["space"])["number"])), *found)
    line = f"  backtrace of {name_of(info)}: {found[0]:#x}" + (", called from" if back else "")
    line += "".join(f" {address:#x}" for address in back)
    print(line)
    for explained in symbols.Names(gdb.current_progspace().filename).explain(line):
        print(explained)
